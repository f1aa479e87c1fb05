"""Sources: what is listed, in which order, under which digest."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lianlu.errors import UserError
from lianlu.refine.config import PathSource, PythonDocsSource
from lianlu.refine.sources import digest, kind_of, list_pieces


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    (docs / "deep").mkdir(parents=True)
    (docs / "b.txt").write_text("second")
    (docs / "deep" / "a.html").write_text("<p>first</p>")
    (docs / "tool.py").write_text("x = 1")
    (docs / ".hidden").write_text("not read")
    return docs


def test_a_folder_is_listed_in_order_without_hidden_files(folder: Path) -> None:
    pieces = list_pieces([PathSource(path=Path("docs"))], folder.parent)
    assert [(p.uri, p.kind, p.genre) for p in pieces] == [
        ("b.txt", "text", "prose"),
        ("deep/a.html", "html", "prose"),
        ("tool.py", "python", "code"),
    ]
    assert {p.source for p in pieces} == {"docs"}


def test_a_file_is_a_source(folder: Path) -> None:
    (piece,) = list_pieces([PathSource(path=folder / "b.txt")], Path())
    assert (piece.source, piece.uri) == ("b.txt", "b.txt")


def test_include_narrows(folder: Path) -> None:
    pieces = list_pieces([PathSource(path=folder, include=["**/*.html", "*.py"])], Path())
    assert [p.uri for p in pieces] == ["deep/a.html", "tool.py"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (PathSource(path=Path("nowhere")), "does not exist"),
        (PathSource(path=Path("docs"), include=["*.pdf"]), "holds no document"),
        (PathSource(path=Path("docs"), include=["/etc/*"]), "include"),
    ],
)
def test_a_bad_source_is_the_users_mistake(folder: Path, source: PathSource, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        list_pieces([source], folder.parent)
    assert caught.value.hint


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Takes a folder's rights away, also for root."""
    scandir = os.scandir

    def lock(folder: Path) -> None:
        def refuse(path: Any = ".") -> Any:
            if Path(path) == folder:
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)

    return lock


def test_a_folder_that_cannot_be_listed_is_a_piece_with_its_error(
    folder: Path, locked: Callable[[Path], None]
) -> None:
    open_digest = digest(PathSource(path=folder), Path())
    locked(folder / "deep")
    pieces = list_pieces([PathSource(path=folder)], Path())
    assert [p.uri for p in pieces] == ["b.txt", "deep/", "tool.py"]
    assert pieces[1].error == "PermissionError: Permission denied"
    assert digest(PathSource(path=folder), Path()) != open_digest


@pytest.mark.parametrize(
    ("include", "looks"),
    [("**/*.html", True), ("deep/*", True), ("d*/**/x", True), ("*.txt", False), ("o/*", False)],
)
def test_only_folders_that_are_asked_for_are_missed(
    folder: Path, locked: Callable[[Path], None], include: str, looks: bool
) -> None:
    locked(folder / "deep")
    pieces = list_pieces([PathSource(path=folder, include=["*.txt", include])], Path())
    assert any(p.uri == "deep/" for p in pieces) == looks


def test_a_source_that_cannot_be_listed_is_the_users_mistake(
    folder: Path, locked: Callable[[Path], None]
) -> None:
    locked(folder)
    with pytest.raises(UserError, match="cannot be read: PermissionError"):
        list_pieces([PathSource(path=folder)], Path())


def test_a_file_that_may_not_be_looked_at_is_a_piece(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_file = Path.is_file

    def refuse(path: Path) -> bool:
        if path.name == "a.html":
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    pieces = list_pieces([PathSource(path=folder)], Path())
    assert "deep/a.html" in [p.uri for p in pieces]


def test_two_sources_of_one_name_and_no_source(folder: Path) -> None:
    with pytest.raises(UserError, match="two sources"):
        list_pieces([PathSource(path=folder), PathSource(path=folder)], Path())
    with pytest.raises(UserError, match="no sources"):
        list_pieces([], Path())


def test_the_digest_is_of_the_content_not_of_the_place(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "docs"
    shutil.copytree(folder, copy)
    first = digest(PathSource(path=folder), Path())
    assert digest(PathSource(path=Path("docs")), copy.parent) == first
    (copy / "b.txt").write_text("changed")
    assert digest(PathSource(path=copy), Path()) != first
    (copy / "b.txt").write_text("second")
    (copy / "b.txt").rename(copy / "c.txt")
    assert digest(PathSource(path=copy), Path()) != first


def test_python_docs_has_three_parts_within_the_limit() -> None:
    pieces = list_pieces([PythonDocsSource()], Path())
    assert {p.genre for p in pieces} == {"reference", "code", "prose"}
    modules = {module for p in pieces if p.kind == "python" for module in p.modules}
    assert {"textwrap", "json", "json.decoder"} <= modules
    small = list_pieces([PythonDocsSource(limit_mb=0.5, parts=["sources"])], Path())
    assert 0 < sum(Path(p.path).stat().st_size for p in small) <= 500_000
    assert {p.uri for p in small} < {p.uri for p in pieces}


def test_the_digest_of_python_docs_follows_what_is_taken() -> None:
    small, smaller = PythonDocsSource(limit_mb=1), PythonDocsSource(limit_mb=0.5)
    assert digest(small, Path()) == digest(small, Path("/"))
    assert digest(small, Path()) != digest(smaller, Path())
    with pytest.raises(UserError, match="holds no document"):
        list_pieces([PythonDocsSource(limit_mb=1e-6, parts=["pydoc"])], Path())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.HTM", "html"),
        ("a.jsonl.gz", "jsonl"),
        ("a.ndjson.zst", "jsonl"),
        ("a.parquet", "parquet"),
        ("README.md", "markdown"),
        ("METADATA", "text"),
        ("x.rst", "rst"),
        ("x.rs", "code"),
        ("x.pyi", "python"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert kind_of(Path(name)) == kind
