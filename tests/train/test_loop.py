"""The loop learns, resumes bit for bit, and skips what is not finite."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from lianlu.errors import StepFailed
from lianlu.job import Job
from lianlu.model.checkpoint import init_weights
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.progress import Progress
from lianlu.train import loop
from lianlu.train.batch import Batch
from lianlu.train.checkpoint import Position
from lianlu.train.config import PretrainConfig
from lianlu.train.loop import Course, train
from lianlu.train.windows import WindowBatches, Windows

COURSE = Course(steps=12, warmup=0.1, decay=0.5, dtype=torch.float32)


@pytest.fixture(autouse=True)
def _deterministic() -> object:
    yield
    torch.use_deterministic_algorithms(False)


def setup(tokens_dir: Path, micro: int = 0) -> tuple[Decoder, WindowBatches, list[Batch]]:
    decoder = Decoder(DecoderConfig.new(320, 2, 32, 2, 2, 64))
    init_weights(decoder, 0)
    valid = [Windows(tokens_dir, "valid", 64).gather(np.arange(3))]
    return decoder, WindowBatches(Windows(tokens_dir, "train", 64), 256, 0, micro), valid


def config(**fields: object) -> PretrainConfig:
    return PretrainConfig.model_validate({"exact": True, "save_every": 3, "lr": 0.01} | fields)


def weights(decoder: Decoder) -> list[torch.Tensor]:
    return [p.detach().clone() for p in decoder.parameters()]


def same(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def job(folder: Path) -> Job:
    folder.mkdir(exist_ok=True)
    return Job(folder, progress=Progress(folder))


def test_it_learns_and_tells(tokens_dir: Path, tmp_path: Path) -> None:
    decoder, data, valid = setup(tokens_dir)
    position = train(decoder, data, valid, COURSE, config(), job(tmp_path))
    assert position.valid_loss < position.valid_before - 0.5
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert {"step", "loss", "lr", "grad_norm", "tokens_per_second"} <= set(rows[1])
    assert rows[-1]["valid_loss"] == position.valid_loss


class Cut(Exception):
    """The power goes."""


class Cutting:
    """Data that ends with the power cut at a step."""

    def __init__(self, data: WindowBatches, at: int) -> None:
        self.data, self.at = data, at

    def batches(self, step: int) -> list[Batch]:
        if step == self.at:
            raise Cut
        return self.data.batches(step)


@pytest.mark.parametrize("at", [1, 3, 7, 11])
def test_a_resumed_training_ends_with_the_same_bits(
    tokens_dir: Path, tmp_path: Path, at: int
) -> None:
    undisturbed, data, valid = setup(tokens_dir)
    train(undisturbed, data, valid, COURSE, config(), job(tmp_path / "a"))
    first, data, valid = setup(tokens_dir)
    with pytest.raises(Cut):
        train(first, Cutting(data, at), valid, COURSE, config(), job(tmp_path / "b"))
    second, data, valid = setup(tokens_dir)
    position = train(second, data, valid, COURSE, config(), job(tmp_path / "b"))
    assert same(weights(second), weights(undisturbed))
    assert position.step == 12


def test_micro_batches_give_the_same_gradient(tokens_dir: Path, tmp_path: Path) -> None:
    course = Course(steps=2, warmup=0, decay=0, dtype=torch.float32)
    results = []
    for micro in (0, 64):
        decoder, data, valid = setup(tokens_dir, micro)
        adamw = config(optimizer="adamw", lr=1e-3)
        train(decoder, data, valid, course, adamw, job(tmp_path / str(micro)))
        results.append(weights(decoder))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-4)


def test_a_step_that_is_not_finite_is_skipped_and_named(
    tokens_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = loop.summed_loss, []

    def sometimes(decoder: Decoder, batch: Batch) -> torch.Tensor:
        calls.append(1)
        spoiled = float("nan") if torch.is_grad_enabled() and len(calls) == 6 else 1.0
        return real(decoder, batch) * spoiled

    monkeypatch.setattr(loop, "summed_loss", sometimes)
    decoder, data, valid = setup(tokens_dir)
    position = train(decoder, data, valid, COURSE, config(), job(tmp_path))
    assert len(position.skipped) == 1
    assert all(torch.isfinite(w).all() for w in weights(decoder))
    assert "not finite" in (tmp_path / "progress.jsonl").read_text()


def test_a_training_that_never_recovers_fails(
    tokens_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.summed_loss
    monkeypatch.setattr(loop, "summed_loss", lambda d, b: real(d, b) * float("inf"))
    decoder, data, _ = setup(tokens_dir)
    before = weights(decoder)
    with pytest.raises(StepFailed, match="10 steps in a row"):
        train(decoder, data, setup(tokens_dir)[2], COURSE, config(), job(tmp_path))
    assert same(weights(decoder), before)


def test_a_compiled_training_is_the_eager_one(tokens_dir: Path, tmp_path: Path) -> None:
    decoder, _, _ = setup(tokens_dir)
    loop.prepare(decoder, Course(200, 0, 0, torch.float32), config(exact=False, compile=False))
    assert all(block._compiled_call_impl is None for block in decoder.model.layers)
    loop.prepare(decoder, Course(5, 0, 0, torch.float32), config(exact=False))
    assert all(block._compiled_call_impl is None for block in decoder.model.layers)
    loop.prepare(decoder, Course(200, 0, 0, torch.float32), config(exact=False))
    if loop.find_compiler():
        assert all(block._compiled_call_impl is not None for block in decoder.model.layers)


def test_a_fresh_position_is_at_the_start() -> None:
    assert Position().step == 0
