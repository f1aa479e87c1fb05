"""trace: documents that share the longest runs of words with a text."""

from pathlib import Path

import pyarrow as pa
import pytest

from lianlu.errors import UserError
from lianlu.refine.corpus import SCHEMA, write_corpus
from lianlu.refine.trace import trace

TEXTS = [
    "Return the absolute value of the argument.",
    "First this. Return the Absolute, Value of\na number and stop.",
    "Return something else.",
    "",
    "把原始文档变成模型。",
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = [
        {"id": str(i), "text": text, "source": "s", "meta": f'{{"uri": "u{i}"}}', "media": []}
        for i, text in enumerate(TEXTS)
    ]
    write_corpus(pa.Table.from_pylist(rows, SCHEMA), tmp_path)
    return tmp_path


def test_the_longest_run_comes_first(corpus: Path) -> None:
    asked = "“Ö” – return the absolute value of the difference"
    first, second = trace(corpus, asked)
    assert (first["id"], first["uri"], first["words"]) == ("0", "u0", 6)
    assert first["text"] == "return the absolute value of the"
    assert asked[slice(*first["span"])] == first["text"]
    assert first["shared"] == "Return the absolute value of the"
    assert (second["id"], second["words"]) == ("1", 5)
    assert second["shared"] == "Return the Absolute, Value of"


def test_chinese(corpus: Path) -> None:
    (match,) = trace(corpus, "如何把原始文档变成好模型")
    assert (match["id"], match["text"]) == ("4", "把原始文档变成")


@pytest.mark.parametrize("text", ["", "...", "return the", "nothing of this occurs anywhere"])
def test_nothing_shared_is_no_match(corpus: Path, text: str) -> None:
    assert trace(corpus, text) == []


def test_the_limit_and_a_missing_corpus(corpus: Path, tmp_path: Path) -> None:
    assert len(trace(corpus, TEXTS[0], limit=1)) == 1
    with pytest.raises(UserError):
        trace(tmp_path / "nowhere", TEXTS[0])
