"""why: what became of one document."""

from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds

from lianlu.errors import UserError
from lianlu.refine.corpus import shards
from lianlu.refine.ledger import LEDGER


def why(corpus: Path, doc_id: str) -> dict[str, Any]:
    """The document's ledger row, without what does not apply to it, and its text if it was kept.

    `doc_id` may be the beginning of an id. Raises UserError where no document, or more than one,
    has it.
    """
    ledger = ds.dataset(_existing(corpus))
    rows = ledger.to_table(filter=pc.starts_with(ds.field("id"), doc_id)).to_pylist()
    if not rows:
        raise UserError(
            f"no document {doc_id!r} was read", "ids are in card.json and in the ledger"
        )
    if len(rows) > 1:
        several = ", ".join(row["id"] for row in rows[:5])
        raise UserError(f"{len(rows)} documents begin with {doc_id!r}", f"give more: {several}")
    row = {key: value for key, value in rows[0].items() if value is not None}
    if row["status"] == "kept":
        documents = ds.dataset(shards(corpus))
        kept = documents.to_table(filter=ds.field("id") == row["id"], columns=["text"])
        row["text"] = kept["text"][0].as_py()
    return row


def _existing(corpus: Path) -> Path:
    path = corpus / LEDGER
    if not path.is_file():
        raise UserError(f"{corpus} holds no ledger", f"it should hold {LEDGER}")
    return path
