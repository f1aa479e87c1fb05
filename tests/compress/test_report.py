"""The report's arithmetic."""

import numpy as np
import pytest
import torch

from lianlu.compress.report import decode_speed, losses, rounded_cache, summary
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.serve.kv import KVCache


def test_the_rise_is_that_of_the_totals() -> None:
    before, sizes = np.array([1.0, 2.0, 3.0]), np.array([100.0, 300.0, 50.0])
    after, cached = before * 1.01, before * np.array([1.02, 1.03, 1.01])
    facts = losses(before, after, cached, sizes)
    assert facts["loss"] == pytest.approx((cached @ sizes) / (before @ sizes) - 1)
    assert facts["loss_of_weights"] == pytest.approx(0.01)
    assert facts["loss_of_kv"] == pytest.approx(facts["loss"] - 0.01)
    assert facts["loss_low"] < facts["loss"] < facts["loss_high"]
    assert facts["bits_per_byte"]["after"]["value"] == pytest.approx((cached @ sizes) / 450)


def test_one_document_has_no_interval() -> None:
    one = np.ones(1)
    facts = losses(one, one * 1.01, one * 1.02, one)
    assert facts["loss"] == pytest.approx(0.02)
    assert facts["loss_low"] is None
    assert facts["bits_per_byte"]["before"]["high"] is None


def test_the_cache_is_rounded_as_the_engine_rounds_it() -> None:
    k, v = torch.randn(7, 2, 16), torch.randn(7, 2, 16)
    given: list[torch.Tensor] = []

    def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        given.extend((k, v))
        return q

    rounded_cache(8)(attend)(0, k, k, v)
    config = DecoderConfig.new(vocab_size=300, layers=1, width=32, heads=2, kv_heads=2, context=64)
    cache = KVCache(config, pages=1, bits=8, dtype=k.dtype)
    expected = cache.write(0, torch.arange(7), k, v)
    for found, stored, x in zip(given, expected, (k, v), strict=True):
        assert torch.equal(found, stored)
        assert not torch.equal(found, x)


def test_sixteen_bits_are_left_as_they_are(decoder: Decoder) -> None:
    def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return q

    assert rounded_cache(16)(attend) is attend


def test_speed_is_positive(decoder: Decoder) -> None:
    assert decode_speed(decoder, seconds=0.01) > 0


def test_summary_names_what_counts() -> None:
    ones = np.ones(3)
    facts = losses(ones, ones, ones * 1.02, ones) | {
        "allowed": 0.03,
        "bytes": {"before": 8_000_000, "after": 2_000_000},
    }
    text = summary(facts, (100.0, 150.0))
    assert "8.0 → 2.0 MB" in text
    assert "+2.00%, 3% allowed" in text
