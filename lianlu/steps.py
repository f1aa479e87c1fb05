"""Run a step or keep it: the one place where work is started, recorded and found again."""

import fcntl
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

import lianlu
from lianlu.errors import StepFailed, UserError
from lianlu.lineage import (
    StepRecord,
    StepStore,
    changes,
    digest_of,
    digest_outputs,
    step_key,
    write_json,
)
from lianlu.links import LINKS
from lianlu.plan.hardware import JEMALLOC
from lianlu.progress import PROGRESS, Event
from lianlu.worker import ERROR, JOB, RESULT, SPEECHLESS

TRACKED_PACKAGES = ("torch", "numpy", "pyarrow", "tokenizers", "daft", "safetensors")


@dataclass(frozen=True)
class Artefact:
    """What a node gave: a directory and its digest. In a plan, `path` is None until it is made."""

    node: str
    digest: str
    path: Path | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""

    @property
    def pending(self) -> bool:
        return self.path is None


@dataclass(frozen=True)
class Node:
    """One step of the chain, as the recipe asks for it."""

    name: str
    link: str
    config: dict[str, Any]
    """What the link is called with: every field of its section."""
    identity: dict[str, Any]
    """The part of it that decides the output, and so the key."""
    inputs: Mapping[str, Artefact] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    """Arguments beside the section; what of them decides the output stands in `identity` too."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Digests of inputs that are no artefacts: sources, a base model from outside."""
    settings: dict[str, Any] = field(default_factory=dict)
    predicted: Mapping[str, float] = field(default_factory=dict)

    @property
    def pending(self) -> bool:
        return any(artefact.pending for artefact in self.inputs.values())

    def input_digests(self) -> dict[str, str]:
        return {name: a.digest for name, a in self.inputs.items()} | dict(self.digests)

    def key(self) -> str:
        version = LINKS[self.link].version
        return step_key(self.link, version, self.identity, self.input_digests())


class Watcher(Protocol):
    """Who is told what the runner does: a terminal, the run's record, a test."""

    def kept(self, node: Node, record: StepRecord) -> None: ...
    def started(self, node: Node, key: str, why: str) -> None: ...
    def event(self, node: Node, event: Event) -> None: ...
    def done(self, node: Node, record: StepRecord) -> None: ...
    def failed(self, node: Node, message: str) -> None: ...


def keep_or_run(
    node: Node,
    store: StepStore,
    watcher: Watcher,
    *,
    before: StepRecord | None = None,
    again: bool = False,
) -> Artefact:
    """The artefact of `node`: found if this very work was done before, made otherwise.

    `before` is the same node's record in the last run, to say what changed; `again` makes it anew.
    Raises UserError or StepFailed as the link did; its part stays for the next attempt.
    """
    key = node.key()
    with _locked(store, node, key, watcher):
        record = None if again else store.find(node.name, key)
        if record is not None:
            watcher.kept(node, record)
        else:
            watcher.started(node, key, _why(node, before, again))
            try:
                require_space(store.root, node.predicted.get("disk_bytes", 0))
                record = _run(node, key, store, watcher)
            except BaseException as error:  # a Ctrl-C too: whoever draws bars must stop
                watcher.failed(node, str(error) or "stopped")
                raise
            watcher.done(node, record)
    place = store.place(node.name, key)
    return Artefact(node.name, record.digest, place, record.facts, key)


def _why(node: Node, before: StepRecord | None, again: bool) -> str:
    if again:
        return "asked for again"
    if before is None:
        return "new"
    return ", ".join(changes(before, node.identity, node.input_digests())) or "its files are gone"


@contextmanager
def _locked(store: StepStore, node: Node, key: str, watcher: Watcher) -> Iterator[None]:
    """Two runs may want one step at once: the second says that it waits, then finds it kept."""
    locks = store.root / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / f"{node.name}-{key[:16]}").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            watcher.event(node, {"say": f"another run is making {node.name}; waiting for it"})
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(node: Node, key: str, store: StepStore, watcher: Watcher) -> StepRecord:
    part = store.part(node.name, key)
    part.mkdir(parents=True, exist_ok=True)
    for name in (RESULT, ERROR, PROGRESS):
        (part / name).unlink(missing_ok=True)
    for draft in part.rglob("*.tmp"):  # half a file that a kill or a full disk left
        draft.unlink()
    order = {
        "link": node.link,
        "config": node.config,
        "extra": node.extra,
        "inputs": {name: str(a.path) for name, a in node.inputs.items()},
        "parent": os.getpid(),
    }
    write_json(part / JOB, order)
    started = time.time()
    code, peak = _work(node, part, watcher)
    finished = time.time()
    if code != 0 or not (part / RESULT).exists():
        raise _failure(node, part, code)
    result = json.loads((part / RESULT).read_text(encoding="utf-8"))
    outputs = digest_outputs(part)
    inputs = {name: {"key": "", "digest": digest} for name, digest in node.digests.items()}
    inputs |= {name: {"key": a.key, "digest": a.digest} for name, a in node.inputs.items()}
    record = StepRecord(
        name=node.name,
        link=node.link,
        version=LINKS[node.link].version,
        key=key,
        identity=node.identity,
        inputs=inputs,
        outputs=outputs,
        digest=digest_of(outputs),
        facts=result["facts"],
        settings=node.settings,
        seconds=round(finished - started, 2),
        peak_rss_bytes=max(result["peak_rss_bytes"], peak),
        predicted=dict(node.predicted),
        lianlu=lianlu.__version__,
        packages=dict(_versions()),
        started=started,
        finished=finished,
    )
    for name in (JOB, RESULT):
        (part / name).unlink()
    store.commit(record)
    return record


def _work(node: Node, part: Path, watcher: Watcher) -> tuple[int, int]:
    """Start the worker and pass its events on until it ends.

    Returns its exit code, and the most memory that it and its own children held together, looked
    at twice a second. (The worker knows its own peak exactly, but not theirs.)
    """
    with (part / "log.txt").open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "lianlu.worker", str(part)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=worker_environment(),
        )
        try:
            events, peak, looks = _Tail(part / PROGRESS), 0, 0
            while worker.poll() is None:
                for event in events.read():
                    watcher.event(node, event)
                if looks % 5 == 0:
                    peak = max(peak, _memory_of(worker.pid))
                looks += 1
                time.sleep(0.1)
            for event in events.read():
                watcher.event(node, event)
            return worker.returncode, peak
        finally:
            if worker.poll() is None:  # Ctrl-C, or an error of ours: the step ends with us
                worker.kill()
                worker.wait()


def _memory_of(pid: int) -> int:
    """Resident bytes of a process and the Python processes below it; shared pages count for each.

    A C++ compiler that torch.compile starts is left out: its half gigabyte is gone before training
    comes to its own peak, which is what a plan predicts.
    """
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            if process.name().startswith("python"):
                total += process.memory_info().rss
    except psutil.Error:  # one of them has just ended
        return 0
    return total


class _Tail:
    """Reads the whole lines that were appended to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def read(self) -> list[Event]:
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                fresh = file.read()
        except FileNotFoundError:
            return []
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


def _failure(node: Node, part: Path, code: int) -> UserError | StepFailed:
    try:
        error = json.loads((part / ERROR).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        if code == SPEECHLESS:
            return StepFailed(f"{node.name}: {_last_line(part / 'log.txt')}")
        told = f"ended with signal {-code}" if code < 0 else f"ended with exit code {code}"
        killed = " (out of memory?)" if code == -9 else ""
        return StepFailed(f"{node.name}: the worker {told}{killed}; see {part / 'log.txt'}")
    kind = UserError if error["kind"] == "UserError" else StepFailed
    return kind(f"{node.name}: {error['message']}")


def _last_line(path: Path) -> str:
    lines = path.read_bytes()[-2000:].decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), f"see {path}")


def worker_environment() -> dict[str, str]:
    """What a step's process sees: no telemetry, a fixed hash order, jemalloc where it is installed.

    glibc gives large blocks back to the system at every step, and each page then faults anew:
    jemalloc that keeps them makes CPU training 1.4 to 1.8 times as fast.
    """
    environment = dict(os.environ)
    environment |= {
        "PYTHONHASHSEED": "0",
        # A json.py in the folder where lianlu is called is a document, not a module of ours.
        "PYTHONSAFEPATH": "1",
        "DO_NOT_TRACK": "1",
        "DAFT_ANALYTICS_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "true",
        # Threads that wait without spinning: on a busy machine spinning costs ten times the work.
        "OMP_WAIT_POLICY": "PASSIVE",
        # Compiling in worker processes costs 200 MB each and gains nothing on two cores.
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    jemalloc = next((str(path) for path in JEMALLOC if path.exists()), None)
    if jemalloc and "LD_PRELOAD" not in environment:
        environment["LD_PRELOAD"] = jemalloc
        environment.setdefault("MALLOC_CONF", "dirty_decay_ms:-1,muzzy_decay_ms:-1")
    return environment


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", sys.version.split()[0]
    for package in TRACKED_PACKAGES:
        try:
            yield package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue


def require_space(runs: Path, need_bytes: float) -> None:
    """Raises UserError before the work when the disk cannot hold what the plan expects."""
    free = shutil.disk_usage(runs).free
    if need_bytes > free:
        raise UserError(
            f"{runs}: {need_bytes / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free",
            "free some space, or put `runs:` on another disk",
        )
