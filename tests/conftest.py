"""Small real things that several tests need, made once."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

WORDS = ["the", "chain", "reads", "documents", "and", "writes", "a", "corpus", "for", "models"]


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus directory of forty short documents."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = [
        " ".join(WORDS[(i * 7 + j * 3) % len(WORDS)] + str(i * j % 17) for j in range(120))
        for i in range(40)
    ]
    columns = {
        "id": [f"{i:016x}" for i in range(40)],
        "text": texts,
        "source": ["tiny"] * 40,
        "lang": ["en"] * 40,
        "media": pa.array([[]] * 40, pa.list_(pa.string())),
        "scores": pa.array([[]] * 40, pa.map_(pa.string(), pa.float64())),
        "meta": ["{}"] * 40,
    }
    pq.write_table(pa.table(columns), folder / "part-00000.parquet")
    return folder


RECIPE = """
lianlu: 1
name: demo
sources: [{type: python-docs, limit_mb: 2}]
refine: {workers: 1, languages: [en]}
tokens: {holdout: 0.15}
tokenizer: {vocab_size: 512}
model: {layers: 2, width: 64, heads: 2, kv_heads: 2, context: 256}
pretrain: {tokens: 8192, lr: 3e-3, batch_tokens: 1024, exact: true, threads: 1, save_every: 2}
dialogues: {test_names: 12, valid_names: 6, per_name: 1}
tune: {method: lora, lr: 2e-3, rank: 4, epochs: 0.2, batch_tokens: 1024, exact: true, threads: 1}
evaluate: {documents: 8, questions: 8}
goal: {score: tool_call, at_least: 0.99}
compress: {group: 32, calibration: 4, max_loss: 10.0}
serve: {kv_tokens: 4096, threads: 1}
agent: {questions: 4, max_steps: 3, max_tokens: 32, parallel: 2}
"""


@dataclass(frozen=True)
class Workplace:
    """A folder with a tiny recipe `recipes/demo.yaml`, where the command line is used."""

    folder: Path

    def lianlu(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "lianlu", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "LIANLU_HOME": str(self.folder / "home")},
        )

    def step(self, node: str, run: str = "demo") -> Path:
        """The directory of a node's step in a run."""
        [name] = [n["dir"] for n in self.state(run)["nodes"] if n["name"] == node]
        return self.folder / "runs" / "steps" / name

    def state(self, run: str = "demo") -> dict[str, Any]:
        text = (self.folder / "runs" / run / "run.json").read_text(encoding="utf-8")
        state: dict[str, Any] = json.loads(text)
        return state


def make_workplace(folder: Path) -> Workplace:
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes" / "demo.yaml").write_text(RECIPE, encoding="utf-8")
    return Workplace(folder)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Where the tiny recipe has been run once, from raw documents to the agent's trial."""
    place = make_workplace(tmp_path_factory.mktemp("workplace"))
    told = place.lianlu("run", "recipes/demo.yaml")
    assert told.returncode == 0, told.stdout + told.stderr
    record = place.folder / "runs" / "demo" / "run.json"
    # Other tests run the recipe again; this one's record tells of the first time.
    (place.folder / "first-run.json").write_bytes(record.read_bytes())
    return place


@pytest.fixture
def empty_workplace(tmp_path: Path) -> Workplace:
    """Where the tiny recipe has not been run."""
    return make_workplace(tmp_path / "workplace")
