"""The card, from a ledger written by hand."""

import pyarrow as pa

from lianlu.refine.card import make_card
from lianlu.refine.ledger import SCHEMA
from lianlu.refine.pii import KINDS


def test_card() -> None:
    rows = [
        {"id": "a", "status": "kept", "chars": 10, "source": "s"},
        {"id": "b", "status": "dropped", "stage": "set", "rule": "set.x", "value": 1.0}
        | {"threshold": 2.0, "source": "s", "uri": "b.txt", "excerpt": "text", "chars": 4},
        {"id": "c", "status": "quarantined", "stage": "read", "error": "bad", "source": "t"}
        | {"chars": 0, "uri": "c.txt"},
    ]
    ledger = pa.Table.from_pylist(rows, SCHEMA)
    documents = pa.table({"lang": ["en", "en", ""], "size": [20, 8, 3]})
    counts = {"input": 3, "kept": 1, "dropped": 1, "quarantined": 1}
    card = make_card(counts, ledger, documents, dict.fromkeys(KINDS, 0), ["read", "set"])
    assert card["counts"] == counts
    assert card["stages"] == [
        {"name": "read", "in": 3, "out": 2, "dropped": {"quarantined": 1}},
        {"name": "set", "in": 2, "out": 1, "dropped": {"set.x": 1}},
    ]
    assert card["languages"] == {"en": 1}
    assert (card["bytes_raw"], card["chars_kept"]) == (31, 10)
    assert card["rules"]["set.x"]["n"] == 1
    assert card["rules"]["set.x"]["samples"] == [
        {"id": "b", "uri": "b.txt", "value": 1.0, "excerpt": "text"}
    ]
    assert card["errors"][0]["error"] == "bad"
    assert card["sources"]["t"] == {
        "input": 1,
        "kept": 0,
        "dropped": 0,
        "quarantined": 1,
        "bytes": 3,
        "chars": 0,
        "chars_kept": 0,
    }
