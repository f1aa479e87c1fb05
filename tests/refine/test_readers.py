"""Readers: every bad input is a document with an error, never an exception."""

import contextlib
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lianlu.refine.readers import Raw, Unreadable, decode, read
from lianlu.refine.sources import Piece, kind_of

LIMIT = 10_000


def read_file(path: Path, limit: int = LIMIT) -> list[Raw]:
    return list(read(Piece("s", path.name, kind_of(path), str(path)), limit))


def write(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b" \n\n", "empty"),
        ("a.txt", b"ab\xff\xfecd", "not utf-8: invalid start byte at byte 2"),
        ("a.txt", b"\x7fELF\x02\x01\x01\0\0\0\0", "binary"),
        ("a.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(1, 30)), "binary"),
        ("a.txt", b"x" * (LIMIT + 1), "larger than 10000 bytes"),
        ("a.txt.gz", b"no gzip", "BadGzipFile"),
        ("a.txt.gz", gzip.compress(b"hello" * 99)[:-9], "EOFError"),
        ("a.txt.gz", gzip.compress(b"x" * 10**6), "larger than"),
        ("a.txt.zst", b"no zstandard", "ZstdError"),
        ("a.html", b"<meta charset=klingon><p>x", "unknown encoding 'klingon'"),
        ("a.py", b"# coding: klingon\nx = 1", "encoding of the source"),
        ("a.jsonl", b"\n\n", "empty"),
        ("a.parquet", b"PAR1 no", "ArrowInvalid"),
    ],
)
def test_bad_files_are_one_document_with_an_error(
    tmp_path: Path, name: str, data: bytes, error: str
) -> None:
    (raw,) = read_file(write(tmp_path, name, data))
    assert error in raw.error
    assert raw.text == ""
    assert str(tmp_path) not in raw.error


def test_a_missing_file_is_an_error_without_its_path(tmp_path: Path) -> None:
    (raw,) = read_file(tmp_path / "gone.txt")
    assert raw.error == "FileNotFoundError: No such file or directory"


def test_encodings() -> None:
    assert decode("é".encode("utf-16"), "text") == "é"
    assert decode(b"\xef\xbb\xbfabc", "text") == "abc"
    assert decode(b'<meta charset="latin-1">\xe9', "html").endswith("é")
    assert decode(b"# -*- coding: latin-1 -*-\n# \xe9", "python").endswith("é")


def test_compressed_text_is_read(tmp_path: Path) -> None:
    for name, data in [
        ("a.md.gz", gzip.compress(b"# Hi")),
        ("a.md.zst", zstandard.ZstdCompressor().compress(b"# Hi")),
    ]:
        (raw,) = read_file(write(tmp_path, name, data))
        assert (raw.kind, raw.text, raw.error) == ("markdown", "# Hi", "")


def test_a_bad_line_is_one_document(tmp_path: Path) -> None:
    lines = [
        json.dumps({"text": "good", "title": "T"}).encode(),
        b"{broken",
        b"",
        b'["a list"]',
        b'{"other": 1}',
        b'{"text": 7}',
        b'{"text": "\xff"}',
        b'{"text": "' + b"x" * LIMIT + b'"}',
        json.dumps({"html": "<p>last</p>"}).encode(),
    ]
    raws = read_file(write(tmp_path, "a.jsonl", b"\n".join(lines)))
    assert [raw.position for raw in raws] == [0, 1, 3, 4, 5, 6, 7, 8]
    assert (raws[0].text, raws[0].title, raws[-1].kind) == ("good", "T", "html")
    assert all(raw.error for raw in raws[1:-1])
    assert "line 2: JSONDecodeError" in raws[1].error


def test_parquet_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"content": ["one", None, "", "four"], "n": [1, 2, 3, 4]}), path)
    raws = read_file(path)
    assert [raw.text for raw in raws] == ["one", "", "", "four"]
    assert [bool(raw.error) for raw in raws] == [False, True, True, False]
    pq.write_table(pa.table({"n": [1]}), path)
    assert "no column of text" in read_file(path)[0].error
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    assert read_file(path)[0].error == "empty"


def test_what_comes_before_a_break_stands(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": f"line {i} {i * 7919}"}) + "\n" for i in range(4000))
    packed = gzip.compress(lines.encode())
    raws = read_file(write(tmp_path, "a.jsonl.gz", packed[: len(packed) * 3 // 4]))
    assert len(raws) > 100
    assert [bool(raw.error) for raw in raws] == [False] * (len(raws) - 1) + [True]
    assert [raw.position for raw in raws] == list(range(len(raws)))


def test_a_table_with_broken_text_loses_one_row(tmp_path: Path) -> None:
    broken = pa.array([b"one", b"caf\xff", b"three"]).view(pa.string())
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    raws = read_file(tmp_path / "a.parquet")
    assert [raw.text for raw in raws] == ["one", "", "three"]
    assert "row 1: 'utf-8' codec can't decode" in raws[1].error


@given(st.binary(max_size=300), st.sampled_from(["text", "html", "python"]))
def test_decode_gives_text_or_unreadable(data: bytes, kind: str) -> None:
    with contextlib.suppress(Unreadable):
        assert isinstance(decode(data, kind), str)


@given(data=st.binary(max_size=300), name=st.sampled_from(["a.jsonl", "a.parquet", "a.jsonl.gz"]))
def test_readers_never_raise(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    raws = read_file(write(tmp_path_factory.mktemp("fuzz"), name, data))
    assert raws
    assert all(bool(raw.text) != bool(raw.error) for raw in raws)


def test_a_folder_that_cannot_be_listed_is_one_document_with_its_error() -> None:
    piece = Piece("s", "deep/", "unreadable", error="PermissionError: Permission denied")
    (raw,) = read(piece, LIMIT)
    assert (raw.uri, raw.error, raw.text) == ("deep/", piece.error, "")
