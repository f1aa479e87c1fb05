"""Causal attention inside each of several packed sequences.

On CPU torch offers a flash kernel for rectangles [batch, length] only. Segments of similar length
are laid side by side, padded at their ends, and each such group is one call of the kernel: what
stands after a token never reaches it, so padding changes nothing.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from lianlu.model.compat import HAS_VARLEN, cuda_varlen, flash_backward, flash_forward

# Segments share a rectangle while they are at least this share of its length.
SIMILAR = 0.75
# Below this length a call costs more than the padding.
SHORT = 32
# Rectangles are as long as a multiple of this: the kernel keeps code for every length it has met.
STRIDE = 32
# Rows of the group table, always all there: a changing shape would compile the blocks again.
GROUPS = 64


class VarlenAttention:
    """An attention backend over packed segments: token i sees the tokens before it in its own.

    `cu_seqlens` int [segments + 1] counts from 0 to T; no segment is empty. Differentiable; one
    opaque operator on CPU, so that torch.compile keeps whole blocks.
    """

    def __init__(self, cu_seqlens: Tensor, max_length: int | None = None) -> None:
        lengths = cu_seqlens.diff()
        self.max_length = int(lengths.max()) if max_length is None else max_length
        self.cu_seqlens = cu_seqlens.to(torch.int32)
        if cu_seqlens.device.type == "cpu":
            self.place, self.groups = _layout(lengths.tolist())

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """`q` [T, H, D], `k` and `v` [T, KV, D] → [T, H, D]."""
        if q.device.type == "cpu":
            return _packed(q, k, v, self.place, self.groups)[0]
        if q.device.type == "cuda" and HAS_VARLEN and q.dtype != torch.float32:
            return cuda_varlen(q, k, v, self.cu_seqlens, self.max_length)
        return _by_segment(q, k, v, self.cu_seqlens.tolist())


def reference_attention(q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor) -> Tensor:
    """What every backend must equal, in fp32 and one dense matrix: `q` [T, H, D] → [T, H, D]."""
    group = q.shape[1] // k.shape[1]
    index = torch.arange(q.shape[0], device=q.device)
    segment = torch.bucketize(index, cu_seqlens[1:].to(q.device), right=True)
    seen = (segment[:, None] == segment) & (index[:, None] >= index)
    k, v = (x.float().repeat_interleave(group, 1) for x in (k, v))
    scores = torch.einsum("qhd,khd->hqk", q.float(), k) * q.shape[-1] ** -0.5
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, v).to(q.dtype)


def _by_segment(q: Tensor, k: Tensor, v: Tensor, bounds: list[int]) -> Tensor:
    """One SDPA call a segment, for devices without a kernel for packed segments."""
    group = q.shape[1] // k.shape[1]
    q, k, v = (x.transpose(0, 1) for x in (q, k, v))
    k, v = (x.repeat_interleave(group, 0) for x in (k, v))
    parts = [
        F.scaled_dot_product_attention(
            q[None, :, start:end], k[None, :, start:end], v[None, :, start:end], is_causal=True
        )[0]
        for start, end in pairwise(bounds)
    ]
    return torch.cat(parts, 1).transpose(0, 1)


def _layout(lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Where packed token t stands in the padded rectangles, and the rectangles [rows, length]."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    starts, groups, end = [0] * len(lengths), [[0, 0]], 0
    for i in order:
        rows, longest = groups[-1]
        alike = lengths[i] >= SIMILAR * longest or longest <= SHORT or len(groups) == GROUPS
        if rows and alike:
            groups[-1][0] += 1
        else:
            longest = -(-lengths[i] // STRIDE) * STRIDE
            groups.append([1, longest])
        starts[i] = end
        end += longest
    repeats = torch.tensor(lengths)
    first = repeats.cumsum(0) - repeats
    place = torch.arange(int(repeats.sum())) + (torch.tensor(starts) - first).repeat_interleave(
        repeats
    )
    table = torch.zeros(GROUPS, 2, dtype=torch.int64)
    table[: len(groups) - 1] = torch.tensor(groups[1:])
    return place, table


def _pad(x: Tensor, place: Tensor, groups: Tensor, heads: int) -> list[Tensor]:
    """Packed [T, h, D] → for each group [rows, heads, length, D], zero where there is no token."""
    shapes = [(rows, length) for rows, length in groups.tolist() if rows]
    total = sum(rows * length for rows, length in shapes)
    padded = x.new_zeros(total, *x.shape[1:]).index_copy_(0, place, x)
    if heads != x.shape[1]:
        padded = padded.repeat_interleave(heads // x.shape[1], 1)
    parts = padded.split([rows * length for rows, length in shapes])
    return [
        part.unflatten(0, shape).transpose(1, 2) for part, shape in zip(parts, shapes, strict=True)
    ]


def _unpad(parts: list[Tensor], place: Tensor) -> Tensor:
    """The inverse of `_pad`: [rows, H, length, ...] of each group → packed [T, H, ...]."""
    return torch.cat([part.transpose(1, 2).flatten(0, 1) for part in parts]).index_select(0, place)


@torch.library.custom_op("lianlu::packed_attention", mutates_args=())
def _packed(
    q: Tensor, k: Tensor, v: Tensor, place: Tensor, groups: Tensor
) -> tuple[Tensor, Tensor]:
    heads = q.shape[1]
    rectangles = zip(*(_pad(x, place, groups, heads) for x in (q, k, v)), strict=True)
    outs, lses = zip(*(flash_forward(*rectangle) for rectangle in rectangles), strict=True)
    return _unpad(list(outs), place), _unpad(list(lses), place)


@_packed.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, place: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    return q.new_empty(q.shape), q.new_empty(q.shape[:2], dtype=torch.float32)


@torch.library.custom_op("lianlu::packed_attention_backward", mutates_args=())
def _packed_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    place: Tensor,
    groups: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    heads = q.shape[1]
    rectangles = zip(
        *(_pad(x, place, groups, heads) for x in (grad, q, k, v, out, lse)), strict=True
    )
    grads = zip(*(flash_backward(*rectangle) for rectangle in rectangles), strict=True)
    dq, dk, dv = (_unpad(list(parts), place) for parts in grads)
    if heads != k.shape[1]:
        dk, dv = (x.unflatten(1, (k.shape[1], -1)).sum(2) for x in (dk, dv))
    return dq, dk, dv


@_packed_backward.register_fake
def _(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    place: Tensor,
    groups: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)


def _save(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]  # torch's own protocol
    q, k, v, place, groups = inputs
    ctx.save_for_backward(q, k, v, *output, place, groups)


def _differentiate(ctx, grad, _):  # type: ignore[no-untyped-def]
    q, k, v, out, lse, place, groups = ctx.saved_tensors
    return *_packed_backward(grad, q, k, v, out, lse, place, groups), None, None


_packed.register_autograd(_differentiate, setup_context=_save)
