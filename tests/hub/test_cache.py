from pathlib import Path

import pytest

from lianlu.hub.cache import SOURCE, Source, home, place, read_source, write_source
from lianlu.hub.identifier import parse

NOTE = Source("hf:a/b", "c0ffee", {"config.json": {"sha256": "00", "bytes": 2}})


def test_revisions_lie_side_by_side(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIANLU_HOME", str(tmp_path))
    assert place(parse("hf:a/b")) == tmp_path / "hub/hf/models/a/b@main"
    assert place(parse("hf:datasets/a/b@refs/pr/1")).name == "b@refs%2Fpr%2F1"


def test_home_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIANLU_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".cache/lianlu"


def test_a_note_counts_only_beside_whole_files(tmp_path: Path) -> None:
    assert read_source(tmp_path) is None
    write_source(tmp_path, NOTE)
    assert read_source(tmp_path) is None
    (tmp_path / "config.json").write_text("{")
    assert read_source(tmp_path) is None
    (tmp_path / "config.json").write_text("{}")
    assert read_source(tmp_path) == NOTE


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": 1, "revision": 2, "files": [3]}'])
def test_a_damaged_note_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / SOURCE).write_text(text)
    assert read_source(tmp_path) is None
