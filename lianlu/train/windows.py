"""Pretraining data: windows cut from a token file, in an order that is a function of the seed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lianlu.errors import UserError
from lianlu.train.batch import IGNORE, Batch, make_batch
from lianlu.train.order import items_at


class Windows:
    """A token file seen as windows of `context` tokens; attention never crosses a document.

    The file is mapped, not read: opening costs nothing, whatever its size.
    """

    def __init__(self, directory: Path, split: str, context: int) -> None:
        """Raises UserError when the files are missing, cut short, or too small for one window."""
        self.facts = _facts(directory)
        path = directory / f"{split}.bin"
        try:
            self.tokens: NDArray[Any] = np.memmap(path, np.dtype(self.facts["dtype"]), mode="r")
            self.bounds = np.load(directory / f"{split}.offsets.npy")
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read: {error}", "tokenize again") from None
        if len(self.tokens) != self.bounds[-1]:
            raise UserError(
                f"{path}: {len(self.tokens)} tokens, {self.bounds[-1]} were written",
                "the file is damaged; tokenize again",
            )
        self.context = context
        self.count = (len(self.tokens) - 1) // context
        if self.count < 1:
            raise UserError(
                f"{path}: {len(self.tokens)} tokens do not fill one window of {context}",
                "a shorter model.context, or more documents",
            )

    def gather(self, windows: NDArray[np.int64]) -> Batch:
        """A batch of the given windows, cut where documents begin."""
        context = self.context
        tokens = np.empty(len(windows) * context, np.int64)
        targets = np.empty_like(tokens)
        cuts = [np.zeros(1, np.int64)]
        for row, window in enumerate(windows):
            start, place = int(window) * context, row * context
            piece = self.tokens[start : start + context + 1].astype(np.int64)
            tokens[place : place + context] = piece[:-1]
            targets[place : place + context] = piece[1:]
            first, last = np.searchsorted(self.bounds, [start + 1, start + context + 1])
            ends = self.bounds[first:last] - start
            # The token that ends a document sees nothing of the next one: it predicts nothing.
            targets[place + ends - 1] = IGNORE
            cuts += [place + ends[ends < context], np.array([place + context])]
        return make_batch(tokens, targets, np.concatenate(cuts))


class WindowBatches:
    """What each step of a pretraining trains on: a function of (seed, step) alone."""

    def __init__(self, windows: Windows, batch_tokens: int, seed: int, micro_tokens: int) -> None:
        self.windows = windows
        self.per_step = max(1, batch_tokens // windows.context)
        self.micro = max(1, (micro_tokens or batch_tokens) // windows.context)
        self.seed = seed

    def batches(self, step: int) -> list[Batch]:
        """The data of a step, in the pieces that go through the model at once."""
        chosen = items_at(self.windows.count, self.seed, step * self.per_step, self.per_step)
        return [
            self.windows.gather(chosen[start : start + self.micro])
            for start in range(0, self.per_step, self.micro)
        ]


def _facts(directory: Path) -> dict[str, Any]:
    path = directory / "tokens.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}", "tokenize again") from None
    return facts
