import re
from dataclasses import replace

import pytest

from lianlu.errors import UserError
from lianlu.model.config import DecoderConfig
from lianlu.model.section import ModelConfig
from lianlu.plan.fit import USABLE, choose_method, fit
from lianlu.plan.hardware import Hardware, Rates
from lianlu.train.config import TuneConfig

SHAPE = DecoderConfig.new(32000, layers=16, width=1024, heads=8, kv_heads=8, context=512)
MODEL = ModelConfig(base="x", dtype="float32")
TUNE = TuneConfig(batch_tokens=8192, compile=False, optimizer="adamw")


def machine(free: float) -> Hardware:
    rates = Rates(copy=2e10, gemm=1.5e11)
    return Hardware("a processor", 2, int(free), int(free), 10**11, "none", (), None, None, rates)


def needed(method: str) -> int:
    """The memory that makes `method` fit exactly."""
    choice = choose_method(SHAPE, TUNE, MODEL, machine(1e15))
    if method == "full":
        return choice.memory.total
    with pytest.raises(UserError) as error:
        choose_method(SHAPE, TUNE, MODEL, machine(1))
    found = re.search(r"LoRA needs ([\d.]+) GB", error.value.message)
    assert found
    return round(float(found[1]) * 1e9)


def test_full_where_it_fits() -> None:
    choice = choose_method(SHAPE, TUNE, MODEL, machine(needed("full") / USABLE + 10))
    assert choice.method == "full"
    assert "GB" in choice.reason


def test_lora_where_full_does_not_fit() -> None:
    choice = choose_method(SHAPE, TUNE, MODEL, machine(needed("full") / USABLE - 10))
    assert choice.method == "lora"
    assert choice.memory.total < needed("full")
    assert "full training needs" in choice.reason


def test_the_knob_that_is_named_makes_it_fit() -> None:
    scarce = machine(needed("lora") / USABLE * 0.6)
    with pytest.raises(UserError, match="does not fit") as error:
        choose_method(SHAPE, TUNE, MODEL, scarce)
    found = re.search(r"tune\.micro_tokens=(\d+)", str(error.value))
    assert found
    smaller = TUNE.model_copy(update={"micro_tokens": int(found[1])})
    assert choose_method(SHAPE, smaller, MODEL, scarce).method == "lora"
    more = TUNE.model_copy(update={"micro_tokens": 2 * int(found[1])})
    with pytest.raises(UserError):
        choose_method(SHAPE, more, MODEL, scarce)


def test_below_a_pack_the_batch_must_shrink() -> None:
    least = fit(10**15, SHAPE, TUNE.model_copy(update={"batch_tokens": 1024}), MODEL, "lora")
    assert least == 1024
    smaller = TUNE.model_copy(update={"batch_tokens": 1024})
    limit = choose_method(SHAPE, smaller, MODEL, machine(1e15)).memory.total
    with pytest.raises(UserError, match=r"tune\.batch_tokens=(1024|512)"):
        choose_method(SHAPE, TUNE, MODEL, machine(limit / USABLE * 0.8))


def test_no_knob_makes_a_giant_fit() -> None:
    giant = replace(SHAPE, width=8192, head_dim=1024, ffn=22016, layers=80)
    with pytest.raises(UserError, match="fewer layers or less width"):
        choose_method(giant, TUNE, MODEL, machine(8e9))


def test_fit_halves_the_batch() -> None:
    assert fit(10**15, SHAPE, TUNE, MODEL, "lora") == TUNE.batch_tokens
    half = fit(needed("lora") - 10**8, SHAPE, TUNE, MODEL, "lora")
    assert half == TUNE.batch_tokens // 2
    assert fit(1, SHAPE, TUNE, MODEL, "lora") is None
