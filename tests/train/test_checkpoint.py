"""Checkpoints: whole or absent, and a damaged one falls back to the one before."""

import json
from pathlib import Path

import pytest
import torch

from lianlu.errors import StepFailed
from lianlu.model.checkpoint import init_weights
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.train.checkpoint import Position, remove, resume, save
from lianlu.train.optim import Optimizer, make_optimizer


def make(seed: int = 0) -> tuple[Decoder, Optimizer]:
    decoder = Decoder(DecoderConfig.new(320, 1, 32, 2, 2, 64))
    init_weights(decoder, seed)
    return decoder, make_optimizer(decoder, "muon", torch.float32)


def fill(folder: Path, steps: int) -> list[torch.Tensor]:
    """Checkpoints after every step; returns one weight as it was at each."""
    decoder, optimizer = make()
    kept = []
    for step in range(1, steps + 1):
        for p in decoder.parameters():
            p.grad = torch.ones_like(p) * step
        optimizer.step(0.01)
        save(folder, decoder, optimizer, Position(step, [1.0 / step]))
        kept.append(decoder.model.norm.weight.detach().clone())
    return kept


def test_the_newest_is_resumed_and_two_are_kept(tmp_path: Path) -> None:
    kept = fill(tmp_path, 4)
    decoder, optimizer = make(seed=9)
    position = resume(tmp_path, decoder, optimizer)
    assert position == Position(4, [0.25])
    assert torch.equal(decoder.model.norm.weight, kept[3])
    assert len(list((tmp_path / "checkpoint").glob("*.pt"))) == 2


@pytest.mark.parametrize("damage", ["truncated", "missing", "half-written seal"])
def test_a_damaged_one_falls_back(tmp_path: Path, damage: str) -> None:
    kept = fill(tmp_path, 3)
    newest = max((tmp_path / "checkpoint").glob("*.pt"))
    if damage == "truncated":
        newest.write_bytes(newest.read_bytes()[:-10])
    elif damage == "missing":
        newest.unlink()
    else:
        newest.with_suffix(".json").write_text('{"sha256": ')
    decoder, optimizer = make(seed=9)
    assert resume(tmp_path, decoder, optimizer).step == 2
    assert torch.equal(decoder.model.norm.weight, kept[1])


def test_none_means_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 3}\n')
    assert resume(tmp_path, *make()) == Position()
    assert not (tmp_path / "metrics.jsonl").exists()


def test_metrics_are_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    rows = [json.dumps({"step": step}) + "\n" for step in (0, 1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(rows) + '{"step": 4, "lo')
    resume(tmp_path, *make())
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == [0, 1, 2]


def test_a_full_disk_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    decoder, optimizer = make()
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(StepFailed, match="No space left"):
            save(tmp_path, decoder, optimizer, Position(3))
    assert resume(tmp_path, decoder, optimizer).step == 2
    assert not list((tmp_path / "checkpoint").glob("*.tmp"))


def test_remove(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    remove(tmp_path)
    remove(tmp_path)
    assert not (tmp_path / "checkpoint").exists()
