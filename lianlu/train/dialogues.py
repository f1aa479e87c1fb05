"""Tuning data: dialogues encoded by the model's own template and packed into fixed windows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lianlu.errors import UserError
from lianlu.job import Job
from lianlu.model.template import ChatTemplate
from lianlu.train.batch import Batch, Masked, pack
from lianlu.train.order import Shuffle

# Packs that may still take a short dialogue; more would save little and cost time.
OPEN_PACKS = 8
# A pack holds this many contexts: long enough to be full, short enough for a small memory.
PACK_CONTEXTS = 4


@dataclass(frozen=True)
class Encoded:
    """Dialogues as token ids with masks, and how many were longer than the context."""

    rows: list[Masked]
    too_long: int

    @property
    def tokens(self) -> int:
        return sum(len(ids) for ids, _ in self.rows)


def encode_dialogues(path: Path, template: ChatTemplate, context: int, job: Job) -> Encoded:
    """Encode a JSONL file of dialogues; what exceeds `context` is counted and left out.

    Raises UserError for a line that is no dialogue, and when nothing is left.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    task = f"encode {path.stem}"
    job.progress.begin(task, len(lines), "dialogues")
    rows: list[Masked] = []
    too_long = 0
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            ids, mask = template.encode_trained(row["messages"], row.get("tools"))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}:{number}: not a dialogue: {error!r}") from None
        if len(ids) <= context:
            rows.append((np.asarray(ids, np.int64), np.asarray(mask, np.bool_)))
        else:
            too_long += 1
        job.progress.advance(task)
    job.progress.finish(task)
    if not rows:
        raise UserError(f"{path}: no dialogue fits {context} tokens", "raise model.context")
    return Encoded(rows, too_long)


def plan_packs(lengths: Sequence[int], pack_tokens: int, shuffle: Shuffle) -> list[list[int]]:
    """Which dialogues share a pack: first-fit over the shuffled order, among the last few packs.

    The plan depends on the lengths and the shuffle alone, never on who reads it.
    """
    packs: list[list[int]] = []
    room: list[int] = []
    for item in map(shuffle, range(len(lengths))):
        length = lengths[item]
        for place in range(max(0, len(packs) - OPEN_PACKS), len(packs)):
            if room[place] >= length:
                packs[place].append(item)
                room[place] -= length
                break
        else:
            packs.append([item])
            room.append(pack_tokens - length)
    return packs


class DialogueBatches:
    """An endless stream of packs, epoch after epoch; a step takes `batch_tokens` of them.

    What a step trains on is a function of its number; `micro_tokens` only decides how much of it
    goes through the model at once.
    """

    def __init__(
        self, encoded: Encoded, context: int, batch_tokens: int, seed: int, micro_tokens: int
    ) -> None:
        self.encoded = encoded
        self.pack_tokens = min(batch_tokens, PACK_CONTEXTS * context)
        self.packs_per_step = max(1, batch_tokens // self.pack_tokens)
        self.micro_packs = max(1, (micro_tokens or batch_tokens) // self.pack_tokens)
        self.seed = seed
        self.lengths = [len(ids) for ids, _ in encoded.rows]
        self._plans: list[list[list[int]]] = []

    def steps(self, epochs: float) -> int:
        """Steps in `epochs` passes over the dialogues."""
        return max(1, round(epochs * len(self._plan(0)) / self.packs_per_step))

    def batches(self, step: int) -> list[Batch]:
        """The data of a step, in the pieces that go through the model at once."""
        first = step * self.packs_per_step
        packs = [self._pack(first + i) for i in range(self.packs_per_step)]
        return [
            pack(packs[start : start + self.micro_packs], self.pack_tokens)
            for start in range(0, len(packs), self.micro_packs)
        ]

    def _pack(self, index: int) -> list[Masked]:
        epoch = 0
        while index >= len(self._plan(epoch)):
            index -= len(self._plan(epoch))
            epoch += 1
        return [self.encoded.rows[item] for item in self._plan(epoch)[index]]

    def _plan(self, epoch: int) -> list[list[int]]:
        while len(self._plans) <= epoch:
            shuffle = Shuffle(len(self.lengths), self.seed, len(self._plans))
            self._plans.append(plan_packs(self.lengths, self.pack_tokens, shuffle))
        return self._plans[epoch]
