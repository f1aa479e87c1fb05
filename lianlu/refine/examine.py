"""Pieces to documents with every measure beside them: the part of refining that runs in workers.

Daft is the engine: it hands pieces to worker processes, keeps their order and streams the results.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa

# Daft reports home unless told otherwise before it is imported; its worker processes inherit this.
os.environ.update(DO_NOT_TRACK="1", DAFT_ANALYTICS_ENABLED="0", DAFT_PROGRESS_BAR="0")
import daft

from lianlu.refine import pii
from lianlu.refine.buffers import string_buffers
from lianlu.refine.config import RefineConfig
from lianlu.refine.extract import extract
from lianlu.refine.language import identify
from lianlu.refine.readers import Raw, read
from lianlu.refine.rules.measures import MEASURES, measure
from lianlu.refine.sources import Piece

# What a document's `scores` hold, in the order of the column `values`.
SCORES = (*MEASURES, "language_confidence", *(f"pii_{kind}" for kind in pii.KINDS))
_PIECES_PER_CALL = 8

DOCUMENT = pa.struct(
    [
        ("piece", pa.int64()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("uri", pa.string()),
        ("genre", pa.string()),
        ("meta", pa.string()),
        ("size", pa.int64()),
        ("error", pa.string()),
        ("stage", pa.string()),
        ("text", pa.large_string()),
        ("lang", pa.string()),
        ("values", pa.list_(pa.float64())),
        ("spans", pa.list_(pa.string())),
    ]
)

# What a worker returns for a piece: how many documents the reader gave, and what became of them.
EXAMINED = pa.struct([("read", pa.int64()), ("documents", pa.list_(DOCUMENT))])


def examine(
    pieces: list[Piece], config: RefineConfig, workers: int
) -> Iterator[tuple[pa.Table, int, int]]:
    """Batches of documents (a table with DOCUMENT's columns) in the order of the pieces, each with
    the number of documents that were read for it and of pieces that are now done.

    The former is counted at the readers: what gets lost behind them does not count as never read.
    """
    numbered = [json.dumps({"number": i, **asdict(piece)}) for i, piece in enumerate(pieces)]
    examiner = daft.cls(
        Examiner, use_process=workers > 1, max_concurrency=workers if workers > 1 else None
    )(config.model_dump_json())
    frame = daft.from_pydict({"piece": numbered}).into_batches(_PIECES_PER_CALL)
    frame = frame.select(examiner.documents(frame["piece"]).alias("examined"))
    done = 0
    for batch in frame.to_arrow_iter():
        examined = batch.column("examined").cast(EXAMINED)
        done += len(examined)
        documents = pa.Table.from_struct_array(examined.field("documents").flatten())
        yield documents, sum(examined.field("read").to_pylist()), done


class Examiner:
    """What a worker process holds: the settings. Its input is pieces as JSON."""

    def __init__(self, config: str) -> None:
        self.config = RefineConfig.model_validate_json(config)

    @daft.method.batch(
        return_dtype=daft.DataType.from_arrow_type(EXAMINED), batch_size=_PIECES_PER_CALL
    )
    def documents(self, pieces: daft.Series) -> pa.Array:
        """What is in each piece, as EXAMINED."""
        limit = int(self.config.max_document_mb * 1e6)
        examined = []
        for line in pieces.to_pylist():
            fields = json.loads(line)
            number = fields.pop("number")
            piece = Piece(**{**fields, "modules": tuple(fields["modules"])})
            rows, found = [], 0
            for raw in read(piece, limit):
                found += 1
                rows.append(_row(raw, piece, number, self.config.pii))
            _measure(rows)
            examined.append({"read": found, "documents": rows})
        return pa.array(examined, EXAMINED)


def document_id(source: str, uri: str, position: int) -> str:
    """The id of a document: unique, and the same wherever and whenever it is read."""
    name = f"{source}\0{uri}\0{position}"
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def _row(raw: Raw, piece: Piece, number: int, personal: str) -> dict[str, Any]:
    """One document, extracted and looked through; what it lacks are the measures of the rules."""
    uri = raw.uri.encode("utf-8", "replace").decode()
    meta = {"uri": uri, "kind": raw.kind, "title": raw.title, "module": raw.module}
    if piece.kind in {"jsonl", "parquet"}:
        meta["position"] = str(raw.position)
    row: dict[str, Any] = {
        "piece": number,
        "id": document_id(piece.source, raw.uri, raw.position),
        "source": piece.source,
        "uri": uri,
        "genre": piece.genre,
        "size": raw.size,
        "error": raw.error,
        "stage": "read" if raw.error else "",
        "text": "",
        "lang": "",
        "values": [0.0] * len(SCORES),
        "spans": [""] * len(SCORES),
    }
    if not raw.error:
        try:
            row["text"], meta["title"] = extract(raw.text, raw.kind)
            meta["title"] = raw.title or meta["title"]
        # Whatever an extractor trips over on one page, the others go on.
        except Exception as error:
            row["error"], row["stage"] = f"{type(error).__name__}: {error}", "extract"
    if not row["error"] and not row["text"]:
        row["error"], row["stage"] = "no text in it", "extract"
    about = json.dumps({k: v for k, v in meta.items() if v}, ensure_ascii=False)
    row["meta"] = about.encode("utf-8", "replace").decode()
    if not row["error"]:
        _look(row, personal)
    return row


def _look(row: dict[str, Any], personal: str) -> None:
    """Fill in the language and the personal data, and mask the latter where that is asked."""
    code = row["genre"] == "code"
    row["lang"], confidence = ("code", 1.0) if code else identify(row["text"])
    row["values"][SCORES.index("language_confidence")] = confidence
    spans = [] if personal == "keep" else pii.find(row["text"])
    for _, _, kind in spans:
        row["values"][SCORES.index(f"pii_{kind}")] += 1
    if personal == "mask":
        row["text"] = pii.mask(row["text"], spans)


def _measure(rows: list[dict[str, Any]]) -> None:
    """Fill in the measures of the rules, and for repetitions the text that repeats."""
    texts = [row["text"].encode("utf-8", "replace").decode() for row in rows]
    data, offsets = string_buffers(texts)
    columns, spans = measure(data, offsets)
    for i, row in enumerate(rows):
        row["text"] = texts[i]
        row["values"][: len(MEASURES)] = columns[i].tolist()
        for j in range(len(MEASURES)):
            first, last = spans[i, j] + offsets[i]
            if last > first:
                row["spans"][j] = bytes(data[first : min(last, first + 160)]).decode(
                    "utf-8", "ignore"
                )
