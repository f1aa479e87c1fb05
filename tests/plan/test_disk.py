from pathlib import Path

import pytest

from lianlu.model.config import DecoderConfig
from lianlu.plan.disk import model_bytes, training_bytes

SHAPE = DecoderConfig.new(512, layers=2, width=64, heads=4, kv_heads=4, context=128)


def test_a_model_is_as_large_as_it_is_written(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from lianlu.model.checkpoint import init_weights, save_model
    from lianlu.model.decoder import Decoder

    decoder = Decoder(SHAPE)
    init_weights(decoder, seed=0)
    save_model(decoder, tmp_path)
    written = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 4 * SHAPE.parameters() <= written <= model_bytes(SHAPE)


def test_a_checkpoint_is_as_large_as_it_is_written(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from lianlu.model.checkpoint import init_weights
    from lianlu.model.decoder import Decoder
    from lianlu.train.checkpoint import Position, save
    from lianlu.train.optim import make_optimizer

    for kind in ("muon", "adamw"):
        decoder = Decoder(SHAPE)
        init_weights(decoder, seed=0)
        optimizer = make_optimizer(decoder, kind, torch.float32)  # type: ignore[arg-type]
        for parameter in decoder.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step(1e-3)
        folder = tmp_path / kind
        folder.mkdir()
        save(folder, decoder, optimizer, Position())
        written = sum(path.stat().st_size for path in folder.rglob("*.pt"))
        told = training_bytes(SHAPE, method="full", optimizer=kind, rank=0) - model_bytes(SHAPE)
        assert told / 3 == pytest.approx(written, rel=0.1)


def test_lora_checkpoints_are_small() -> None:
    full, lora = (
        training_bytes(SHAPE, method=method, optimizer="adamw", rank=4)
        for method in ("full", "lora")
    )
    assert model_bytes(SHAPE) < lora < full
