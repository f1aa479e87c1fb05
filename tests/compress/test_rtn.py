"""Rounding: its bounds, and that the search pays."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lianlu.compress.rtn import quantise


def weights(rows: int = 16, columns: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.booleans(), st.floats(1e-3, 1e3))
def test_values_are_four_bits_and_the_error_is_bounded(
    seed: int, symmetric: bool, size: float
) -> None:
    weight = weights(seed=seed) * size
    found = quantise(weight, 32, symmetric=symmetric)
    assert found.values.min() >= -8
    assert found.values.max() <= 7
    # Plain rounding over the whole range is among what is tried, so nothing found is worse.
    reach = weight.unflatten(1, (-1, 32)).abs().amax(-1)
    error = (found.dequantise() - weight).unflatten(1, (-1, 32)).square().sum(-1)
    assert (error.sqrt() <= reach / 7.5 * 32**0.5 * 0.55).all()


def test_numbers_on_the_grid_are_kept() -> None:
    weight = torch.arange(-8, 8).repeat(2, 2).float() * 0.25
    found = quantise(weight, 32, symmetric=False)
    assert torch.equal(found.dequantise(), weight)


def test_a_group_of_zeros_stays_zero() -> None:
    for symmetric in (True, False):
        found = quantise(torch.zeros(4, 32), 32, symmetric=symmetric)
        assert torch.equal(found.dequantise(), torch.zeros(4, 32))


def test_the_search_beats_plain_rounding() -> None:
    weight = weights()
    searched = (quantise(weight, 32).dequantise() - weight).square().sum()
    plain = (quantise(weight, 32, shrinks=[1.0]).dequantise() - weight).square().sum()
    assert searched < 0.95 * plain


def test_moments_turn_the_search_to_the_loud_inputs() -> None:
    weight = weights()
    moments = torch.eye(32).repeat(2, 1, 1)
    moments[:, :4, :4] *= 1000
    loud = torch.arange(64) % 32 < 4

    def loud_error(found: torch.Tensor) -> float:
        return float((found - weight)[:, loud].square().sum())

    aware = quantise(weight, 32, moments).dequantise()
    blind = quantise(weight, 32).dequantise()
    assert loud_error(aware) < 0.8 * loud_error(blind)


def test_the_scale_is_what_is_stored() -> None:
    found = quantise(weights(), 32)
    assert found.scale.dtype == torch.bfloat16
    assert found.zero is None
    assert quantise(weights(), 32, symmetric=False).zero is not None
