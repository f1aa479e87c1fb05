"""Packing: what is predicted is what the mask says, and positions count from each sequence."""

import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from lianlu.train.batch import IGNORE, pack


def masked(length: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(start, start + length), np.arange(length) % 2 == 1


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 5))
def test_a_pack_holds_its_sequences(lengths: list[int], spare: int) -> None:
    sequences = [masked(length, 100 * i + 1) for i, length in enumerate(lengths)]
    batch = pack([sequences], sum(lengths) + spare)
    bounds = batch.cu_seqlens.tolist()
    assert bounds[0] == 0
    assert bounds[-1] == len(batch.tokens) == sum(lengths) + spare
    assert all(a < b for a, b in itertools.pairwise(bounds))
    for (ids, mask), start in zip(sequences, bounds, strict=False):
        piece = slice(start, start + len(ids))
        assert batch.tokens[piece].tolist() == ids.tolist()
        assert batch.positions[piece].tolist() == list(range(len(ids)))
        wanted = [int(i) if m else IGNORE for i, m in zip(ids[1:], mask[1:], strict=True)]
        assert batch.targets[piece].tolist() == [*wanted, IGNORE]
    assert batch.predicted == sum(int(mask[1:].sum()) for _, mask in sequences)


def test_packs_lie_side_by_side() -> None:
    batch = pack([[masked(3, 1)], [masked(4, 10), masked(2, 20)]], 6)
    assert batch.tokens.tolist() == [1, 2, 3, 0, 0, 0, 10, 11, 12, 13, 20, 21]
    assert batch.cu_seqlens.tolist() == [0, 3, 6, 10, 12]
    assert batch.cu_seqlens.dtype == torch.int32
    assert batch.to(torch.device("cpu")) is batch
