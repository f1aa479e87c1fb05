"""The ledger balances, or the step fails."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lianlu.errors import StepFailed
from lianlu.refine.ledger import LEDGER, SCHEMA, check_balance, write_ledger


def _ledger(*statuses: str, ids: list[str] | None = None) -> pa.Table:
    names = ids or [f"{i}" for i in range(len(statuses))]
    rows = [{"id": name, "status": status} for name, status in zip(names, statuses, strict=True)]
    return pa.Table.from_pylist(rows, SCHEMA)


def test_counts() -> None:
    counts = check_balance(_ledger("kept", "dropped", "kept", "quarantined"), 4)
    assert counts == {"input": 4, "kept": 2, "dropped": 1, "quarantined": 1}


def test_a_lost_a_doubled_and_a_nameless_fate_fail() -> None:
    with pytest.raises(StepFailed, match="balance"):
        check_balance(_ledger("kept", "dropped"), 3)
    with pytest.raises(StepFailed, match="balance"):
        check_balance(_ledger("kept", "forgotten"), 2)
    with pytest.raises(StepFailed, match="same id"):
        check_balance(_ledger("kept", "kept", ids=["a", "a"]), 2)


def test_it_is_ordinary_parquet(tmp_path: Path) -> None:
    write_ledger(_ledger("kept"), tmp_path)
    assert pq.read_table(tmp_path / LEDGER).to_pylist()[0]["status"] == "kept"
