"""refine, whole: the fate of every document, the same bytes for any workers and after kill -9."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lianlu.errors import StepFailed, UserError
from lianlu.job import Job
from lianlu.progress import JOURNALS, Progress
from lianlu.refine import examine as examiners
from lianlu.refine import pipeline
from lianlu.refine.config import PathSource, RefineConfig
from lianlu.refine.pipeline import refine

RUN = """
import sys
from pathlib import Path
from lianlu.job import Job
from lianlu.progress import Progress
from lianlu.refine.config import PathSource, RefineConfig
from lianlu.refine.pipeline import refine
config = RefineConfig(max_document_mb=1, workers=int(sys.argv[3]))
out = Path(sys.argv[2])
refine(config, [PathSource(path=Path(sys.argv[1]))], Job(out, {}, Progress(out)))
"""


def _command(documents: Path, out: Path, workers: int) -> list[str]:
    out.mkdir(exist_ok=True)
    return [sys.executable, "-c", RUN, str(documents), str(out), str(workers)]


def _bytes(out: Path) -> dict[str, str]:
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name not in JOURNALS)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _refine(documents: Path, out: Path, **settings: Any) -> dict[str, Any]:
    out.mkdir()
    config = RefineConfig(max_document_mb=1, workers=1, **settings)
    refine(config, [PathSource(path=Path("docs"))], Job(out), base=documents.parent)
    card: dict[str, Any] = json.loads((out / "card.json").read_text())
    return card


def test_every_document_has_its_fate(documents: Path, tmp_path: Path) -> None:
    card = _refine(documents, tmp_path / "out")
    assert card["counts"] == {"input": 18, "kept": 9, "dropped": 4, "quarantined": 5}
    assert card["duplicates"] == {"exact": 1, "near": 1}
    assert card["pii"]["email"] == 1
    rows = pq.read_table(tmp_path / "out" / "ledger.parquet").to_pylist()
    rules = {row["uri"]: row["rule"] for row in rows if row["status"] == "dropped"}
    assert rules["short.txt"] == "length.chars"
    assert rules["menu.txt"] == "gopher-repetition.duplicate_lines"
    kilns = {row["id"]: row for row in rows if row["uri"].startswith("kiln")}
    heads = {row["head"] for row in kilns.values()} - {None}
    assert heads <= set(kilns)
    assert sum(row["status"] == "kept" for row in kilns.values()) == 1


def test_the_funnel_adds_up(documents: Path, tmp_path: Path) -> None:
    card = _refine(documents, tmp_path / "out")
    entered = card["counts"]["input"]
    for stage in card["stages"]:
        assert stage["in"] == entered
        assert stage["in"] - stage["out"] == sum(stage["dropped"].values())
        entered = stage["out"]
    assert entered == card["counts"]["kept"]
    assert sum(rule["n"] for rule in card["rules"].values()) == card["counts"]["dropped"]
    assert len(card["errors"]) == 3
    assert card["rules"]["length.chars"]["samples"][0]["excerpt"] == "Too short."
    assert card["sources"]["docs"]["input"] == 18
    # Nothing of the machine or the day is in it.
    assert str(tmp_path) not in json.dumps(card)


def test_the_corpus_is_what_the_ledger_kept(documents: Path, tmp_path: Path) -> None:
    _refine(documents, tmp_path / "out")
    corpus = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    ledger = pq.read_table(tmp_path / "out" / "ledger.parquet").to_pylist()
    kept = {row["id"]: row["chars"] for row in ledger if row["status"] == "kept"}
    assert corpus["id"].to_pylist() == sorted(kept)
    assert [len(text) for text in corpus["text"].to_pylist()] == [kept[i] for i in sorted(kept)]
    assert set(corpus["lang"].to_pylist()) == {"en", "code"}
    assert json.loads(corpus["meta"][0].as_py())["uri"]


def test_settings_decide(documents: Path, tmp_path: Path) -> None:
    everything = _refine(
        documents, tmp_path / "all", rules=[], near_duplicates=0, min_chars=0, pii="keep"
    )
    assert everything["counts"]["kept"] == 12
    assert [stage["name"] for stage in everything["stages"]][-1] == "exact"
    dropped = _refine(documents, tmp_path / "drop", pii="drop")
    assert dropped["rules"]["pii.email"]["n"] == 1


@pytest.fixture
def undisturbed(documents: Path, tmp_path: Path) -> dict[str, str]:
    _refine(documents, tmp_path / "undisturbed")
    return _bytes(tmp_path / "undisturbed")


def test_any_number_of_workers_gives_the_same_bytes(
    documents: Path, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    assert set(undisturbed) == {"card.json", "ledger.parquet", "part-00000.parquet"}
    subprocess.run(_command(documents, tmp_path / "two", 2), check=True)
    assert _bytes(tmp_path / "two") == undisturbed


def test_kill_9_and_again_gives_the_same_bytes(
    documents: Path, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    out = tmp_path / "killed"
    child = subprocess.Popen(_command(documents, out, 1), stderr=subprocess.DEVNULL)
    while not (out / "examined.parquet").exists():  # it is at work now
        assert child.poll() is None
        time.sleep(0.002)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (out / "card.json").exists()
    (out / "part-00007.parquet").write_bytes(b"half a shard")
    subprocess.run(_command(documents, out, 1), check=True)
    assert _bytes(out) == undisturbed


def test_nothing_left_and_nothing_there(documents: Path, tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match=r"no document is left of 18: .*length took"):
        _refine(documents, tmp_path / "none", min_chars=100_000)
    with pytest.raises(UserError, match="does not exist"):
        refine(RefineConfig(), [PathSource(path=Path("gone"))], Job(tmp_path), base=tmp_path)


def test_a_document_lost_behind_its_reader_fails_the_step(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = examiners._measure

    def losing(rows: list[dict[str, Any]]) -> None:
        whole(rows)
        del rows[1:]  # only pieces of several documents lose any

    monkeypatch.setattr(examiners, "_measure", losing)
    with pytest.raises(StepFailed, match=r"does not balance: {'input': 18, "):
        _refine(documents, tmp_path / "lost")


@pytest.mark.parametrize("writer", ["write_table", "ParquetWriter"])
def test_a_full_disk_is_told_and_the_next_run_goes_on(
    documents: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: dict[str, str],
    writer: str,
) -> None:
    out = tmp_path / "full"

    def full(*args: Any, **settings: Any) -> None:
        (out / "part-00000.parquet").write_bytes(b"half a shard")
        raise OSError(errno.ENOSPC, "Error writing bytes to file")

    with monkeypatch.context() as patched:
        patched.setattr(f"pyarrow.parquet.{writer}", full)
        with pytest.raises(StepFailed, match="disk is full"):
            _refine(documents, out)
    assert not (out / "card.json").exists()
    config = RefineConfig(max_document_mb=1, workers=1)
    refine(config, [PathSource(path=documents)], Job(out))
    assert _bytes(out) == undisturbed


def test_workers_are_the_cores_that_may_be_used(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def examine(pieces: Any, config: RefineConfig, workers: int) -> Any:
        asked.append(workers)
        return examiners.examine(pieces, config, 1)

    monkeypatch.setattr(pipeline, "available_cores", lambda: 3)
    monkeypatch.setattr(pipeline, "examine", examine)
    refine(RefineConfig(), [PathSource(path=documents)], Job(tmp_path))
    assert asked == [3]


def test_progress_is_told(documents: Path, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    job = Job(tmp_path, {}, Progress(listen=events.append))
    refine(RefineConfig(workers=1), [PathSource(path=documents)], job)
    finished = {event["task"] for event in events if event.get("finished")}
    assert finished == {"documents", "duplicates"}
