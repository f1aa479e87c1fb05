"""Pieces to rows with every measure beside them."""

import json
from pathlib import Path
from typing import Any

import pytest

from lianlu.refine.config import PathSource, RefineConfig
from lianlu.refine.examine import DOCUMENT, SCORES, document_id, examine
from lianlu.refine.sources import list_pieces


def _rows(folder: Path, config: RefineConfig | None = None) -> dict[str, dict[str, Any]]:
    pieces = list_pieces([PathSource(path=folder, name="s")], Path())
    batches = list(examine(pieces, config or RefineConfig(max_document_mb=1), workers=1))
    assert batches[-1][2] == len(pieces)
    assert all(table.schema.names == [field.name for field in DOCUMENT] for table, *_ in batches)
    assert [len(table) for table, *_ in batches] == [found for _, found, _ in batches]
    rows = [row for table, *_ in batches for row in table.to_pylist()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {f"{row['uri']}:{json.loads(row['meta']).get('position', 0)}": row for row in rows}


def _scores(row: dict[str, Any]) -> dict[str, float]:
    return dict(zip(SCORES, row["values"], strict=True))


def test_every_document_is_a_row_with_its_measures(documents: Path) -> None:
    rows = _rows(documents)
    kiln, nearly, code = rows["kiln.txt:0"], rows["kiln-nearly.txt:0"], rows["tool.py:0"]
    assert (kiln["lang"], kiln["genre"], kiln["error"]) == ("en", "prose", "")
    assert _scores(kiln)["chars"] == len(kiln["text"])
    assert (code["lang"], code["genre"]) == ("code", "code")
    assert nearly["text"].endswith("Ask Ada: <email>.")
    assert _scores(nearly)["pii_email"] == 1
    menu = rows["menu.txt:0"]
    assert menu["spans"][SCORES.index("duplicate_lines")] == "the home of the news"
    assert json.loads(rows["rows.jsonl:2"]["meta"])["title"] == "grate"


def test_what_cannot_be_read_has_its_error(documents: Path) -> None:
    rows = _rows(documents)
    errors = {name: row["error"] for name, row in rows.items() if row["error"]}
    assert set(errors) == {
        "broken.html:0",
        "picture.png:0",
        "empty.md:0",
        "huge.txt:0",
        "rows.jsonl:1",
    }
    assert all(rows[name]["stage"] == "read" for name in errors)


def test_an_extractor_that_fails_quarantines_one_page(
    documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str, kind: str) -> tuple[str, str]:
        if "kiln" in text:
            raise RuntimeError("tripped")
        return text, ""

    monkeypatch.setattr("lianlu.refine.examine.extract", fail)
    rows = _rows(documents)
    assert rows["kiln.txt:0"]["error"] == "RuntimeError: tripped"
    assert rows["kiln.txt:0"]["stage"] == "extract"
    assert rows["oven.txt:0"]["error"] == ""


def test_personal_data_may_stay(documents: Path) -> None:
    row = _rows(documents, RefineConfig(pii="keep"))["kiln-nearly.txt:0"]
    assert "ada@lovelace.org" in row["text"]


def test_ids_tell_source_uri_and_position_apart() -> None:
    ids = {document_id(*name) for name in [("a", "b", 0), ("a", "b", 1), ("ab", "", 0)]}
    assert len(ids) == 3
    assert document_id("a", "b", 0) == document_id("a", "b", 0)


def test_lone_surrogates_do_not_stop_the_run(tmp_path: Path) -> None:
    line = '{"text": "a\\ud800b, and some more text", "title": "\\udfff"}\n'
    (tmp_path / "a.jsonl").write_text(line)
    (row,) = _rows(tmp_path).values()
    assert row["text"] == "ab, and some more text"
    assert json.loads(row["meta"])["title"] == "?"
