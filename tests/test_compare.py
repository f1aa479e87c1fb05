"""Two runs side by side."""

from pathlib import Path
from typing import Any

from rich.console import Console

from lianlu.compare import compare_runs, comparison_table
from lianlu.lineage import StepRecord
from lianlu.record import Run


def step(name: str, digest: str, lr: float = 0.1, score: float | None = None) -> StepRecord:
    facts: dict[str, Any] = {} if score is None else {"scores": {"answer": {"value": score}}}
    return StepRecord(name, "tune", 1, "k" * 64, {"lr": lr}, {}, {}, digest, facts)


def run(name: str, *steps: StepRecord) -> Run:
    return Run(Path(name), {"name": name}, {step.name: (Path(step.name), step) for step in steps})


def test_rows_tell_what_differs() -> None:
    first = run("a", step("corpus", "c"), step("model", "m1"), step("after", "s1", score=0.5))
    second = run(
        "b", step("corpus", "c"), step("model", "m2", lr=0.2), step("after", "s2", score=0.75)
    )
    rows = {row["node"]: row for row in compare_runs(first, second)}
    assert rows["corpus"] == {"node": "corpus", "changes": [], "scores": {}, "result": "same"}
    assert rows["model"]["changes"] == ["lr 0.1 → 0.2"]
    assert rows["model"]["result"] == "differs"
    assert rows["after"]["scores"] == {"answer": (0.5, 0.75)}


def test_a_node_of_one_run_only() -> None:
    rows = compare_runs(run("a", step("trial", "t")), run("b"))
    assert rows[0]["result"] == "only in a"


def test_the_table_shows_the_words(capsys: Any) -> None:
    rows = compare_runs(run("a", step("model", "m1")), run("b", step("model", "m2", lr=0.2)))
    Console(width=100).print(comparison_table("a", "b", rows))
    assert "lr 0.1 → 0.2" in capsys.readouterr().out
