"""Contamination: planted copies are found, other text is not."""

import json
from pathlib import Path

import numpy as np
import pytest

from lianlu.evaluate.contamination import CHUNK, RUN, documents_seen, names_seen, run_hashes


def write(folder: Path, train: np.ndarray, valid: list[np.ndarray]) -> Path:
    """A tokens directory; every held-out document gets its end token 0."""
    train.astype("<u2").tofile(folder / "train.bin")
    documents = [np.append(document, 0) for document in valid]
    np.concatenate(documents).astype("<u2").tofile(folder / "valid.bin")
    np.save(folder / "valid.offsets.npy", np.cumsum([0, *map(len, documents)]))
    (folder / "tokens.json").write_text(json.dumps({"dtype": "uint16"}))
    return folder


def random_tokens(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 4000, count)


def test_hashes_are_those_of_each_run() -> None:
    tokens = random_tokens(100, 0)
    hashes = run_hashes(tokens)
    assert len(hashes) == 100 - RUN + 1
    assert len(np.unique(hashes)) == len(hashes)
    for start in (0, 17, 68):
        assert hashes[start] == run_hashes(tokens[start : start + RUN])[0]
    assert len(run_hashes(tokens[: RUN - 1])) == 0


def test_a_copied_document_is_seen_and_a_quoted_one_is_not(tmp_path: Path) -> None:
    copied, quoted, fresh, short = (random_tokens(n, n) for n in (200, 201, 202, 9))
    train = np.concatenate([random_tokens(5000, 1), copied, quoted[:60], short])
    folder = write(tmp_path, train, [copied, quoted, fresh, short])
    assert documents_seen(folder, [0]) == 1
    assert documents_seen(folder, [1, 2, 3]) == 0
    assert documents_seen(folder, [0, 1, 2, 3]) == 0.25


def test_a_copy_across_two_chunks_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CHUNK > 1 << 20
    monkeypatch.setattr("lianlu.evaluate.contamination.CHUNK", 100)
    copied = random_tokens(64, 3)
    train = np.concatenate([random_tokens(70, 1), copied, random_tokens(70, 2)])
    assert documents_seen(write(tmp_path, train, [copied]), [0]) == 1


def test_without_training_data_nothing_is_claimed(tmp_path: Path) -> None:
    assert documents_seen(tmp_path, [0]) is None
    assert names_seen(tmp_path, ["a"]) is None


def test_names_are_looked_for_as_json_writes_them(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": 'What is say("hi")? 名字'}]}
    (tmp_path / "train.jsonl").write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    assert names_seen(tmp_path, ['say("hi")', "名字", "os.path", "say"]) == 0.75
