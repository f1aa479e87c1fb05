"""A base from outside: checked, linked, and nothing but data taken along."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lianlu.errors import UserError
from lianlu.job import Job
from lianlu.model.adopt import adopt
from lianlu.model.checkpoint import init_weights, save_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.model.section import TokenizerConfig
from lianlu.model.tokenizer import train_tokenizer


@pytest.fixture
def base(tiny_corpus: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    train_tokenizer(TokenizerConfig(vocab_size=320), Job(tokenizer, {"corpus": tiny_corpus}))
    decoder = Decoder(DecoderConfig.new(320, 1, 32, 2, 2, 64))
    init_weights(decoder, 0)
    save_model(decoder, folder, tokenizer_from=tokenizer)
    return folder


def take(base: Path, tmp_path: Path) -> Path:
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    adopt(base, Job(out))
    return out


def test_data_is_taken_and_code_is_not(base: Path, tmp_path: Path) -> None:
    (base / "modeling.py").write_text("raise SystemExit")
    (base / "optimizer.bin").write_bytes(b"pickle")
    out = take(base, tmp_path)
    names = {path.name for path in out.iterdir() if path.suffix != ".jsonl"}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"modeling.py", "optimizer.bin"}
    weights = (base / "model.safetensors").read_bytes()
    assert (out / "model.safetensors").read_bytes() == weights
    assert not (out / "model.safetensors").samefile(base / "model.safetensors")
    assert take(base, tmp_path) == out


def test_weights_that_are_not_finite_are_refused(base: Path, tmp_path: Path) -> None:
    path = base / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] = torch.full_like(tensors["model.norm.weight"], float("nan"))
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match="not finite"):
        take(base, tmp_path)


def test_a_tokenizer_larger_than_the_embedding_is_refused(
    base: Path, tiny_corpus: Path, tmp_path: Path
) -> None:
    train_tokenizer(TokenizerConfig(vocab_size=340), Job(base, {"corpus": tiny_corpus}))
    with pytest.raises(UserError, match="belongs to another model"):
        take(base, tmp_path)


def test_a_missing_shard_is_named(base: Path, tmp_path: Path) -> None:
    (base / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors"):
        take(base, tmp_path)
