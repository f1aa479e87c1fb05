"""The comparison of two evaluations."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from lianlu import statistics
from lianlu.evaluate.store import Item, Score, Store
from lianlu.evaluate.table import compare, table


def write(
    folder: Path,
    verdicts: list[float],
    bits: list[float],
    expected: str = "gold",
    prompt: str = "p",
) -> Path:
    """An evaluation with one proportion and one measurement."""
    folder.mkdir()
    store = Store(folder, folder.name)
    found = statistics.wilson(sum(verdicts), len(verdicts))
    share = Score(
        "answer", found.value, found.low, found.high, len(verdicts), 0.95, "share", "higher", 0.0
    )
    items = [Item(f"q{i}", prompt, "", expected, v) for i, v in enumerate(verdicts)]
    store.finish(share, "a", items)
    pooled = statistics.mean(bits)
    measured = Score(
        "bits_per_byte", pooled.value, pooled.low, pooled.high, 4, 0.95, "b", "lower", None
    )
    documents = [Item(f"d{i}", "text", "", "", v, 7.0) for i, v in enumerate(bits)]
    store.finish(measured, "b", documents)
    store.close()
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    before = write(tmp_path / "a", [0.0] * 18 + [1.0, 1.0], [2.0, 3.0, 4.0, 5.0])
    after = write(tmp_path / "b", [1.0] * 18 + [1.0, 0.0], [2.1, 3.1, 4.1, 5.2])
    return before, after


def test_differences_are_paired(pair: tuple[Path, Path]) -> None:
    answer, bits = compare(*pair)
    assert answer.difference == statistics.paired_proportion(
        [0.0] * 18 + [1.0, 1.0], [1.0] * 18 + [1.0, 0.0]
    )
    assert (answer.n, answer.verdict) == (20, "better")
    # Unpaired, an interval of the difference would be wider than the difference many times over.
    assert bits.difference is not None
    assert bits.difference.value == pytest.approx(0.125)
    assert bits.difference.low > 0.04
    assert bits.verdict == "worse"


def test_the_same_twice_is_tied(pair: tuple[Path, Path]) -> None:
    assert [line.verdict for line in compare(pair[0], pair[0])] == ["tied", "tied"]


def test_items_that_expected_something_else_are_not_compared(tmp_path: Path) -> None:
    before = write(tmp_path / "a", [0.0, 1.0], [1.0, 2.0])
    after = write(tmp_path / "b", [0.0, 1.0], [1.0, 2.0], expected="silver")
    answer, _ = compare(before, after)
    assert (answer.n, answer.difference, answer.verdict) == (0, None, "")


def test_items_that_asked_something_else_are_not_compared(tmp_path: Path) -> None:
    before = write(tmp_path / "a", [0.0, 1.0], [1.0, 2.0])
    after = write(tmp_path / "b", [0.0, 1.0], [1.0, 2.0], prompt="another")
    answer, _ = compare(before, after)
    assert (answer.n, answer.difference, answer.verdict) == (0, None, "")


def test_the_table_tells_it_all(pair: tuple[Path, Path]) -> None:
    lines = compare(*pair)
    out = io.StringIO()
    Console(file=out, width=200).print(table(lines, "base", "tuned"))
    text = out.getvalue()
    for told in ("base", "tuned", "answer", "0.100", "0.950", "+0.850", "better", "worse"):
        assert told in text
