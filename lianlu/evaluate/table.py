"""Scores of two models side by side, with what changed between them on the same items."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from lianlu import statistics
from lianlu.evaluate.store import Item, Score, read_items, read_scores


@dataclass(frozen=True)
class Line:
    """One score before and after; `difference` is over the `n` items that both have."""

    name: str
    before: Score | None
    after: Score | None
    difference: statistics.Difference | None
    n: int

    @property
    def verdict(self) -> str:
        """ "better", "worse", or "tied" when the interval of the difference holds zero."""
        score = self.after or self.before
        if self.difference is None or score is None:
            return ""
        if self.difference.low <= 0 <= self.difference.high:
            return "tied"
        return "better" if (self.difference.value > 0) == (score.better == "higher") else "worse"


def compare(before: Path, after: Path) -> list[Line]:
    """The scores of two evaluation directories, each name once, in the order of the second."""
    old = {score.name: score for score in read_scores(before)}
    new = {score.name: score for score in read_scores(after)}
    old_items, new_items = read_items(before), read_items(after)
    lines = []
    for name in [*new, *(name for name in old if name not in new)]:
        mine, theirs = new_items.get(name, {}), old_items.get(name, {})
        # An item counts as the same only if it asked and expected the same.
        common = [id_ for id_ in mine if id_ in theirs and _same(mine[id_], theirs[id_])]
        confidence = (new.get(name) or old[name]).confidence
        pairs = [theirs[id_] for id_ in common], [mine[id_] for id_ in common]
        difference = _difference(*pairs, confidence)
        lines.append(Line(name, old.get(name), new.get(name), difference, len(common)))
    return lines


def table(lines: Sequence[Line], before: str = "before", after: str = "after") -> Table:
    """For a terminal: estimate and interval of each, and the paired difference."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("score")
    for title in (before, after, "difference"):
        shown.add_column(title, justify="right")
    shown.add_column("")
    colours = {"better": "green", "worse": "red", "tied": "dim", "": ""}
    for line in lines:
        verdict = line.verdict
        told = f"[{colours[verdict]}]{verdict}[/]" if verdict else ""
        shown.add_row(
            line.name, _score(line.before), _score(line.after), _change(line.difference), told
        )
    return shown


def _same(one: Item, other: Item) -> bool:
    asked = (one.prompt, one.expected, one.weight)
    return asked == (other.prompt, other.expected, other.weight)


def _difference(
    before: Sequence[Item], after: Sequence[Item], confidence: float
) -> statistics.Difference | None:
    if len(before) < 2:
        return None
    old, new = [item.verdict for item in before], [item.verdict for item in after]
    weights = [item.weight for item in after]
    if set(old) | set(new) <= {0.0, 1.0} and set(weights) == {1.0}:
        return statistics.paired_proportion(old, new, confidence)
    return statistics.paired_mean(old, new, weights, confidence)


def _score(score: Score | None) -> str:
    if score is None:
        return "–"
    return f"{score.value:.3f} [dim]\\[{score.low:.3f}, {score.high:.3f}] n {score.n}[/]"


def _change(difference: statistics.Difference | None) -> str:
    if difference is None:
        return "–"
    low, high = f"{difference.low:+.3f}", f"{difference.high:+.3f}"
    return f"{difference.value:+.3f} [dim]\\[{low}, {high}] p {difference.p:.2g}[/]"
