"""Checkpoints of a training: written whole or not at all, and proven before they are believed."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lianlu.errors import StepFailed
from lianlu.lineage import digest_file, write_json
from lianlu.progress import METRICS
from lianlu.train.optim import Optimizer

FOLDER = "checkpoint"
KEPT = 2


@dataclass
class Position:
    """Where a training stands: all of its state that is not in weights and optimizer."""

    step: int = 0
    """Steps done, and so the number of the next one: the data needs no other state."""
    losses: list[float] = field(default_factory=list)
    """The latest losses, nats per predicted token."""
    skipped: list[int] = field(default_factory=list)
    """Steps whose loss or gradient was not finite; they changed nothing."""
    valid_before: float = math.inf
    """Validation loss before the first step, nats per predicted token."""
    valid_loss: float = math.inf
    """The latest validation loss."""


def save(out: Path, model: nn.Module, optimizer: Optimizer, position: Position) -> None:
    """Write a checkpoint beside the older one, then forget what is older still.

    Raises StepFailed when it cannot be written (a full disk); the older one is untouched.
    """
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{position.step:08d}.pt"
    draft = path.with_suffix(".tmp")
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    try:
        torch.save({"weights": trained, "optimizer": optimizer.state()}, draft)
        seal = {"sha256": digest_file(draft), "position": asdict(position)}
        draft.replace(path)
        write_json(path.with_suffix(".json"), seal)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        draft.unlink(missing_ok=True)
        raise StepFailed(
            f"the checkpoint of step {position.step} could not be written: {error};"
            " free some disk space and run again, it goes on from the one before"
        ) from None
    for old in sorted(folder.glob("*.json"))[:-KEPT]:
        old.with_suffix(".pt").unlink(missing_ok=True)
        old.unlink()


def resume(out: Path, model: nn.Module, optimizer: Optimizer) -> Position:
    """Load the newest sound checkpoint into model and optimizer; a fresh Position without one.

    `metrics.jsonl` is cut back to it: what was measured after it will be measured again.
    """
    for path, position in _sound(out / FOLDER):
        state = torch.load(path, weights_only=True)
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, weight in state["weights"].items():
                parameters[name].copy_(weight)
        optimizer.load(state["optimizer"])
        _cut_metrics(out / METRICS, position.step)
        return position
    (out / METRICS).unlink(missing_ok=True)
    return Position()


def remove(out: Path) -> None:
    """Forget the checkpoints of a finished training: its result stands in the model's files."""
    folder = out / FOLDER
    for path in folder.glob("*"):
        path.unlink()
    if folder.exists():
        folder.rmdir()


def _sound(folder: Path) -> Iterator[tuple[Path, Position]]:
    """Checkpoints whose bytes are as they were written, newest first."""
    for seal in sorted(folder.glob("*.json"), reverse=True):
        path = seal.with_suffix(".pt")
        try:
            told: dict[str, Any] = json.loads(seal.read_text(encoding="utf-8"))
            if digest_file(path) == told["sha256"]:
                yield path, Position(**told["position"])
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _cut_metrics(path: Path, step: int) -> None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return
    path.write_text("".join(line for line in lines if _step_of(line) <= step), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line).get("step", -1))
    except ValueError:  # the kill cut this line short
        return float("inf")
