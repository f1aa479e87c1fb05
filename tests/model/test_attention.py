import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lianlu.model.attention import VarlenAttention, _by_segment, reference_attention


def packed(
    lengths: list[int], heads: int, kv_heads: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, list[Tensor]]:
    generator = torch.Generator().manual_seed(sum(lengths))
    cu_seqlens = torch.tensor([0, *lengths]).cumsum(0)
    shapes = [(sum(lengths), h, 16) for h in (heads, kv_heads, kv_heads)]
    return cu_seqlens, [
        torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes
    ]


def error(got: Tensor, want: Tensor) -> float:
    return (got.float() - want.float()).abs().max().item()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=12), st.sampled_from([(4, 4), (4, 2), (3, 1)])
)
def test_equals_the_reference_forward_and_backward(lengths: list[int], heads: tuple[int, int]):
    cu_seqlens, qkv = packed(lengths, *heads)
    got = VarlenAttention(cu_seqlens)(0, *qkv)
    want = reference_attention(*qkv, cu_seqlens)
    assert error(got, want) < 2e-6
    weights = torch.randn_like(got)
    for a, b in zip(
        torch.autograd.grad(got, qkv, weights),
        torch.autograd.grad(want, qkv, weights),
        strict=True,
    ):
        assert error(a, b) < 1e-5


def share(got: Tensor, want: Tensor) -> float:
    return error(got, want) / want.abs().max().item()


def test_bfloat16_stays_near_the_reference():
    cu_seqlens, qkv = packed([33, 1, 64, 5], 4, 2, torch.bfloat16)
    got = VarlenAttention(cu_seqlens)(0, *qkv)
    assert got.dtype == torch.bfloat16
    assert error(got, reference_attention(*qkv, cu_seqlens)) < 2e-2
    gradients = torch.autograd.grad(got.float().sum(), qkv)
    wanted = torch.autograd.grad(reference_attention(*qkv, cu_seqlens).float().sum(), qkv)
    assert all(share(a, b) < 2e-2 for a, b in zip(gradients, wanted, strict=True))


def test_segments_do_not_see_each_other_or_the_future():
    cu_seqlens, (q, k, v) = packed([6, 5], 2, 2)
    attend = VarlenAttention(cu_seqlens)
    before = attend(0, q, k, v)
    with torch.no_grad():
        v[4:] += 1
    after = attend(0, q, k, v)
    assert torch.equal(before[:4], after[:4])
    assert error(after[6:], before[6:] + 1) < 1e-5


def test_many_different_lengths_fit_the_group_table():
    lengths = [int(1.4**i) for i in range(1, 20)] + [1] * 50
    cu_seqlens, qkv = packed(lengths, 1, 1)
    got = VarlenAttention(cu_seqlens)(0, *qkv)
    assert error(got, _by_segment(*qkv, cu_seqlens.tolist())) < 2e-6


def test_operator_passes_torchs_own_checks():
    cu_seqlens, qkv = packed([5, 9], 2, 1)
    attend = VarlenAttention(cu_seqlens)
    torch.library.opcheck(
        torch.ops.lianlu.packed_attention.default,
        (*qkv, attend.place, attend.groups),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


def test_is_one_graph_without_breaks():
    cu_seqlens, qkv = packed([5, 9], 2, 1)
    attend = VarlenAttention(cu_seqlens)
    compiled = torch.compile(
        lambda q, k, v: attend(0, q, k, v) * 2, backend="eager", fullgraph=True
    )
    assert error(compiled(*qkv), 2 * attend(0, *qkv)) < 1e-6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("heads", [(4, 4), (4, 2)])
def test_cuda_equals_the_reference(heads: tuple[int, int]):
    cu_seqlens, qkv = packed([33, 1, 64, 5], *heads, torch.bfloat16)
    cuda = [x.detach().cuda().requires_grad_() for x in qkv]
    got = VarlenAttention(cu_seqlens.cuda())(0, *cuda)
    assert error(got.cpu(), reference_attention(*qkv, cu_seqlens)) < 2e-2
    gradients = torch.autograd.grad(got.float().sum(), cuda)
    wanted = torch.autograd.grad(reference_attention(*qkv, cu_seqlens).float().sum(), qkv)
    assert all(share(a.cpu(), b) < 2e-2 for a, b in zip(gradients, wanted, strict=True))
