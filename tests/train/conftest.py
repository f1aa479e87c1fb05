"""A tiny token directory, dialogues and a model to train."""

import json
from pathlib import Path

import numpy as np
import pytest

from lianlu.job import Job
from lianlu.lineage import write_json
from lianlu.model.section import ModelConfig, TokenizerConfig
from lianlu.model.tokenizer import Tokenizer, train_tokenizer

MODEL = ModelConfig(layers=2, width=32, heads=2, kv_heads=2, context=64, dtype="float32")


@pytest.fixture(scope="session")
def tokenizer_dir(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(TokenizerConfig(vocab_size=320), Job(folder, {"corpus": tiny_corpus}))
    return folder


@pytest.fixture(scope="session")
def tokens_dir(tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of different lengths that count upwards, so that a model can learn them."""
    folder = tmp_path_factory.mktemp("tokens")
    tokenizer = Tokenizer.load(tokenizer_dir)
    eos = tokenizer.eos_id
    for split, count in (("train", 60), ("valid", 10)):
        documents = [np.r_[(np.arange(20 + 7 * (i % 9)) + i) % 200 + 50, eos] for i in range(count)]
        np.concatenate(documents).astype("<u2").tofile(folder / f"{split}.bin")
        ends = np.cumsum([0, *(len(d) for d in documents)])
        np.save(folder / f"{split}.offsets.npy", ends.astype(np.int64))
    facts = {"dtype": "uint16", "tokenizer_digest": tokenizer.digest, "bytes_per_token": 2.0}
    write_json(folder / "tokens.json", facts)
    return folder


@pytest.fixture(scope="session")
def dialogues_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dialogues")
    for split, count in (("train", 40), ("valid", 6)):
        rows = [
            {
                "id": f"{split}{i}",
                "messages": [
                    {"role": "user", "content": f"say {i % 5}"},
                    {"role": "assistant", "content": f"{i % 5}"},
                ],
            }
            for i in range(count)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text)
    return folder
