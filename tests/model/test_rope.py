"""The stretched kinds are compared with transformers in test_decoder; here is what they rest on."""

import dataclasses

import pytest
import torch

from lianlu.model.config import DecoderConfig, RopeScaling
from lianlu.model.rope import rotary_table, rotate

CONFIG = DecoderConfig.new(10, 1, 32, 2, 1, 64)


def test_scores_depend_on_distance_only():
    q, k = torch.randn(2, 1, 1, 16)

    def score(i: int, j: int) -> torch.Tensor:
        return (rotated(q, i) * rotated(k, j)).sum()

    def rotated(x: torch.Tensor, position: int) -> torch.Tensor:
        return rotate(x, *rotary_table(CONFIG, torch.tensor([position])))

    assert score(9, 4) == pytest.approx(score(25, 20).item(), abs=1e-5)
    assert score(9, 4) != pytest.approx(score(9, 5).item(), abs=1e-3)


def test_position_zero_changes_nothing():
    x = torch.randn(1, 2, 16)
    assert torch.equal(rotate(x, *rotary_table(CONFIG, torch.tensor([0]))), x)


def test_linear_is_positions_divided():
    scaled = dataclasses.replace(CONFIG, rope_scaling=RopeScaling("linear", 4.0, 64))
    positions = torch.arange(8)
    got = rotary_table(scaled, positions * 4)
    want = rotary_table(CONFIG, positions)
    torch.testing.assert_close(got, want)


def test_dtype_of_the_input_is_kept():
    x = torch.randn(3, 2, 16, dtype=torch.bfloat16)
    assert rotate(x, *rotary_table(CONFIG, torch.arange(3))).dtype == torch.bfloat16
