"""A tiny chat model with random weights, made once; small enough to run in milliseconds."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lianlu.job import Job
from lianlu.model.checkpoint import init_weights, save_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.model.section import TokenizerConfig
from lianlu.model.tokenizer import train_tokenizer
from lianlu.serve.config import ServeConfig
from lianlu.serve.engine import Engine

torch.set_num_threads(1)

TEXT = (
    "The function os.path.join joins one or more path segments. 中文 naïve {name: value} 012345. "
)

MakeEngine = Callable[..., Engine]


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3-shaped model in fp32 whose greedy output wanders (large random weights)."""
    root = tmp_path_factory.mktemp("served")
    corpus, tokenizer, model = (root / name for name in ("corpus", "tokenizer", "model"))
    for directory in (corpus, tokenizer):
        directory.mkdir()
    pq.write_table(pa.table({"text": [TEXT * 3] * 20}), corpus / "part-00000.parquet")
    train_tokenizer(TokenizerConfig(vocab_size=384), Job(out=tokenizer, inputs={"corpus": corpus}))
    config = DecoderConfig.new(vocab_size=384, layers=2, width=64, heads=4, kv_heads=2, context=256)
    decoder = Decoder(config)
    init_weights(decoder, seed=1)
    with torch.no_grad():
        decoder.model.embed_tokens.weight.mul_(10)
    save_model(decoder, model, tokenizer_from=tokenizer)
    return model


@pytest.fixture
def make_engine(model_dir: Path) -> MakeEngine:
    """An engine over the tiny model, its config given by keyword."""

    def make(**settings: object) -> Engine:
        return Engine.load(model_dir, ServeConfig.model_validate({"kv_tokens": 4096, **settings}))

    return make
