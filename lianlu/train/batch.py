"""One optimizer step's data: packed sequences, what is to be predicted, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lianlu.model.attention import VarlenAttention

Ids = NDArray[np.int64]
Masked = tuple[Ids, NDArray[np.bool_]]
# Stands in `targets` where nothing is to be predicted; torch's cross-entropy skips it by default.
IGNORE = -100


@dataclass(frozen=True)
class Batch:
    """Flat packed tokens: `tokens`, `targets`, `positions` int64 [T], `cu_seqlens` int32 [S + 1].

    `targets[t]` is the token after `tokens[t]`, or IGNORE. T is the same for every batch of a
    training, so that compiled code is compiled once.
    """

    tokens: Tensor
    targets: Tensor
    positions: Tensor
    cu_seqlens: Tensor

    @cached_property
    def predicted(self) -> int:
        """Tokens that carry loss."""
        return int((self.targets != IGNORE).sum())

    def to(self, device: torch.device) -> "Batch":
        if device.type == "cpu":
            return self
        moved = (self.tokens, self.targets, self.positions, self.cu_seqlens)
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in moved))

    def attention(self) -> VarlenAttention:
        return VarlenAttention(self.cu_seqlens)


def pack(packs: Sequence[Sequence[Masked]], length: int) -> Batch:
    """Lay packs side by side; each holds sequences end to end, filled up to `length` with zeros.

    A sequence comes with a mask: True on tokens that are to be predicted. The first token of a
    sequence has nothing before it and is never predicted.
    """
    tokens = np.zeros(length * len(packs), np.int64)
    targets = np.full_like(tokens, IGNORE)
    bounds = [0]
    for number, sequences in enumerate(packs, 1):
        for ids, mask in sequences:
            start, end = bounds[-1], bounds[-1] + len(ids)
            tokens[start:end] = ids
            targets[start : end - 1] = np.where(mask[1:], ids[1:], IGNORE)
            bounds.append(end)
        if bounds[-1] < number * length:
            bounds.append(number * length)
    return make_batch(tokens, targets, np.asarray(bounds))


def make_batch(tokens: Ids, targets: Ids, bounds: Ids) -> Batch:
    """`bounds` [S + 1] are where the sequences begin, and the end; positions count from each."""
    starts = np.repeat(bounds[:-1], np.diff(bounds))
    return Batch(
        torch.from_numpy(tokens),
        torch.from_numpy(targets),
        torch.from_numpy(np.arange(len(tokens)) - starts),
        torch.from_numpy(bounds.astype(np.int32)),
    )
