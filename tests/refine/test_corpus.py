"""The corpus on disk."""

import errno
from pathlib import Path

import pyarrow as pa
import pytest

from lianlu.errors import StepFailed, UserError
from lianlu.refine import corpus
from lianlu.refine.corpus import (
    SCHEMA,
    count_documents,
    on_disk,
    read_batches,
    shards,
    write_corpus,
)


def _documents(n: int) -> pa.Table:
    rows = [
        {"id": f"{i:04d}", "text": "x" * 100, "media": [], "scores": [("words", 1.0)]}
        for i in range(n)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def test_shards_are_cut_by_size_and_read_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "SHARD_BYTES", 250)
    write_corpus(_documents(5), tmp_path)
    assert [path.name for path in shards(tmp_path)] == [f"part-0000{i}.parquet" for i in range(3)]
    ids = [name for batch in read_batches(tmp_path, ["id"], 1) for name in batch["id"].to_pylist()]
    assert ids == [f"{i:04d}" for i in range(5)]
    assert count_documents(tmp_path) == 5


def test_no_corpus_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no corpus"):
        shards(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_in_words(number: int) -> None:
    told = r"disk is full: the corpus could not .* run again"
    with pytest.raises(StepFailed, match=told), on_disk("the corpus"):
        raise OSError(number, "No space left on device")


def test_other_errors_of_the_disk_stay_what_they_are() -> None:
    with pytest.raises(PermissionError), on_disk("the corpus"):
        raise PermissionError(errno.EACCES, "Permission denied")
