"""A model that is not what was written is refused wherever it is loaded."""

import json
from pathlib import Path

import pytest
import torch

from lianlu.errors import StepFailed, UserError
from lianlu.job import Job
from lianlu.model.checkpoint import init_weights, load_model, save_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.model.fingerprint import (
    FILE,
    read_fingerprint,
    require_fingerprint,
    take_fingerprint,
    write_fingerprint,
)
from lianlu.model.section import TokenizerConfig
from lianlu.model.tokenizer import train_tokenizer


@pytest.fixture
def model(tiny_corpus: Path, tmp_path: Path) -> Path:
    train_tokenizer(TokenizerConfig(vocab_size=320), Job(tmp_path, {"corpus": tiny_corpus}))
    decoder = Decoder(DecoderConfig.new(320, 2, 32, 2, 2, 128))
    init_weights(decoder, 0)
    save_model(decoder, tmp_path)
    write_fingerprint(decoder, tmp_path)
    return tmp_path


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_was_written_is_what_is_loaded(model: Path, dtype: torch.dtype) -> None:
    require_fingerprint(load_model(model, dtype=dtype), model)
    assert read_fingerprint(model) == take_fingerprint(load_model(model), model)


def test_other_weights_are_refused(model: Path) -> None:
    decoder = load_model(model)
    with torch.no_grad():
        decoder.model.layers[1].mlp.up_proj.weight.roll(1, 0)
        decoder.model.layers[1].mlp.down_proj.weight.copy_(
            decoder.model.layers[1].mlp.down_proj.weight.roll(1, 0)
        )
    with pytest.raises(StepFailed, match="logits differ"):
        require_fingerprint(decoder, model)
    with torch.no_grad():
        decoder.model.norm.weight.fill_(float("nan"))
    with pytest.raises(StepFailed, match="logits differ"):
        require_fingerprint(decoder, model)


def test_another_template_is_refused(model: Path) -> None:
    path = model / "chat_template.jinja"
    path.write_text(path.read_text().replace("<|im_start|>", "<|im_start|> "))
    with pytest.raises(StepFailed, match="chat template"):
        require_fingerprint(load_model(model), model)


def test_another_tokenizer_is_refused(model: Path, tiny_corpus: Path) -> None:
    train_tokenizer(TokenizerConfig(vocab_size=300), Job(model, {"corpus": tiny_corpus}))
    with pytest.raises(StepFailed, match="tokenizer"):
        require_fingerprint(load_model(model), model)


def test_a_model_from_outside_passes_and_damage_is_told(model: Path) -> None:
    (model / FILE).write_text(json.dumps({"plain": []}))
    with pytest.raises(UserError, match="not a fingerprint"):
        require_fingerprint(load_model(model), model)
    (model / FILE).unlink()
    require_fingerprint(load_model(model), model)
    assert read_fingerprint(model) is None
