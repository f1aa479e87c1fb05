"""The record of a run: `runs/<name>/run.json`, rewritten whole whenever something changes."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lianlu.errors import StepFailed, UserError
from lianlu.lineage import StepRecord, StepStore, verify, write_json
from lianlu.progress import Event
from lianlu.recipe import LoadedRecipe, Recipe, load_recipe
from lianlu.steps import Node, Watcher

RUN = "run.json"


@dataclass(frozen=True)
class Decision:
    """One fork of the chain: what was asked, what was answered, and why."""

    question: str
    answer: str
    reason: str


class RunRecord:
    """Writes `run.json` while a run goes on; nothing else keeps the state of a run.

    `earlier` in it names the steps of the runs before this one, until one is done: they are what
    a change is told against, and what `gc` must not take while a run is under way.
    """

    def __init__(self, loaded: LoadedRecipe, order: Sequence[str]) -> None:
        """Raises UserError when a run of this name is going on."""
        self.runs = loaded.recipe.runs
        self.folder = self.runs / loaded.recipe.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock_run(self.folder)
        earlier = _keys(_read_state(self.folder / RUN))
        (self.folder / "recipe.yaml").write_text(loaded.dump(), encoding="utf-8")
        self.store = StepStore(self.runs)
        self.nodes: dict[str, dict[str, Any]] = {
            name: {"name": name, "state": "waiting"} for name in order
        }
        self.run: dict[str, Any] = {
            "name": loaded.recipe.name,
            "recipe_digest": loaded.digest(),
            "started": time.time(),
            "finished": None,
            "state": "running",
            "pid": os.getpid(),
            "final": None,
            "decisions": [],
            "earlier": earlier,
        }
        self.write()

    def write(self) -> None:
        write_json(self.folder / RUN, self.run | {"nodes": list(self.nodes.values())})

    def decided(self, decision: Decision) -> None:
        self.run["decisions"].append(asdict(decision))
        self.write()

    def finish(self, state: str, final: str | None = None) -> None:
        """Close the record: `done`, `stopped`, `failed`; what never began was skipped."""
        for node in self.nodes.values():
            if node["state"] == "waiting":
                node["state"] = "skipped"
            elif node["state"] == "running":
                node["state"] = "failed"
        self.run |= {"state": state, "finished": time.time(), "final": final}
        if state == "done":
            self.run["earlier"] = {}
        self.write()
        os.close(self._lock)

    def kept(self, node: Node, record: StepRecord) -> None:
        self._set(node, record.key, "kept", "same work as before", record)

    def started(self, node: Node, key: str, why: str) -> None:
        self._set(node, key, "running", why, None)

    def event(self, node: Node, event: Event) -> None:
        """Progress stands in the step's own journal; the record holds states only."""

    def done(self, node: Node, record: StepRecord) -> None:
        self._set(node, record.key, "ran", self.nodes[node.name]["reason"], record)

    def failed(self, node: Node, message: str) -> None:
        self.nodes[node.name] |= {"state": "failed", "error": message}
        self.write()

    def _set(
        self, node: Node, key: str, state: str, reason: str, record: StepRecord | None
    ) -> None:
        entry: dict[str, Any] = {
            "name": node.name,
            "link": node.link,
            "key": key,
            "dir": self.store.place(node.name, key).name,
            "state": state,
            "reason": reason,
            "inputs": [artefact.node for artefact in node.inputs.values()],
            "predicted": dict(node.predicted),
        }
        if record is not None:
            entry["seconds"] = record.seconds
            entry["measured"] = {
                "peak_rss_bytes": record.peak_rss_bytes,
                "seconds": record.seconds,
                "disk_bytes": sum(entry["bytes"] for entry in record.outputs.values()),
            }
        self.nodes[node.name] = entry
        self.write()


class Watchers:
    """Tells several watchers the same."""

    def __init__(self, *watchers: Watcher) -> None:
        self.watchers = watchers

    def kept(self, node: Node, record: StepRecord) -> None:
        for watcher in self.watchers:
            watcher.kept(node, record)

    def started(self, node: Node, key: str, why: str) -> None:
        for watcher in self.watchers:
            watcher.started(node, key, why)

    def event(self, node: Node, event: Event) -> None:
        for watcher in self.watchers:
            watcher.event(node, event)

    def done(self, node: Node, record: StepRecord) -> None:
        for watcher in self.watchers:
            watcher.done(node, record)

    def failed(self, node: Node, message: str) -> None:
        for watcher in self.watchers:
            watcher.failed(node, message)


@dataclass(frozen=True)
class Run:
    """A run as it was recorded; `steps` are the nodes that have a finished step."""

    folder: Path
    state: Mapping[str, Any]
    steps: Mapping[str, tuple[Path, StepRecord]]
    earlier: Mapping[str, StepRecord] = field(default_factory=dict)
    """The latest step of each node before this run, as far as it was not made anew."""

    @property
    def name(self) -> str:
        return str(self.state["name"])

    def step(self, node: str) -> Path:
        """The directory of a node's step. Raises UserError where the run has none."""
        if node not in self.steps:
            made = ", ".join(self.steps) or "none"
            raise UserError(
                f"run {self.name!r} has no finished step {node!r}", f"finished steps: {made}"
            )
        return self.steps[node][0]

    def require_intact(self) -> None:
        """Raises StepFailed naming every file whose bytes are not what its step recorded."""
        wrong = [
            f"{place.name}: {line}"
            for place, record in self.steps.values()
            for line in verify(place, record)
        ]
        if wrong:
            raise StepFailed("\n".join([*wrong, "`lianlu run RECIPE --from NODE` makes it anew"]))

    def recipe(self) -> Recipe:
        """The recipe as this run resolved it."""
        return load_recipe(self.folder / "recipe.yaml").recipe

    def model(self) -> Path:
        """The model that the run ended with, or the furthest it came to."""
        for node in (str(self.state.get("final")), "small", "model", "base"):
            if node in self.steps:
                return self.steps[node][0]
        raise UserError(f"run {self.name!r} has made no model yet", "`lianlu run` goes on with it")


def _lock_run(folder: Path) -> int:
    """A descriptor held while a run goes on; the kernel lets go of it with the process."""
    lock = os.open(folder / ".lock", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UserError(
            f"run {folder.name!r} is going on in another process",
            "wait for it, or give this one a name of its own: name=other",
        ) from None
    return lock


def _read_state(path: Path) -> dict[str, Any]:
    """The state in `run.json`, or nothing where there is none that can be read."""
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return state


def _keys(state: Mapping[str, Any]) -> dict[str, str]:
    """The key of every step that a record names; its own nodes before earlier ones."""
    named = {node["name"]: node["key"] for node in state.get("nodes", ()) if node.get("key")}
    return {**state.get("earlier", {}), **named}


def read_run(runs: Path, name: str) -> Run:
    """Raises UserError naming the runs there are when there is none of this name."""
    folder = runs / name
    try:
        state = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(path.parent.name for path in runs.glob(f"*/{RUN}"))
        hint = f"runs there: {', '.join(known)}" if known else "`lianlu run RECIPE` makes one"
        raise UserError(f"{runs}: no run {name!r}", hint) from None
    except ValueError:
        raise UserError(
            f"{folder / RUN}: damaged", "run the recipe again; its steps are kept"
        ) from (None)
    store = StepStore(runs)
    steps = {}
    for node in state["nodes"]:
        record = store.find(node["name"], node["key"]) if node.get("key") else None
        if record is not None:
            steps[node["name"]] = (store.place(node["name"], node["key"]), record)
    found = {name: store.find(name, key) for name, key in state.get("earlier", {}).items()}
    earlier = {name: record for name, record in found.items() if record is not None}
    return Run(folder, state, steps, earlier)


def unreached(runs: Path, delete: bool) -> list[tuple[Path, int]]:
    """The steps that no run's record names, with their bytes; `delete` removes them.

    Raises UserError for a damaged record, since what it names must not be lost for that, and when
    something is to be deleted while a run is going on.
    """
    store = StepStore(runs)
    kept: set[str] = set()
    for path in runs.glob(f"*/{RUN}"):
        keys = _keys(read_run(runs, path.parent.name).state)
        kept |= {store.place(name, key).name for name, key in keys.items()}
        if delete:
            os.close(_lock_run(path.parent))
    dead = store.unreached(kept)
    for place, _ in dead if delete else ():
        shutil.rmtree(place)
    return dead
