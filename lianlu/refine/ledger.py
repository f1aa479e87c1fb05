"""The ledger: what became of every document that was read, and why."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lianlu.errors import StepFailed

LEDGER = "ledger.parquet"
EXCERPT = 200

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("uri", pa.string()),
        ("status", pa.string()),  # kept, dropped, quarantined
        (
            "stage",
            pa.string(),
        ),  # where it left: read, extract, language, a rule set, pii, exact, near
        ("rule", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("span", pa.string()),  # the text that weighed most
        ("head", pa.string()),  # the document kept in its place
        ("error", pa.string()),
        ("chars", pa.int64()),
        ("excerpt", pa.string()),
    ]
)


def check_balance(ledger: pa.Table, documents_read: int) -> dict[str, int]:
    """`{input, kept, dropped, quarantined}`; raises StepFailed unless every document is accounted
    for exactly once."""
    counts = {"input": documents_read}
    for status in ("kept", "dropped", "quarantined"):
        counts[status] = pc.sum(pc.equal(ledger["status"], status)).as_py() or 0
    if counts["input"] != counts["kept"] + counts["dropped"] + counts["quarantined"]:
        raise StepFailed(f"the ledger does not balance: {counts}")
    ids = ledger["id"]
    if len(pc.unique(ids)) != len(ids):
        raise StepFailed("two documents have the same id: a file was read twice")
    return counts


def write_ledger(ledger: pa.Table, out: Path) -> None:
    """Write the rows, sorted by id."""
    pq.write_table(ledger.cast(SCHEMA), out / LEDGER, compression="zstd", row_group_size=1 << 16)
