"""A tiny model, its tokenizer and a tokens directory, made once."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from lianlu.job import Job
from lianlu.model.checkpoint import init_weights, save_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.model.section import TokenizerConfig
from lianlu.model.tokenizer import Tokenizer, train_tokenizer

SENTENCES = [
    f"Function {name}_{i} returns the {thing} of item {i}, or raises an error."
    for i in range(40)
    for name, thing in (("get", "value"), ("count", "number"), ("find", "place"))
]


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `tokenizer`, `tokens` and `model` in it."""
    root = tmp_path_factory.mktemp("compress")
    for name in ("corpus", "tokenizer", "tokens"):
        (root / name).mkdir()
    table = pa.table({"text": SENTENCES})
    pq.write_table(table, root / "corpus" / "part-00000.parquet")
    train_tokenizer(
        TokenizerConfig(vocab_size=400), Job(root / "tokenizer", {"corpus": root / "corpus"})
    )
    tokenizer = Tokenizer.load(root / "tokenizer")
    documents = tokenizer.encode_batch(SENTENCES[:100])
    flat = [token for ids in documents for token in (*ids, tokenizer.eos_id)]
    np.array(flat, dtype="<u2").tofile(root / "tokens" / "train.bin")
    bounds = np.cumsum([0, *(len(ids) + 1 for ids in documents)]).astype(np.int64)
    np.save(root / "tokens" / "train.offsets.npy", bounds)
    (root / "tokens" / "tokens.json").write_text(json.dumps({"dtype": "uint16"}))
    held_out = {"id": [f"d{i}" for i in range(20)], "text": SENTENCES[100:]}
    pq.write_table(pa.table(held_out), root / "tokens" / "valid.parquet")
    save_model(tiny_decoder(tokenizer.vocab_size), root / "model", root / "tokenizer")
    return root


@pytest.fixture
def decoder() -> Decoder:
    return tiny_decoder()


def tiny_decoder(vocab_size: int = 400) -> Decoder:
    """Random weights; one input channel in a group is much louder, as in trained models."""
    decoder = Decoder(DecoderConfig.new(vocab_size, 2, 64, 4, 4, 64))
    init_weights(decoder, seed=0)
    with torch.no_grad():
        for name, module in decoder.named_modules():
            if name.endswith("layernorm"):
                weight = module.get_parameter("weight")
                weight[::33] = 12.0
            elif isinstance(module, nn.Embedding):
                module.weight.mul_(20)
    return decoder.eval().requires_grad_(False)
