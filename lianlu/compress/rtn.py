"""Rounding to nearest by group, with each group's range chosen by the error it causes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lianlu.kernels.int4 import dequantise

LOWEST, HIGHEST = -8, 7
# Shares of a group's range that are tried: clipping a few outliers refines all the others.
SHRINKS = tuple(1 - i / 40 for i in range(21))


@dataclass(frozen=True)
class Quantised:
    """A weight in 4 bits: values int8 -8..7 `[N, K]`, scale and zero `[N, K/g]`."""

    values: Tensor
    scale: Tensor
    zero: Tensor | None

    def dequantise(self) -> Tensor:
        """float32 `[N, K]`, exactly what a reader of the stored tensors gets."""
        return dequantise(self.values, self.scale.float(), self.zero)


def quantise(
    weight: Tensor,
    group: int,
    moments: Tensor | None = None,
    *,
    symmetric: bool = True,
    shrinks: Sequence[float] = SHRINKS,
    scale_dtype: torch.dtype = torch.bfloat16,
) -> Quantised:
    """Round `weight` [N, K] to 4 bits, searching each group's range.

    `moments` [K/g, g, g] are the second moments of the inputs within each group: the search then
    minimises the error of the group's output, else that of its weights. The scale is rounded to
    `scale_dtype` before the values are, so that what is stored is what was measured.
    """
    grouped = weight.float().unflatten(1, (-1, group))  # [N, G, g]
    best = torch.full(grouped.shape[:2], torch.inf)
    scale, zero = best.clone(), torch.zeros_like(best)
    for shrink in shrinks:
        s, z = _grid(grouped, shrink, symmetric, scale_dtype)
        error = _round(grouped, s, z).sub_(z[..., None]).mul_(s[..., None]).sub_(grouped)
        loss = _loss(error, moments)
        better = loss < best
        best = torch.where(better, loss, best)
        scale, zero = torch.where(better, s, scale), torch.where(better, z, zero)
    values = _round(grouped, scale, zero).to(torch.int8).flatten(1)
    return Quantised(values, scale.to(scale_dtype), None if symmetric else zero.to(torch.int8))


def _grid(
    grouped: Tensor, shrink: float, symmetric: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Scale and zero point of each group when its range is shrunk: float32 `[N, G]`."""
    if symmetric:
        reach = grouped.abs().amax(-1) * shrink
        scale = reach / ((HIGHEST - LOWEST) / 2)
        return _storable(scale, dtype), torch.zeros_like(reach)
    # Zero stays inside the range, so that a weight of zero costs nothing.
    high = grouped.amax(-1).clamp(min=0) * shrink
    low = grouped.amin(-1).clamp(max=0) * shrink
    scale = _storable((high - low) / (HIGHEST - LOWEST), dtype)
    return scale, (LOWEST - low / scale).round().clamp(LOWEST, HIGHEST)


def _storable(scale: Tensor, dtype: torch.dtype) -> Tensor:
    """As it will be read back; a group of zeros gets a scale that divides."""
    return scale.clamp(min=1e-5).to(dtype).float()


def _round(grouped: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    steps = grouped / scale[..., None] + zero[..., None]
    return steps.round_().clamp_(LOWEST, HIGHEST)


def _loss(error: Tensor, moments: Tensor | None) -> Tensor:
    """Expected squared output error of each group: error [N, G, g] → [N, G]."""
    if moments is None:
        return error.square().sum(-1)
    return (torch.einsum("ngi,gij->ngj", error, moments) * error).sum(-1)
