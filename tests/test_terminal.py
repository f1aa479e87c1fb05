"""What a run prints: a line a step, on any kind of console; a link's words are never markup."""

import io
from pathlib import Path

from rich.console import Console

from lianlu.lineage import StepRecord
from lianlu.steps import Node
from lianlu.terminal import Terminal, facts_line, listening_job, megabytes, number

NODE = Node("corpus", "refine", {}, {})
RECORD = StepRecord(
    "corpus", "refine", 1, "k", {}, {}, {}, "d", {"kept": 1200, "loss": 2.34567}, seconds=3.0
)


def printed(terminal: bool) -> str:
    file = io.StringIO()
    watcher = Terminal(Console(file=file, width=100, force_terminal=terminal, highlight=False))
    watcher.started(NODE, "k", "new")
    watcher.event(NODE, {"task": "read [bold]", "done": 3.0, "total": 9.0, "unit": "pages"})
    watcher.event(NODE, {"say": "three [red]odd[/] pages"})
    watcher.done(NODE, RECORD)
    watcher.kept(NODE, RECORD)
    watcher.failed(NODE, "the disk is full")
    return file.getvalue()


def test_lines_without_a_terminal() -> None:
    told = printed(terminal=False)
    assert "start  corpus       new" in told
    assert "three [red]odd[/] pages" in told
    assert "done  corpus       3.0 s,   kept 1,200, loss 2.346" in told
    assert "kept  corpus" in told
    assert "failed  corpus" in told
    assert "\x1b" not in told


def test_bars_on_a_terminal() -> None:
    assert "3 / 9 pages" in printed(terminal=True)


def test_facts_in_a_line() -> None:
    facts = {"scores": {"answer": {"value": 0.51234}}, "n": 5, "ok": True, "list": [1]}
    assert facts_line(facts) == "answer 0.512, n 5, ok True"


def test_units() -> None:
    assert megabytes(None) == ""
    assert megabytes(3 * 2**20) == "3 MiB"
    assert number(2.0) == "2"
    assert number(0.012345) == "0.01235"


def test_a_job_outside_a_run_tells_its_progress(tmp_path: Path) -> None:
    file = io.StringIO()
    job = listening_job(Console(file=file, width=80), tmp_path / "out", {})
    job.progress.begin("count", 2, "items")
    job.progress.finish("count")
    job.progress.say("done [x]")
    assert "count: 2 items" in file.getvalue()
    assert "done [x]" in file.getvalue()
