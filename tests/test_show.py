"""Plans, runs and their parts as a person sees them."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from lianlu.chain import Planned
from lianlu.doctor import Check
from lianlu.lineage import StepRecord
from lianlu.record import Decision, Run
from lianlu.show import (
    decisions_table,
    plan_rows,
    plan_table,
    show_checks,
    show_fields,
    show_rows,
    show_run,
    show_scores,
    show_summary,
    show_trace,
)
from lianlu.steps import Node

SCORE = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}


def step(name: str, **facts: Any) -> StepRecord:
    return StepRecord(name, "link", 1, "k" * 64, {}, {}, {}, "d", facts)


def run() -> Run:
    trial = {"n": 50, "right": 41, "called_right": 48, "interval": [0.69, 0.9]}
    steps = {
        "base": (Path("base-1"), step("base")),
        "dialogues": (Path("dialogues-1"), step("dialogues")),
        "before": (Path("before-1"), step("before", scores={"answer": SCORE})),
        "trial": (Path("trial-1"), step("trial", **trial)),
    }
    node = {"name": "base", "state": "ran", "reason": "new [x]", "seconds": 9.0}
    measured = {"seconds": 9.0, "peak_rss_bytes": 2**30, "disk_bytes": 2**20}
    nodes = [node | {"measured": measured, "predicted": {"memory_bytes": 2**29}}]
    decisions = [{"question": "Tune?", "answer": "no", "reason": "because [y]"}]
    state = {"name": "demo", "state": "done", "nodes": nodes, "decisions": decisions}
    return Run(Path("runs/demo"), state, steps)


def told(show: Any, *arguments: Any) -> str:
    console = Console(file=io.StringIO(), width=140)
    show(console, *arguments)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_run() -> None:
    text = told(show_run, run())
    for words in ("demo  done, 9 s", "1,024 MiB", "512 MiB", "new [x]", "because [y]"):
        assert words in text
    assert "41 of 50 right [69%, 90%], 48 right calls" in text
    assert "0.500 [0.400, 0.600] n 100" in text


def test_the_end_of_a_run_says_what_to_try() -> None:
    text = told(show_summary, run())
    assert "lianlu show demo" in text
    assert 'lianlu agent demo "What does os.path.join do?"' in text


def test_a_plan() -> None:
    node = Node("base", "pretrain", {}, {}, predicted={"memory_bytes": 2**30, "seconds": 60.0})
    planned = [Planned(node, None, "lr 1 → 2"), Planned(Node("x", "l", {}, {}), step("x"), "same")]
    text = told(lambda console: console.print(plan_table(planned)))
    assert "1,024 MiB" in text
    assert "60 s" in text
    assert "1 to run" in text
    rows = plan_rows(planned)
    assert rows[0]["seconds"] == 60.0
    assert [row["state"] for row in rows] == ["run", "keep"]


def test_small_tables() -> None:
    decisions = [Decision("Tune?", "no", "[z]")]
    assert "[z]" in told(lambda console: console.print(decisions_table(decisions)))
    assert "nothing" in told(show_rows, [], "nothing")
    assert "b" in told(show_rows, [{"a": "b"}], "nothing")
    fields = {"id": "7", "rule": None, "scores": {"x": 1}, "text": "[bold]"}
    text = told(show_fields, fields)
    assert "[bold]" in text
    assert "rule" not in text
    assert "0.500" in told(show_scores, {"m": {"answer": SCORE}, "n": {}})
    assert "warn" in told(show_checks, [Check("disk", "warn", "1 GB", "free some")])


def test_a_trace() -> None:
    text = told(show_trace, run(), [{"id": "abc", "words": 8, "shared": "the same words"}])
    assert "base-1" in text
    assert "the same words" in text
    assert "no document" in told(show_trace, run(), [])
