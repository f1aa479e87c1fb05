"""A tiny chat model with random weights, tokens and dialogues, made once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lianlu.job import Job
from lianlu.model.checkpoint import init_weights, save_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.model.section import TokenizerConfig
from lianlu.model.tokenizer import Tokenizer, train_tokenizer

NAMES = [f"box.{verb}_{i}" for i in range(8) for verb in ("get", "put")]
TEXTS = [f"{name}(key) Return what {name} holds. It raises KeyError else." for name in NAMES]
TOOL = {
    "type": "function",
    "function": {
        "name": "python_docs",
        "description": "Documentation of a name.",
        "parameters": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 12}},
            "required": ["name"],
            "additionalProperties": False,
        },
    },
}


def dialogue(name: str, text: str, kind: str) -> dict[str, Any]:
    """One row of dialogues, either kind."""
    answer = {"role": "assistant", "content": f"Return what {name} holds."}
    meta = {"name": name, "doc_id": "", "kind": kind}
    if kind == "read":
        asked = [{"role": "user", "content": f"{text}\nWhat is {name}?"}]
        return {"id": f"r-{name}", "messages": [*asked, answer], "tools": [], "meta": meta}
    arguments = json.dumps({"name": name})
    function = {"name": "python_docs", "arguments": arguments}
    call = {"id": "call_0", "type": "function", "function": function}
    messages = [
        {"role": "user", "content": f"What is {name}?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0", "content": text},
        answer,
    ]
    return {"id": f"t-{name}", "messages": messages, "tools": [TOOL], "meta": meta}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_tokens(folder: Path, tokenizer: Tokenizer, train: list[str], valid: list[str]) -> None:
    """A tokens directory as `tokenize` writes it."""
    folder.mkdir()
    for part, texts in (("train", train), ("valid", valid)):
        documents = [[*ids, tokenizer.eos_id] for ids in tokenizer.encode_batch(texts)]
        flat = [token for ids in documents for token in ids]
        np.array(flat, dtype="<u2").tofile(folder / f"{part}.bin")
        bounds = np.cumsum([0, *map(len, documents)]).astype(np.int64)
        np.save(folder / f"{part}.offsets.npy", bounds)
    (folder / "tokens.json").write_text(json.dumps({"dtype": "uint16"}))
    table = pa.table({"id": [f"d{i}" for i in range(len(valid))], "text": valid})
    pq.write_table(table, folder / "valid.parquet")


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `tokenizer`, `tokens`, `dialogues` and `model` in it."""
    root = tmp_path_factory.mktemp("evaluate")
    for name in ("corpus", "tokenizer", "dialogues"):
        (root / name).mkdir()
    pq.write_table(pa.table({"text": TEXTS * 4}), root / "corpus" / "part-00000.parquet")
    train_tokenizer(
        TokenizerConfig(vocab_size=330), Job(root / "tokenizer", {"corpus": root / "corpus"})
    )
    tokenizer = Tokenizer.load(root / "tokenizer")
    write_tokens(root / "tokens", tokenizer, TEXTS[:10], TEXTS[10:])
    write_rows(
        root / "dialogues" / "train.jsonl",
        [dialogue(n, t, "tool") for n, t in zip(NAMES[:10], TEXTS[:10], strict=True)],
    )
    held_out = list(zip(NAMES[10:], TEXTS[10:], strict=True))
    rows = [dialogue(n, t, kind) for kind in ("tool", "read") for n, t in held_out]
    write_rows(root / "dialogues" / "test.jsonl", rows)
    decoder = Decoder(DecoderConfig.new(tokenizer.vocab_size, 2, 32, 2, 2, 512))
    init_weights(decoder, seed=0)
    save_model(decoder, root / "model", root / "tokenizer")
    return root


@pytest.fixture
def rows(workplace: Path) -> list[dict[str, Any]]:
    """The test dialogues."""
    text = (workplace / "dialogues" / "test.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
