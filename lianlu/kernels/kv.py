"""Keys and values in 8 bits, as the cache stores them."""

import torch
from torch import Tensor


def quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """`x` [..., D] → codes uint8 [..., D] and fp32 [..., 2] holding the scale and the minimum.

    Asymmetric per vector: x ≈ code · scale + minimum, off by at most half a scale.
    """
    x = x.float()
    low, high = x.aminmax(dim=-1, keepdim=True)
    scale = ((high - low) / 255).clamp_min(1e-12)  # a constant vector has no range
    codes = ((x - low) / scale).round_().clamp_(0, 255).to(torch.uint8)
    return codes, torch.cat([scale, low], dim=-1)


def dequantize(codes: Tensor, range_: Tensor, dtype: torch.dtype) -> Tensor:
    """The inverse of `quantize`, as `dtype` [..., D]."""
    scale, low = range_.split(1, dim=-1)
    return torch.addcmul(low, codes, scale).to(dtype)
