"""What a step tells while it works: events appended to files, so that anyone may tail them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRESS = "progress.jsonl"
METRICS = "metrics.jsonl"
# Files that tell how a run went: they hold times, so they are no part of a step's output digest.
JOURNALS = frozenset(
    {PROGRESS, METRICS, "log.txt", "job.json", "facts.json", "error.json", "step.json"}
)

Event = dict[str, Any]


class Progress:
    """Appends events to `progress.jsonl` and rows to `metrics.jsonl` in a step's directory.

    An event is `{"t": unix seconds, "task", "done", "total": float | None, "unit"}` or
    `{"t": ..., "say": str}`. At most five events a second and task are written.
    """

    def __init__(
        self, directory: Path | None = None, listen: Callable[[Event], None] | None = None
    ) -> None:
        self.directory = directory
        self.listen = listen
        self._tasks: dict[str, Event] = {}
        self._written: dict[str, float] = {}

    def begin(self, task: str, total: float | None = None, unit: str = "") -> None:
        """Start (or restart) the count of `task`."""
        self._tasks[task] = {"task": task, "done": 0.0, "total": total, "unit": unit}
        self._write(task)

    def advance(self, task: str, n: float = 1) -> None:
        """Add `n` to the count of a task that has begun."""
        event = self._tasks[task]
        event["done"] += n
        if time.monotonic() - self._written[task] >= 0.2:
            self._write(task)

    def finish(self, task: str) -> None:
        """Mark a task complete, whatever its total was thought to be."""
        event = self._tasks[task]
        event["total"] = event["done"] = event["total"] or event["done"]
        event["finished"] = True
        self._write(task)

    def say(self, message: str) -> None:
        """One line for the person watching."""
        self._append(PROGRESS, {"t": time.time(), "say": message})

    def metric(self, **values: float | int | str) -> None:
        """One row of measurements, e.g. `metric(step=10, loss=2.3, tokens_per_second=9e3)`."""
        self._append(METRICS, {"t": time.time(), **values})

    def _write(self, task: str) -> None:
        self._written[task] = time.monotonic()
        self._append(PROGRESS, {"t": time.time(), **self._tasks[task]})

    def _append(self, name: str, row: Event) -> None:
        if self.directory is not None:
            with (self.directory / name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        if self.listen is not None:
            self.listen(row)
