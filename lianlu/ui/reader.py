"""The state of a run, read anew from its files each time: the console keeps none of its own."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lianlu.errors import UserError
from lianlu.progress import METRICS, PROGRESS
from lianlu.ui.files import Row, inside, items, mapping, number, read_json, tail_rows, text

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NODE_STATES = frozenset({"waiting", "kept", "ran", "running", "failed", "skipped"})
RUN_STATES = frozenset({"running", "done", "stopped", "failed", "interrupted"})
# What a node is made of, for nodes that wait and so have not written it down yet.
USUAL_INPUTS = {
    "tokenizer": ("corpus",),
    "tokens": ("corpus", "tokenizer"),
    "base": ("tokens", "tokenizer"),
    "dialogues": ("corpus",),
    "before": ("base", "tokens", "dialogues"),
    "model": ("base", "dialogues"),
    "after": ("model", "tokens", "dialogues"),
    "small": ("model", "tokens"),
    "after-small": ("small", "tokens", "dialogues"),
    "trial": ("small", "dialogues"),
}
WATCHED = ("step.json", "card.json", PROGRESS, METRICS, "scores.json", "trial.json", "trajectories")


@dataclass(frozen=True)
class Task:
    """One count of a step that works."""

    name: str
    done: float
    total: float | None
    unit: str


@dataclass(frozen=True)
class Node:
    """One step of a run. `directory` is None until there is one; sizes are bytes, times seconds."""

    name: str
    link: str
    state: str
    why: str
    inputs: tuple[str, ...]
    directory: Path | None
    seconds: float | None
    predicted_memory: float | None
    memory: float | None
    disk: float | None
    facts: Row
    tasks: list[Task]
    said: str


@dataclass(frozen=True)
class Decision:
    question: str
    answer: str
    reason: str


@dataclass(frozen=True)
class RunState:
    """A run as its files tell it now."""

    name: str
    state: str
    started: float | None
    finished: float | None
    final: str
    nodes: list[Node] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def node(self, name: str) -> Node | None:
        return next((node for node in self.nodes if node.name == name), None)

    @property
    def work_seconds(self) -> float:
        """Seconds of work done in this run; what was kept cost nothing."""
        return sum(node.seconds or 0 for node in self.nodes if node.state == "ran")


def run_names(runs: Path) -> list[str]:
    """The runs in a folder, the one begun last first."""
    begun = [
        (number(mapping(read_json(path)).get("started")) or 0, path.parent.name)
        for path in runs.glob("*/run.json")
        if RUN_NAME.fullmatch(path.parent.name)
    ]
    return [name for _, name in sorted(begun, reverse=True)]


def run_folder(runs: Path, name: str) -> Path:
    """The folder of a run. Raises UserError, naming the runs there are, when there is none."""
    folder = inside(runs, name) if RUN_NAME.fullmatch(name) else None
    if folder is None or not (folder / "run.json").is_file():
        known = ", ".join(run_names(runs)[:20])
        hint = f"runs there: {known}" if known else "`lianlu run RECIPE` makes one"
        raise UserError(f"no run {text(name, 64)!r}", hint)
    return folder


def read_run(runs: Path, name: str) -> RunState:
    """The state of a run; a damaged record gives a run without nodes. Raises UserError for none."""
    record = mapping(read_json(run_folder(runs, name) / "run.json"))
    state = text(record.get("state"), 32)
    if state == "running" and not _alive(record.get("pid")):
        state = "interrupted"
    return RunState(
        name=name,
        state=state if state in RUN_STATES else "unknown",
        started=number(record.get("started")),
        finished=number(record.get("finished")),
        final=text(record.get("final"), 64),
        nodes=[_node(runs, entry, state) for entry in items(record.get("nodes"))[:64]],
        decisions=[
            Decision(*(text(entry.get(key), 500) for key in ("question", "answer", "reason")))
            for entry in items(record.get("decisions"))[:64]
        ],
    )


def fingerprint(runs: Path, name: str) -> tuple[Any, ...]:
    """Changes whenever a file that the console shows does: sizes and times, nothing is read
    but `run.json`. Raises UserError for no such run.
    """
    path = run_folder(runs, name) / "run.json"
    record = mapping(read_json(path))
    watched = [path]
    for entry in items(record.get("nodes"))[:64]:
        directory = _directory(runs, entry)
        if directory is not None:
            watched += [directory / file for file in WATCHED]
    # A run whose process was killed changes no file.
    return (_alive(record.get("pid")), *_stamps(watched))


def _stamps(paths: list[Path]) -> Iterator[tuple[int, int] | None]:
    for path in paths:
        try:
            status = path.stat()
            yield status.st_size, status.st_mtime_ns
        except OSError:
            yield None


def _node(runs: Path, entry: Row, run_state: str) -> Node:
    name, state = text(entry.get("name"), 32), text(entry.get("state"), 32)
    if state == "running" and run_state == "interrupted":
        state = "failed"
    directory = _directory(runs, entry)
    step = mapping(read_json(directory / "step.json")) if directory else {}
    journal = tail_rows(directory / PROGRESS, 65536) if directory and state == "running" else []
    predicted, measured = mapping(entry.get("predicted")), mapping(entry.get("measured"))
    inputs = entry.get("inputs")
    if not isinstance(inputs, list):
        inputs = USUAL_INPUTS.get(name, ())
    return Node(
        name=name,
        link=text(entry.get("link"), 32),
        state=state if state in NODE_STATES else "unknown",
        why=text(entry.get("error") or entry.get("reason"), 500),
        inputs=tuple(text(made_of, 32) for made_of in inputs[:16]),
        directory=directory,
        seconds=number(entry.get("seconds")) or number(step.get("seconds")),
        predicted_memory=number(predicted.get("memory_bytes")),
        memory=number(measured.get("peak_rss_bytes")) or number(step.get("peak_rss_bytes")),
        disk=number(measured.get("disk_bytes")),
        facts=mapping(step.get("facts")),
        tasks=_tasks(journal),
        said=text(next((row["say"] for row in reversed(journal) if "say" in row), ""), 300),
    )


def _directory(runs: Path, entry: Row) -> Path | None:
    """The step's directory, or its `.part`: first of all while it works, since a step that is
    made anew stands there twice."""
    name, steps = entry.get("dir"), runs / "steps"
    if not isinstance(name, str):
        return None
    places = [f"{name}.part", name] if entry.get("state") == "running" else [name, f"{name}.part"]
    return next((path for place in places if (path := inside(steps, place))), None)


def _tasks(journal: list[Row]) -> list[Task]:
    """The tasks that are not finished, as last heard of."""
    last = {text(row["task"], 64): row for row in journal if "task" in row}
    return [
        Task(
            name, number(row.get("done")) or 0, number(row.get("total")), text(row.get("unit"), 32)
        )
        for name, row in last.items()
        if not row.get("finished")
    ]


def _alive(pid: Any) -> bool:
    """Whether the process of a run lives; a run that names none is believed."""
    if not isinstance(pid, int) or pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
