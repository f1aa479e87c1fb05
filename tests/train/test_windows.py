"""Windows of a token file: every token once an epoch, documents never mixed, damage told."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lianlu.errors import UserError
from lianlu.train.batch import IGNORE
from lianlu.train.windows import WindowBatches, Windows


def test_a_window_is_cut_where_documents_begin(tokens_dir: Path) -> None:
    windows = Windows(tokens_dir, "train", 64)
    batch = windows.gather(np.arange(windows.count))
    tokens, targets = batch.tokens.numpy(), batch.targets.numpy()
    assert tokens.tolist() == windows.tokens[: windows.count * 64].tolist()
    ends = windows.bounds[1:][windows.bounds[1:] <= windows.count * 64] - 1
    assert (targets[ends] == IGNORE).all()
    others = np.setdiff1d(np.arange(len(tokens)), ends)
    assert (targets[others] == windows.tokens[others + 1]).all()
    cuts = set(batch.cu_seqlens.tolist())
    assert cuts >= set((ends + 1).tolist())
    assert cuts >= set(range(0, len(tokens), 64))
    starts = batch.cu_seqlens[:-1].long()
    assert (batch.positions[starts] == 0).all()


def test_an_epoch_sees_every_window_once_and_micro_batches_change_nothing(tokens_dir: Path) -> None:
    windows = Windows(tokens_dir, "train", 64)
    whole = WindowBatches(windows, 128, seed=3, micro_tokens=0)
    pieces = WindowBatches(windows, 128, seed=3, micro_tokens=64)
    seen = []
    for step in range(windows.count // 2):
        [batch] = whole.batches(step)
        parts = pieces.batches(step)
        assert [t for p in parts for t in p.tokens.tolist()] == batch.tokens.tolist()
        assert sum(p.predicted for p in parts) == batch.predicted
        seen += [tuple(batch.tokens[i : i + 64].tolist()) for i in (0, 64)]
    assert len(set(seen)) == len(seen)


def test_damage_is_told(tokens_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    shutil.copytree(tokens_dir, folder)
    with pytest.raises(UserError, match="do not fill one window"):
        Windows(folder, "valid", 100_000)
    content = (folder / "train.bin").read_bytes()
    (folder / "train.bin").write_bytes(content[:-20])
    with pytest.raises(UserError, match="damaged"):
        Windows(folder, "train", 64)
    (folder / "train.bin").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        Windows(folder, "train", 64)
    (folder / "tokens.json").write_text("{")
    with pytest.raises(UserError, match=r"tokens\.json"):
        Windows(folder, "train", 64)
