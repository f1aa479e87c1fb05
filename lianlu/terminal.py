"""What a person sees in the terminal while a run works."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from lianlu.job import Job
from lianlu.lineage import StepRecord
from lianlu.progress import Event
from lianlu.progress import Progress as StepProgress
from lianlu.steps import Node


class Terminal:
    """A watcher that prints a line a step, and bars while one works (on a terminal only)."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars: Progress | None = None
        self.tasks: dict[str, TaskID] = {}

    def kept(self, node: Node, record: StepRecord) -> None:
        self._line("kept", node, facts_line(record.facts), "dim")

    def started(self, node: Node, key: str, why: str) -> None:
        self._line("start", node, why, "cyan")
        if self.console.is_terminal:
            self.bars = Progress(
                TextColumn("        {task.description:<24}"),
                BarColumn(bar_width=32),
                TextColumn("{task.percentage:>3.0f}%  {task.fields[amount]}"),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self.bars.start()

    def event(self, node: Node, event: Event) -> None:
        if "say" in event:
            self.console.print(f"[dim]        {escape(str(event['say']))}[/]")
        elif self.bars is not None:
            self._bar(self.bars, event)

    def done(self, node: Node, record: StepRecord) -> None:
        self._stop()
        used = f"{record.seconds:.1f} s, {megabytes(record.peak_rss_bytes)}"
        self._line("done", node, f"{used}  {facts_line(record.facts)}", "green")

    def failed(self, node: Node, message: str) -> None:
        self._stop()
        self._line("failed", node, "", "red")

    def _bar(self, bars: Progress, event: Event) -> None:
        name = event["task"]
        if name not in self.tasks:
            self.tasks[name] = bars.add_task(escape(name), total=event["total"], amount="")
        amount = f"{event['done']:,.0f}"
        if event["total"]:
            amount += f" / {event['total']:,.0f}"
        bars.update(
            self.tasks[name],
            completed=event["done"],
            total=event["total"],
            amount=f"{amount} {event['unit']}",
        )

    def _stop(self) -> None:
        if self.bars is not None:
            self.bars.stop()
        self.bars, self.tasks = None, {}

    def _line(self, state: str, node: Node, text: str, style: str) -> None:
        self.console.print(f"[{style}]{state:>6}[/]  [bold]{node.name:<12}[/] {escape(text)}")


def listening_job(console: Console, out: Path, inputs: Mapping[str, Path]) -> Job:
    """A job outside a run: writes `out`, and shows its progress as lines."""
    out.mkdir(parents=True, exist_ok=True)
    return Job(out=out, inputs=inputs, progress=StepProgress(out, listener(console)))


def listener(console: Console) -> Callable[[Event], None]:
    """Prints what a link says, and one line a finished task."""

    def listen(event: Event) -> None:
        if "say" in event:
            console.print(f"[dim]{escape(str(event['say']))}[/]")
        elif event.get("finished"):
            console.print(f"[dim]{escape(event['task'])}: {event['done']:,.0f} {event['unit']}[/]")

    return listen


def facts_line(facts: Mapping[str, Any]) -> str:
    """The few facts that fit a line: numbers and short words, in the link's own order."""
    told = []
    for name, value in facts.items():
        if name == "scores":
            told += [f"{score} {entry['value']:.3g}" for score, entry in value.items()]
        elif isinstance(value, bool | str) and len(str(value)) <= 16:
            told.append(f"{name} {value}")
        elif isinstance(value, int | float):
            told.append(f"{name} {number(value)}")
    return ", ".join(told[:5])


def megabytes(count: float | None) -> str:
    return "" if not count else f"{count / 2**20:,.0f} MiB"


def number(value: float) -> str:
    if isinstance(value, int) or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}"
