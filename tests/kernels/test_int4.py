"""Int4Linear against its reference, and the packing against values written by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lianlu.kernels.int4 import (
    FUSED_ROWS,
    Int4Linear,
    dequantise,
    int4_linear_reference,
    pack_int4,
    unpack_int4,
)


def random_layer(
    rows: int, columns: int, group: int, *, symmetric: bool = True, bias: bool = False
) -> Int4Linear:
    draw = torch.Generator().manual_seed(rows * columns + group)
    values = torch.randint(-8, 8, (rows, columns), generator=draw)
    scale = torch.rand(rows, columns // group, generator=draw) * 0.02 + 0.001
    zero = None if symmetric else torch.randint(-8, 8, scale.shape, generator=draw)
    offset = torch.randn(rows, generator=draw) if bias else None
    return Int4Linear.from_quantised(
        values,
        scale.to(torch.bfloat16),
        None if zero is None else zero.to(torch.int8),
        None if offset is None else offset.to(torch.bfloat16),
    )


def reference(layer: Int4Linear, x: Tensor) -> Tensor:
    return int4_linear_reference(
        x, layer.weight_packed, layer.weight_scale, layer.zero(), layer.bias
    )


def test_packing_is_lowest_nibble_first_with_eight_added() -> None:
    packed = pack_int4(torch.tensor([[-8, -7, 0, 1, 2, 3, 4, 7]]))
    assert packed.item() & 0xFFFFFFFF == 0xFCBA9810


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_unpacking_undoes_packing(rows: int, words: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    values = torch.randint(-8, 8, (rows, 8 * words), generator=draw, dtype=torch.int8)
    assert torch.equal(unpack_int4(pack_int4(values)), values)


def test_dequantise_by_hand() -> None:
    values = torch.tensor([[1, 2, 3, 4]])
    scale, zero = torch.tensor([[2.0, 10.0]]), torch.tensor([[1, -1]])
    assert dequantise(values, scale, zero).tolist() == [[0.0, 2.0, 40.0, 50.0]]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("rows", "columns", "group"),
    [(64, 64, 32), (48, 256, 64), (256, 128, 128), (20, 96, 32), (32, 48, 16)],
)
def test_layer_equals_reference(
    rows: int, columns: int, group: int, symmetric: bool, bias: bool
) -> None:
    layer = random_layer(rows, columns, group, symmetric=symmetric, bias=bias)
    for count in (1, FUSED_ROWS, FUSED_ROWS + 1, 33):
        x = torch.randn(count, columns, generator=torch.Generator().manual_seed(count))
        expected = reference(layer, x)
        torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
        rounded = x.to(torch.bfloat16)
        torch.testing.assert_close(
            layer(rounded).float(), reference(layer, rounded), rtol=2e-2, atol=3e-2
        )


def test_leading_dimensions_are_kept() -> None:
    layer = random_layer(32, 64, 32)
    x = torch.randn(2, 1, 64, dtype=torch.bfloat16)
    assert layer(x).shape == (2, 1, 32)
    assert layer(x.repeat(1, 9, 1)).shape == (2, 9, 32)


def test_few_rows_take_the_fused_operator() -> None:
    layer = random_layer(32, 64, 32)
    layer(torch.randn(FUSED_ROWS, 64, dtype=torch.bfloat16))
    assert layer._fused is not None
    assert layer._dense is None


def test_dense_copy_is_optional() -> None:
    layer = random_layer(32, 64, 32)
    layer.keep_dense = False
    layer(torch.randn(9, 64))
    assert layer._dense is None


@pytest.mark.parametrize("symmetric", [True, False])
def test_state_dict_has_the_compressed_tensors_names_and_shapes(symmetric: bool) -> None:
    state = random_layer(20, 96, 32, symmetric=symmetric).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    expected = {"weight_packed": (20, 12), "weight_scale": (20, 3), "weight_shape": (2,)}
    if not symmetric:
        expected["weight_zero_point"] = (3, 3)
    assert shapes == expected
    assert state["weight_shape"].tolist() == [20, 96]


def test_loading_a_state_dict_drops_copies_made_from_the_old_weights() -> None:
    layer, other = random_layer(32, 64, 32), random_layer(32, 64, 32)
    other.weight_scale *= 2
    for x in (torch.randn(1, 64, dtype=torch.bfloat16), torch.randn(9, 64)):
        layer(x)
    layer.load_state_dict(other.state_dict())
    for x in (torch.randn(1, 64, dtype=torch.bfloat16), torch.randn(9, 64)):
        assert torch.equal(layer(x), other(x))


def test_inputs_that_do_not_split_into_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="groups of 32"):
        Int4Linear(48, 16, 32)
