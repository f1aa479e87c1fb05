"""The worker process: facts on success, one clear sentence on failure."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lianlu.lineage import write_json


def work(part: Path, link: str, config: dict[str, Any], inputs: dict[str, str]) -> int:
    part.mkdir(exist_ok=True)
    order = {
        "link": link, "config": config, "extra": {}, "inputs": inputs, "parent": os.getpid(),
    }  # fmt: skip
    write_json(part / "job.json", order)
    command = [sys.executable, "-m", "lianlu.worker", str(part)]
    return subprocess.run(command, check=False, capture_output=True).returncode


def test_facts_and_peak_memory(tiny_corpus: Path, tmp_path: Path) -> None:
    config = {"vocab_size": 310, "sample_mb": 1.0}
    assert work(tmp_path, "tokenizer", config, {"corpus": str(tiny_corpus)}) == 0
    result = json.loads((tmp_path / "facts.json").read_text())
    assert result["facts"]["vocab_size"] <= 310
    assert 20e6 < result["peak_rss_bytes"] < 4e9


def test_a_mistake_of_the_user_is_told_as_one(tmp_path: Path) -> None:
    missing = {"corpus": str(tmp_path / "none"), "tokenizer": str(tmp_path / "none")}
    assert work(tmp_path / "x.part", "tokenize", {"holdout": 0.1}, missing) == 1
    error = json.loads((tmp_path / "x.part" / "error.json").read_text())
    assert error["kind"] in ("UserError", "StepFailed")
    assert "none" in error["message"]


def test_a_crash_names_its_log(tiny_corpus: Path, tmp_path: Path) -> None:
    assert work(tmp_path, "tokenizer", {"vocab": 3}, {"corpus": str(tiny_corpus)}) == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert error["kind"] == "Crash"
    assert "log.txt" in error["message"]


def test_a_worker_without_its_parent_ends(tmp_path: Path) -> None:
    write_json(tmp_path / "job.json", {"parent": 1})
    command = [sys.executable, "-m", "lianlu.worker", str(tmp_path)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
