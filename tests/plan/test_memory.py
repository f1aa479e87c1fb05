from dataclasses import replace

import pytest

from lianlu.model.config import DecoderConfig
from lianlu.plan.fit import PACK_CONTEXTS
from lianlu.plan.memory import (
    HELD_INT4,
    LOSS_ROWS,
    VALID_WINDOWS,
    Memory,
    inner_parameters,
    lora_parameters,
    serving_memory,
    training_memory,
)

MIB = 1 << 20
DEMO = DecoderConfig.new(2048, layers=4, width=256, heads=4, kv_heads=4, context=512)
WIDE = DecoderConfig.new(2048, layers=8, width=512, heads=4, kv_heads=2, context=512)


def training(
    config: DecoderConfig = DEMO,
    method: str = "full",
    optimizer: str = "muon",
    batch_tokens: int = 8192,
    dtype: str = "bfloat16",
    compiled: bool = False,
) -> Memory:
    return training_memory(
        config,
        method=method,
        optimizer=optimizer,
        batch_tokens=batch_tokens,
        context=512,
        dtype=dtype,
        rank=16,
        compiled=compiled,
    )


@pytest.mark.parametrize(
    ("predicted", "measured"),
    [
        (training(), 1251),
        (training(compiled=True), 1068),
        (training(dtype="float32"), 1455),
        (training(batch_tokens=16384, optimizer="adamw"), 1885),
    ],
)
def test_close_to_peaks_that_were_measured(predicted: Memory, measured: int) -> None:
    """Peaks of bench/plan_memory.py, MiB; the bench compares with the trainer as it is today."""
    assert predicted.total / MIB == pytest.approx(measured, rel=0.15)


def test_parameters_are_those_of_the_decoder() -> None:
    torch = pytest.importorskip("torch")
    from lianlu.model.adapters import add_lora
    from lianlu.model.decoder import Decoder

    for config in (DEMO, WIDE):
        with torch.device("meta"):
            decoder = Decoder(config)
        inner = [p for p in decoder.model.layers.parameters() if p.ndim == 2]
        assert inner_parameters(config) == sum(p.numel() for p in inner)
    small = replace(DEMO, width=32, ffn=64, head_dim=8, vocab_size=64)
    decoder = Decoder(small)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.zero_()
    add_lora(decoder, rank=3)
    trained = sum(p.numel() for p in decoder.parameters() if p.requires_grad)
    assert lora_parameters(small, 3) == trained


def test_what_costs_more_is_told_to_cost_more() -> None:
    base = training().total
    assert training(compiled=True).total < base < training(dtype="float32").total
    assert base < training(optimizer="adamw").total
    assert base < training(batch_tokens=16384).total
    assert base < training(WIDE).total
    assert training(WIDE, method="lora").total < training(WIDE).total


def test_the_parts_make_the_total() -> None:
    memory = training()
    assert memory.weights == memory.gradients == 4 * DEMO.parameters()
    assert training(optimizer="adamw").optimizer == 8 * DEMO.parameters()
    assert memory.total == sum(vars(memory).values())


def test_short_steps_cost_at_least_their_validation() -> None:
    assert training(batch_tokens=64).activations == training(batch_tokens=128).activations > 0


def test_auto_is_one_of_the_two() -> None:
    totals = {training(dtype=dtype).total for dtype in ("bfloat16", "float32")}
    assert training(dtype="auto").total in totals


def test_four_bits_are_held_three_times() -> None:
    torch = pytest.importorskip("torch")
    from lianlu.kernels.int4 import FUSED_ROWS, Int4Linear

    layer = Int4Linear(256, 128, 32)
    with torch.inference_mode():
        for rows in (FUSED_ROWS, FUSED_ROWS + 1):
            layer(torch.zeros(rows, 256, dtype=torch.bfloat16))
    assert layer._fused is not None
    copies = [layer.weight_packed, layer.weight_scale, *layer._fused, layer._dense]
    assert sum(copy.nbytes for copy in copies) == 256 * 128 * HELD_INT4 / 8
    served = serving_memory(WIDE, bits=4, kv_tokens=256, kv_bits=16)
    outside = WIDE.parameters() - inner_parameters(WIDE)
    assert served.weights == inner_parameters(WIDE) * HELD_INT4 / 8 + 2 * outside


def test_what_training_does_at_once_is_what_is_planned() -> None:
    from lianlu.train import dialogues, loss, pretrain

    assert LOSS_ROWS == loss.CHUNK
    assert VALID_WINDOWS == pretrain.VALID_WINDOWS
    assert PACK_CONTEXTS == dialogues.PACK_CONTEXTS


def test_serving() -> None:
    small = serving_memory(WIDE, bits=4, kv_tokens=16384, kv_bits=8)
    large = serving_memory(WIDE, bits=32, kv_tokens=16384, kv_bits=32)
    assert large.weights == 4 * WIDE.parameters()
    assert large.cache == 16384 * 2 * 8 * 2 * 128 * 4
    assert small.total < large.total
    assert small.cache < large.cache / 3
