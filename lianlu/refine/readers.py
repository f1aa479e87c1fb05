"""A piece to its documents. Whatever cannot be read comes back as a document with an error.

No reader raises for bad input: a broken file is one quarantined document, a broken line of a JSONL
file is one quarantined line.
"""

import gzip
import io
import json
import re
import tokenize
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from lianlu.refine import python_docs
from lianlu.refine.sources import Piece

_TEXT_FIELDS = ("text", "content", "body", "html", "markdown")
# What a broken file may raise in its decoder.
_BROKEN = (OSError, EOFError, zlib.error, zstandard.ZstdError, pa.ArrowException)
_SNIFFED = 8192
# Control characters that text does not hold: everything below the space but \t \n \v \f \r and \e.
_CONTROL = bytes(set(range(32)) - {9, 10, 11, 12, 13, 27})
_DECLARED = re.compile(rb"<meta[^>]{0,100}charset\s*=\s*[\"']?([\w-]{2,30})", re.IGNORECASE)


@dataclass(frozen=True)
class Raw:
    """A document as it was read: decoded, not yet extracted."""

    uri: str
    position: int
    kind: str
    text: str = ""
    title: str = ""
    module: str = ""
    error: str = ""
    size: int = 0
    """Bytes read for it."""


class Unreadable(Exception):
    """Why a document cannot be read; becomes its ledger row's `error`."""


def read(piece: Piece, limit: int) -> Iterator[Raw]:
    """The documents of a piece, at least one; `limit` is the largest document in bytes."""
    if piece.kind == "pydoc":
        for module, html, error in python_docs.render(piece.modules):
            too_large = f"larger than {limit} bytes" if len(html) > limit else ""
            page = Raw(f"pydoc/{module}.html", 0, "pydoc", html, module, module, size=len(html))
            error = error or too_large
            yield replace(page, text="", error=error) if error else page
        return
    if piece.error:
        yield Raw(piece.uri, 0, piece.kind, error=piece.error)
        return
    blank = Raw(piece.uri, 0, piece.kind, module=piece.modules[0] if piece.modules else "")
    reader = {"jsonl": _lines, "parquet": _rows}.get(piece.kind, _whole)
    position = 0
    try:
        for raw in reader(piece, blank, limit):
            yield raw
            position = raw.position + 1
    except Unreadable as error:
        yield replace(blank, position=position, error=str(error))
    except _BROKEN as error:
        # What was read before stands. The path of an OSError is this machine's, its reason is not.
        reason = getattr(error, "strerror", None) or str(error).replace(piece.path, piece.uri)
        reason = f"{type(error).__name__}: {reason}"
        yield replace(blank, position=position, error=reason)


def decode(data: bytes, kind: str) -> str:
    """Bytes to text: UTF-8, a byte-order mark, or the encoding that HTML or Python declares.

    Raises Unreadable for binary data and for text that is not in its encoding.
    """
    encoding = "utf-8-sig"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif not data.strip():
        raise Unreadable("empty")
    elif _is_binary(data[:_SNIFFED]):
        raise Unreadable("binary data")
    elif kind == "html" and (declared := _DECLARED.search(data[:2048])):
        encoding = declared[1].decode("ascii")
    elif kind == "python":
        try:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        except SyntaxError as error:
            raise Unreadable(f"encoding of the source: {error.msg}") from None
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        reason = f"not {error.encoding}: {error.reason} at byte {error.start}"
        raise Unreadable(reason) from None
    except LookupError:
        raise Unreadable(f"unknown encoding {encoding!r}") from None


def _is_binary(head: bytes) -> bool:
    """NUL bytes, or more than one control character in fifty: no text."""
    kept = head.translate(None, _CONTROL)
    return b"\0" in head or (len(head) - len(kept)) * 50 > len(head)


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if path.suffix == ".zst":
        return cast(IO[bytes], zstandard.open(path, "rb"))
    return path.open("rb")


def _bytes(path: Path, limit: int) -> bytes:
    """A whole file, decompressed; the limit also stops a decompression bomb."""
    with _open(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Unreadable(f"larger than {limit} bytes")
    return data


def _whole(piece: Piece, blank: Raw, limit: int) -> Iterator[Raw]:
    data = _bytes(Path(piece.path), limit)
    yield replace(blank, text=decode(data, piece.kind), size=len(data))


def _lines(piece: Piece, blank: Raw, limit: int) -> Iterator[Raw]:
    position, empty = -1, True
    with _open(Path(piece.path)) as file:
        while line := file.readline(limit + 1):
            position += 1
            if not line.strip():
                # An empty line is how files end; it is no document.
                continue
            empty = False
            row = replace(blank, position=position, size=len(line))
            if len(line) > limit:
                while line and not line.endswith(b"\n"):
                    line = file.readline(limit + 1)
                yield replace(row, error=f"line larger than {limit} bytes")
                continue
            try:
                yield _record(json.loads(line.decode("utf-8-sig")), row)
            except (ValueError, RecursionError) as error:
                yield replace(row, error=f"line {position + 1}: {type(error).__name__}: {error}")
            except Unreadable as error:
                yield replace(row, error=f"line {position + 1}: {error}")
    if empty:
        raise Unreadable("empty")


def _rows(piece: Piece, blank: Raw, limit: int) -> Iterator[Raw]:
    position = -1
    with pq.ParquetFile(piece.path) as file:
        columns = [*_TEXT_FIELDS, "title"]
        present = [name for name in columns if name in file.schema_arrow.names]
        if not set(present) & set(_TEXT_FIELDS):
            raise Unreadable(f"no column of {', '.join(_TEXT_FIELDS)}")
        for batch in file.iter_batches(batch_size=256, columns=present):
            for i in range(batch.num_rows):
                position += 1
                row = replace(blank, position=position)
                try:
                    record = {name: batch.column(name)[i].as_py() for name in present}
                    document = _record(record, row)
                    size = len(document.text.encode("utf-8", "replace"))
                    if size > limit:
                        raise Unreadable(f"larger than {limit} bytes")
                    yield replace(document, size=size)
                except (Unreadable, UnicodeDecodeError) as error:
                    yield replace(row, error=f"row {position}: {error}")
    if position < 0:
        raise Unreadable("empty")


def _record(record: object, row: Raw) -> Raw:
    """A JSON object or a table row with a text field to a document."""
    if not isinstance(record, dict):
        raise Unreadable(f"a {type(record).__name__}, not an object")
    for field in _TEXT_FIELDS:
        text = record.get(field)
        if text is None:
            continue
        if not isinstance(text, str):
            raise Unreadable(f"`{field}` is a {type(text).__name__}, not text")
        if not text.strip():
            raise Unreadable("empty")
        title = record.get("title")
        kind = field if field in {"html", "markdown"} else "text"
        return replace(row, kind=kind, text=text, title=title if isinstance(title, str) else "")
    raise Unreadable(f"no field of {', '.join(_TEXT_FIELDS)}")
