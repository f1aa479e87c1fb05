"""Rounded to 8 bits and back: within half a step."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lianlu.kernels.kv import dequantize, quantize


@given(
    rows=st.lists(
        st.lists(st.floats(-1e4, 1e4, width=32), min_size=8, max_size=8), min_size=1, max_size=4
    )
)
def test_8_bits_are_off_by_half_a_step_at_most(rows: list[list[float]]) -> None:
    x = torch.tensor(rows)
    codes, range_ = quantize(x)
    assert codes.dtype == torch.uint8
    step = range_[..., :1]
    error = (dequantize(codes, range_, torch.float32) - x).abs()
    assert (error <= step * 0.51 + x.abs() * 1e-5).all()


def test_a_constant_vector_survives() -> None:
    x = torch.full((3, 8), -7.25)
    assert torch.equal(dequantize(*quantize(x), torch.float32), x)
