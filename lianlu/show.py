"""What a person sees of a plan, of a run that is over, and of its parts."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lianlu.chain import Planned
from lianlu.doctor import Check
from lianlu.evaluate.table import compare, table
from lianlu.record import Decision, Run
from lianlu.terminal import megabytes, number

STYLES = {"kept": "dim", "ran": "green", "failed": "red", "running": "cyan"}
SCORE_NODES = ("before", "after", "after-small")
# What the ledger's and the trace's columns are to a person.
LABELS = {
    "span": "because of",
    "head": "duplicate of",
    "words": "words in a row",
    "shared": "in the document",
}
MODEL_OF = {"before": "base", "after": "tuned", "after-small": "compressed"}


def plan_rows(planned: Sequence[Planned]) -> list[dict[str, Any]]:
    """The plan as JSON rows; predictions in bytes and seconds."""
    return [
        {
            "node": item.node.name,
            "link": item.node.link,
            "state": "keep" if item.kept else "run",
            "why": item.why,
            **item.node.predicted,
        }
        for item in planned
    ]


def plan_table(planned: Sequence[Planned]) -> Table:
    table = _table("node", "plan", "why")
    for column in ("parameters", "tokens", "memory", "time", "disk"):
        table.add_column(column, justify="right")
    for item in planned:
        told = item.node.predicted
        table.add_row(
            item.node.name,
            "[dim]keep[/]" if item.kept else "[cyan]run[/]",
            escape(item.why),
            _count(told.get("parameters")),
            _count(told.get("tokens")),
            megabytes(told.get("memory_bytes")),
            f"{told['seconds']:,.0f} s" if "seconds" in told else "",
            megabytes(told.get("disk_bytes")),
        )
    to_run = [item.node.predicted for item in planned if not item.kept]
    table.add_section()
    table.add_row(
        "[bold]in all[/]",
        f"{len(to_run)} to run",
        "",
        "",
        "",
        megabytes(max((told.get("memory_bytes", 0) for told in to_run), default=0)),
        f"{sum(told.get('seconds', 0) for told in to_run):,.0f} s",
        megabytes(sum(told.get("disk_bytes", 0) for told in to_run)),
    )
    return table


def decisions_table(decisions: Sequence[Decision]) -> Table:
    table = _table("decision", "answer", "because")
    for decision in decisions:
        table.add_row(escape(decision.question), escape(decision.answer), escape(decision.reason))
    return table


def nodes_table(nodes: Sequence[Mapping[str, Any]]) -> Table:
    """The nodes of a run: state, time, predicted beside measured memory."""
    table = _table("node", "state", "why")
    for column in ("seconds", "memory", "predicted", "disk"):
        table.add_column(column, justify="right")
    for node in nodes:
        measured, predicted = node.get("measured", {}), node.get("predicted", {})
        table.add_row(
            node["name"],
            f"[{STYLES.get(node['state'], 'default')}]{node['state']}[/]",
            escape(node.get("error") or node.get("reason", "")),
            f"{measured['seconds']:.1f}" if measured else "",
            megabytes(measured.get("peak_rss_bytes")),
            megabytes(predicted.get("memory_bytes")),
            megabytes(measured.get("disk_bytes")),
        )
    return table


def show_run(console: Console, run: Run) -> None:
    state = run.state
    seconds = sum(node.get("seconds", 0) for node in state["nodes"] if node["state"] == "ran")
    console.print(f"[bold]{run.name}[/]  {state['state']}, {seconds:.0f} s of work in this run")
    console.print()
    console.print(nodes_table(state["nodes"]))
    console.print()
    console.print(decisions_table([Decision(**entry) for entry in state["decisions"]]))
    _show_progress_of_scores(console, run)
    if "trial" in run.steps:
        console.print()
        _show_trial(console, run.steps["trial"][1].facts)


def show_scores(console: Console, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """One row a score, one column a model: value, interval and n."""
    names = list(dict.fromkeys(name for of_model in scores.values() for name in of_model))
    shown = _table("score", *scores)
    for name in names:
        cells = [_score(of_model.get(name)) for of_model in scores.values()]
        shown.add_row(name, *cells)
    console.print(shown)


def show_summary(console: Console, run: Run) -> None:
    """The end of `lianlu run`: scores, the agent's result, and what to try next."""
    console.print()
    scores = _scores(run)
    if scores:
        show_scores(console, scores)
    if "trial" in run.steps:
        _show_trial(console, run.steps["trial"][1].facts)
    told = [f"lianlu show {run.name}", f"lianlu ui {run.name}"]
    if any(node in run.steps for node in ("base", "model")):
        told += [f"lianlu chat {run.name}", f"lianlu serve {run.name}"]
    if "dialogues" in run.steps and "base" in run.steps:
        told.append(f'lianlu agent {run.name} "What does os.path.join do?"')
    console.print("\ntry next:")
    for line in told:
        console.print(f"  {line}", markup=False)


def show_fields(console: Console, fields: Mapping[str, Any]) -> None:
    """Names and values, one a line; empty ones are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value is not None and value != "" and value != []:
            table.add_row(LABELS.get(name, name), escape(_word(value)))
    console.print(table)


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def show_trace(console: Console, run: Run, matches: Sequence[Mapping[str, Any]]) -> None:
    """Weights back to documents: the steps that lead to the model, then what shares the words."""
    for node, (path, record) in run.steps.items():
        made_of = ", ".join(record.inputs) or "nothing"
        console.print(f"[bold]{node:<12}[/] {path.name}  [dim]from {made_of}[/]")
    console.print()
    if not matches:
        console.print("no document of the corpus shares three words in a row with this text")
    for match in matches:
        show_fields(console, {name: value for name, value in match.items() if name != "span"})
        console.print()


def show_rows(console: Console, rows: Sequence[Mapping[str, Any]], none: str) -> None:
    if not rows:
        return console.print(none)
    table = _table(*rows[0])
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    console.print(table)


def show_checks(console: Console, checks: Sequence[Check]) -> None:
    table = _table("check", "state", "found", "advice")
    styles = {"ok": "green", "warn": "yellow", "fail": "red"}
    for check in checks:
        state = f"[{styles[check.state]}]{check.state}[/]"
        table.add_row(check.name, state, escape(check.found), escape(check.advice))
    console.print(table)


def _show_progress_of_scores(console: Console, run: Run) -> None:
    """From one scored model to the next: both estimates and the difference on the same items."""
    scored = [node for node in SCORE_NODES if node in run.steps]
    if len(scored) == 1:
        console.print()
        show_scores(console, _scores(run))
    for before, after in pairwise(scored):
        console.print()
        lines = compare(run.step(before), run.step(after))
        console.print(table(lines, MODEL_OF[before], MODEL_OF[after]))


def _scores(run: Run) -> dict[str, Mapping[str, Any]]:
    return {node: run.steps[node][1].facts["scores"] for node in SCORE_NODES if node in run.steps}


def _show_trial(console: Console, facts: Mapping[str, Any]) -> None:
    low, high = facts["interval"]
    console.print(
        f"agent through the served model: [bold]{facts['right']} of {facts['n']}[/] right"
        f" [{low:.0%}, {high:.0%}], {facts['called_right']} right calls"
    )


def _score(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return ""
    return (
        f"{entry['value']:.3f} [dim]\\[{entry['low']:.3f}, {entry['high']:.3f}] n {entry['n']}[/]"
    )


def _count(value: float | None) -> str:
    return "" if not value else number(value)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
