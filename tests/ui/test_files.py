import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.ui.files import inside, number, read_json, tail_rows, text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@pytest.mark.parametrize("content", [b"", b'{"name": "de', b"\xff\xfe{", b"[" * 200_000])
def test_half_written_json_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    assert read_json(tmp_path / "run.json") is None


def test_missing_huge_and_odd_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "big.json").write_text("[" + "1," * 100 + "1]")
    os.mkfifo(tmp_path / "pipe.json")
    assert read_json(tmp_path / "none.json") is None
    assert read_json(tmp_path / "big.json", limit=64) is None
    assert read_json(tmp_path / "pipe.json") is None
    assert tail_rows(tmp_path / "pipe.json") == []
    assert tail_rows(tmp_path) == []


def test_tail_gives_whole_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n[2]\nnot json\n\xff\xff\n{"step": 3}\n{"step": 4')
    assert tail_rows(path) == [{"step": 1}, {"step": 3}]


def test_tail_of_a_long_file_begins_at_a_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in range(1000)))
    rows = tail_rows(path, limit=100)
    assert rows == [{"step": step} for step in range(1000 - len(rows), 1000)]
    assert 0 < len(rows) < 10


@given(VALUES)
def test_any_json_value_becomes_text_that_can_be_sent(value: object) -> None:
    assert len(text(value, 50).encode("utf-8").decode("utf-8")) <= 51


def test_lone_surrogates_are_replaced() -> None:
    assert text(json.loads('"a\\ud800b"')) == "a?b"


@given(VALUES)
def test_numbers_are_finite(value: object) -> None:
    told = number(value)
    assert told is None or json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "a\\b", "a\0b", "x" * 999, None, 3])
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: object) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert inside(tmp_path / "a", name) is None


def test_links_that_lead_outside_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "steps" / "real").mkdir(parents=True)
    (tmp_path / "steps" / "link").symlink_to(tmp_path / "secret")
    assert inside(tmp_path / "steps", "link") is None
    assert inside(tmp_path / "steps", "real") == (tmp_path / "steps" / "real").resolve()
