"""The card of a corpus: how many documents came in, where they left and why, with samples."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lianlu.refine.pii import KINDS

_SAMPLES = 3


def make_card(
    counts: dict[str, int],
    ledger: pa.Table,
    documents: pa.Table,
    pii: dict[str, int],
    stages: Sequence[str],
) -> dict[str, Any]:
    """The card as JSON values, from the ledger and the examined documents (same rows).

    `pii` counts the pieces of personal data found, by kind; `stages` is the order of the funnel.
    """
    kept = ledger.filter(pc.equal(ledger["status"], "kept"))
    languages = Counter(documents["lang"].filter(pc.equal(ledger["status"], "kept")).to_pylist())
    by_stage = Counter(ledger["stage"].to_pylist())
    return {
        "counts": counts,
        "stages": _funnel(ledger, counts["input"], stages),
        "sources": _sources(ledger, documents),
        "languages": dict(sorted(languages.items(), key=lambda item: (-item[1], item[0]))),
        "rules": _rules(ledger),
        "errors": _samples(ledger.filter(pc.equal(ledger["status"], "quarantined"))),
        "pii": {kind: pii[kind] for kind in KINDS},
        "bytes_raw": pc.sum(documents["size"]).as_py() or 0,
        "chars_kept": pc.sum(kept["chars"]).as_py() or 0,
        "duplicates": {"exact": by_stage["exact"], "near": by_stage["near"]},
    }


def _funnel(ledger: pa.Table, entered: int, stages: Sequence[str]) -> list[dict[str, Any]]:
    funnel = []
    for stage in stages:
        left = ledger.filter(pc.equal(ledger["stage"], stage))
        reasons = Counter(rule or "quarantined" for rule in left["rule"].to_pylist())
        dropped = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
        funnel.append(
            {"name": stage, "in": entered, "out": entered - len(left), "dropped": dropped}
        )
        entered -= len(left)
    return funnel


def _sources(ledger: pa.Table, documents: pa.Table) -> dict[str, dict[str, int]]:
    sources: dict[str, dict[str, int]] = {}
    for name in sorted(set(ledger["source"].to_pylist())):
        mine = pc.equal(ledger["source"], name)
        rows = ledger.filter(mine)
        statuses = Counter(rows["status"].to_pylist())
        kept_chars = pc.sum(rows.filter(pc.equal(rows["status"], "kept"))["chars"]).as_py()
        sources[name] = {
            "input": len(rows),
            **{status: statuses[status] for status in ("kept", "dropped", "quarantined")},
            "bytes": pc.sum(documents["size"].filter(mine)).as_py() or 0,
            "chars": pc.sum(rows["chars"]).as_py() or 0,
            "chars_kept": kept_chars or 0,
        }
    return sources


def _rules(ledger: pa.Table) -> dict[str, dict[str, Any]]:
    rules = {}
    for rule in sorted(set(ledger["rule"].to_pylist()) - {None}):
        rows = ledger.filter(pc.equal(ledger["rule"], rule))
        rules[rule] = {
            "n": len(rows),
            "threshold": rows["threshold"][0].as_py(),
            "samples": _samples(rows),
        }
    return rules


def _samples(rows: pa.Table) -> list[dict[str, Any]]:
    columns = ["id", "uri", "value", "span", "head", "error", "excerpt"]
    samples = rows.slice(0, _SAMPLES).select(columns).to_pylist()
    # `value` and `excerpt` are always there; the rest only where it says something.
    always = {"value", "excerpt"}
    return [{k: v for k, v in row.items() if v is not None or k in always} for row in samples]
