"""The private names of torch that we use, in one place; they hold for torch 2.11 to 2.13."""

from typing import Any

import torch
from torch import Tensor

try:
    from torch.nn.attention import varlen
except ImportError:  # an older torch, or one built without it
    HAS_VARLEN = False
else:
    HAS_VARLEN = True


def flash_forward(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Causal flash attention on CPU: [B, H, L, D] each → ([B, H, L, D], log-sum-exp [B, H, L])."""
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True)


def flash_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `flash_forward` for q, k and v, from its saved output and log-sum-exp."""
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        grad, q, k, v, out, lse, 0.0, True
    )


def cuda_varlen(q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, max_length: int) -> Tensor:
    """Causal attention over packed segments on CUDA: q [T, H, D], k and v [T, KV, D]."""
    gqa: dict[str, Any] = {"enable_gqa": True} if q.shape[1] != k.shape[1] else {}
    out = varlen.varlen_attn(
        q, k, v, cu_seqlens, cu_seqlens, max_length, max_length, window_size=(-1, 0), **gqa
    )
    return out if isinstance(out, Tensor) else out[0]
