"""Rotary position embedding (Su et al. 2021) with the usual ways to stretch it."""

import math

import torch
from torch import Tensor

from lianlu.model.config import DecoderConfig, RopeScaling


def rotary_table(config: DecoderConfig, positions: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin for `positions` [T], each fp32 [T, 1, head_dim].

    Computed from the positions at every forward, on their device: a buffer would be rounded by
    `decoder.bfloat16()` and left uninitialised by `to_empty()`.
    """
    exponents = torch.arange(0, config.head_dim, 2, device=positions.device).float()
    frequencies = 1.0 / config.rope_theta ** (exponents / config.head_dim)
    magnitude = 1.0
    if config.rope_scaling is not None:
        frequencies, magnitude = _stretch(config, config.rope_scaling, frequencies)
    angles = positions.float()[:, None, None] * frequencies
    angles = torch.cat((angles, angles), -1)
    return angles.cos() * magnitude, angles.sin() * magnitude


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate `x` [T, H, D] in halves, as Hugging Face checkpoints are laid out."""
    first, second = x.chunk(2, -1)
    return x * cos.to(x.dtype) + torch.cat((-second, first), -1) * sin.to(x.dtype)


def _stretch(
    config: DecoderConfig, scaling: RopeScaling, frequencies: Tensor
) -> tuple[Tensor, float]:
    if scaling.kind == "linear":
        return frequencies / scaling.factor, 1.0
    if scaling.kind == "llama3":
        return _llama3(scaling, frequencies), 1.0
    if scaling.kind == "yarn":
        magnitude = scaling.attention_factor or 0.1 * math.log(max(scaling.factor, 1.0)) + 1.0
        return _yarn(config, scaling, frequencies), magnitude
    return frequencies, 1.0  # dynamic: plain up to the trained context


def _llama3(scaling: RopeScaling, frequencies: Tensor) -> Tensor:
    """Keep short wavelengths, stretch long ones, blend between."""
    wavelengths = 2 * math.pi / frequencies
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    blend = ((scaling.original_context / wavelengths - low) / (high - low)).clamp(0, 1)
    return (1 - blend) * frequencies / scaling.factor + blend * frequencies


def _yarn(config: DecoderConfig, scaling: RopeScaling, frequencies: Tensor) -> Tensor:
    """Keep dimensions that turn often within the trained context (Peng et al. 2023, §3.2)."""

    def dimension(turns: float) -> float:
        wavelength = scaling.original_context / (turns * 2 * math.pi)
        return config.head_dim * math.log(wavelength) / (2 * math.log(config.rope_theta))

    low = max(math.floor(dimension(scaling.beta_fast)), 0)
    high = min(math.ceil(dimension(scaling.beta_slow)), config.head_dim - 1)
    steps = torch.arange(frequencies.numel(), device=frequencies.device).float()
    keep = 1 - ((steps - low) / max(high - low, 1e-3)).clamp(0, 1)
    return (1 - keep) * frequencies / scaling.factor + keep * frequencies
