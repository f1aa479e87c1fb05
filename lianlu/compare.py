"""Two runs side by side: which fields, inputs and results differ."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from lianlu.lineage import StepRecord, changes
from lianlu.record import Run


def compare_runs(first: Run, second: Run) -> list[dict[str, Any]]:
    """One row a node of either run: `same`, or why not, and the scores that moved."""
    names = dict.fromkeys([*first.steps, *second.steps])
    return [_compare(name, first, second) for name in names]


def comparison_table(first: str, second: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("node", "result", f"{first} → {second}"):
        table.add_column(escape(column), overflow="fold")
    for row in rows:
        told = [*row["changes"], *(f"{k} {a:.4g} → {b:.4g}" for k, (a, b) in row["scores"].items())]
        style = "dim" if row["result"] == "same" else "yellow"
        table.add_row(row["node"], f"[{style}]{row['result']}[/]", escape("; ".join(told)))
    return table


def _compare(name: str, first: Run, second: Run) -> dict[str, Any]:
    row: dict[str, Any] = {"node": name, "changes": [], "scores": {}}
    if name not in first.steps or name not in second.steps:
        return row | {"result": f"only in {(first if name in first.steps else second).name}"}
    old, new = first.steps[name][1], second.steps[name][1]
    inputs = {node: entry["digest"] for node, entry in new.inputs.items()}
    row["changes"] = changes(old, new.identity, inputs)
    row["scores"] = _moved(old, new)
    return row | {"result": "same" if old.digest == new.digest else "differs"}


def _moved(old: StepRecord, new: StepRecord) -> dict[str, tuple[float, float]]:
    before, after = old.facts.get("scores", {}), new.facts.get("scores", {})
    return {
        score: (before[score]["value"], after[score]["value"])
        for score in before
        if score in after and before[score]["value"] != after[score]["value"]
    }
