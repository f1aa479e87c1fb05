"""The corpus on disk: Parquet shards sorted by id, and the card that tells how it came about."""

import errno
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lianlu.errors import StepFailed, UserError

CARD = "card.json"
SHARD_BYTES = 128_000_000

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("media", pa.list_(pa.string())),
        ("scores", pa.map_(pa.string(), pa.float64())),
        ("meta", pa.string()),
    ]
)


@contextmanager
def on_disk(what: str) -> Iterator[None]:
    """Writing `what`: a full disk raises StepFailed, in words. What is half written stays where it
    is, and is written again by the next run."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StepFailed(
            f"the disk is full: {what} could not be written; free some space and run again"
        ) from error


def shards(corpus: Path) -> list[Path]:
    """The shards of a corpus in order; raises UserError where there are none."""
    found = sorted(corpus.glob("part-*.parquet"))
    if not found:
        raise UserError(f"{corpus} holds no corpus", "it should hold part-00000.parquet")
    return found


def read_batches(corpus: Path, columns: Sequence[str], rows: int = 512) -> Iterator[pa.RecordBatch]:
    """The corpus in the order of ids, some columns and rows at a time."""
    for shard in shards(corpus):
        with pq.ParquetFile(shard) as file:
            yield from file.iter_batches(batch_size=rows, columns=list(columns))


def count_documents(corpus: Path) -> int:
    """How many documents the shards hold."""
    return sum(pq.read_metadata(shard).num_rows for shard in shards(corpus))


def write_corpus(documents: pa.Table, out: Path) -> None:
    """Write documents (sorted by id) as shards of about 128 MB of text; at least one shard."""
    sizes = pc.binary_length(documents["text"]).to_numpy()
    start = total = part = 0
    for i, size in enumerate(sizes):
        if total and total + size > SHARD_BYTES:
            _write_shard(documents.slice(start, i - start), out, part)
            start, total, part = i, 0, part + 1
        total += size
    _write_shard(documents.slice(start), out, part)


def _write_shard(documents: pa.Table, out: Path, part: int) -> None:
    path = out / f"part-{part:05d}.parquet"
    pq.write_table(documents.cast(SCHEMA), path, compression="zstd", row_group_size=4096)


def write_card(card: dict[str, Any], out: Path) -> None:
    """Write the card; keys keep their order, so that equal cards are equal bytes."""
    text = json.dumps(card, ensure_ascii=False, indent=1)
    (out / CARD).write_text(text + "\n", encoding="utf-8")
