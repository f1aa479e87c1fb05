"""A step is run or kept; a killed one leaves its part and is made again with the same bytes."""

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import psutil
import pytest

from lianlu.errors import StepFailed, UserError
from lianlu.lineage import StepRecord, StepStore
from lianlu.progress import Event
from lianlu.steps import Artefact, Node, keep_or_run, require_space, worker_environment


class Notes:
    """A watcher that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def kept(self, node: Node, record: StepRecord) -> None:
        self.told.append(f"kept {node.name}")

    def started(self, node: Node, key: str, why: str) -> None:
        self.told.append(f"started {node.name}: {why}")

    def event(self, node: Node, event: Event) -> None:
        pass

    def done(self, node: Node, record: StepRecord) -> None:
        self.told.append(f"done {node.name}")

    def failed(self, node: Node, message: str) -> None:
        self.told.append(f"failed {node.name}")


class Killer(Notes):
    """Kills the worker as soon as there is one."""

    def started(self, node: Node, key: str, why: str) -> None:
        threading.Thread(target=self._kill).start()

    def _kill(self) -> None:
        while not (children := psutil.Process().children()):
            pass
        for child in children:
            child.kill()


def tokenizer_node(corpus: Path, vocab_size: int = 310) -> Node:
    config = {"vocab_size": vocab_size, "sample_mb": 1.0}
    inputs = {"corpus": Artefact("corpus", "digest of the corpus", corpus)}
    return Node("tokenizer", "tokenizer", config, config, inputs)


def test_a_step_is_made_once_then_kept(tmp_path: Path, tiny_corpus: Path) -> None:
    store, notes = StepStore(tmp_path), Notes()
    node = tokenizer_node(tiny_corpus)
    first = keep_or_run(node, store, notes)
    second = keep_or_run(node, store, notes)
    assert notes.told == ["started tokenizer: new", "done tokenizer", "kept tokenizer"]
    assert first == second
    assert first.path is not None
    assert (first.path / "tokenizer.json").exists()
    record = store.find("tokenizer", first.key)
    assert record is not None
    assert record.peak_rss_bytes > 10 * 2**20
    assert record.packages["python"]
    assert not list(first.path.glob("*.tmp"))


def test_a_change_is_named_and_equal_bytes_give_equal_digests(
    tmp_path: Path, tiny_corpus: Path
) -> None:
    store, notes = StepStore(tmp_path), Notes()
    first = keep_or_run(tokenizer_node(tiny_corpus), store, notes)
    before = store.find("tokenizer", first.key)
    again = keep_or_run(tokenizer_node(tiny_corpus), store, notes, before=before, again=True)
    other = keep_or_run(tokenizer_node(tiny_corpus, 301), store, notes, before=before)
    assert again.digest == first.digest
    assert other.digest != first.digest
    assert "started tokenizer: vocab_size 310 → 301" in notes.told
    assert "started tokenizer: asked for again" in notes.told


def test_a_killed_worker_is_told_and_made_good(tmp_path: Path, tiny_corpus: Path) -> None:
    undisturbed = keep_or_run(tokenizer_node(tiny_corpus), StepStore(tmp_path / "a"), Notes())
    store = StepStore(tmp_path / "b")
    with pytest.raises(StepFailed, match="signal 9"):
        keep_or_run(tokenizer_node(tiny_corpus), store, Killer())
    assert list(store.root.glob("*.part"))
    made = keep_or_run(tokenizer_node(tiny_corpus), store, Notes())
    assert made.digest == undisturbed.digest
    assert not list(store.root.glob("*.part"))


def test_a_damaged_step_is_made_anew(tmp_path: Path, tiny_corpus: Path) -> None:
    store, notes = StepStore(tmp_path), Notes()
    first = keep_or_run(tokenizer_node(tiny_corpus), store, notes)
    assert first.path is not None
    (first.path / "tokenizer.json").write_text("{}")
    second = keep_or_run(tokenizer_node(tiny_corpus), store, notes)
    assert second.digest == first.digest
    assert (first.path / "tokenizer.json").stat().st_size > 2
    assert notes.told.count("done tokenizer") == 2


def test_what_a_link_complains_of_reaches_the_person(tmp_path: Path) -> None:
    notes = Notes()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises((UserError, StepFailed)) as caught:
        keep_or_run(tokenizer_node(empty), StepStore(tmp_path), notes)
    assert str(caught.value).startswith("tokenizer: ")
    assert "Traceback" not in str(caught.value)
    assert notes.told[-1] == "failed tokenizer"


def _make(runs: Path, corpus: Path, results: "multiprocessing.Queue[list[str]]") -> None:
    notes = Notes()
    keep_or_run(tokenizer_node(corpus), StepStore(runs), notes)
    results.put(notes.told)


def test_two_runs_that_want_one_step_make_it_once(tmp_path: Path, tiny_corpus: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[str]] = spawn.Queue()
    both = [spawn.Process(target=_make, args=(tmp_path, tiny_corpus, results)) for _ in range(2)]
    for process in both:
        process.start()
    told = sorted([results.get(timeout=60), results.get(timeout=60)])
    for process in both:
        process.join()
    assert told == [["kept tokenizer"], ["started tokenizer: new", "done tokenizer"]]


def test_a_worker_dies_with_its_run(tmp_path: Path, tiny_corpus: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[str]] = spawn.Queue()
    run = spawn.Process(target=_make, args=(tmp_path, tiny_corpus, results))
    run.start()
    assert run.pid is not None
    parent = psutil.Process(run.pid)
    while not parent.children():
        assert run.is_alive()
    workers = parent.children()
    os.kill(run.pid, signal.SIGKILL)
    run.join()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_a_disk_too_small_is_told_before_the_work(tmp_path: Path) -> None:
    require_space(tmp_path, 1.0)
    with pytest.raises(UserError, match="GB are free"):
        require_space(tmp_path, 1e18)


def test_workers_report_to_nobody() -> None:
    environment = worker_environment()
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["HF_HUB_DISABLE_TELEMETRY"] == "1"
