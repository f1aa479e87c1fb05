"""What compression cost and what it gained."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lianlu import statistics
from lianlu.job import Facts
from lianlu.kernels.kv import dequantize, quantize
from lianlu.model.attention import VarlenAttention
from lianlu.model.decoder import Attend, Decoder
from lianlu.model.likelihood import Wrap


def losses(before: np.ndarray, after: np.ndarray, cached: np.ndarray, sizes: np.ndarray) -> Facts:
    """Bits per byte before, after, and with the rounded KV cache; and the relative rise.

    Arrays hold bits per byte and bytes of each document. The rise is that of the model as it will
    be served, cache included; its interval is paired: both models read the same documents.
    """
    rise = _finite(statistics.mean((cached - before) / before, before * sizes))
    weights_only = float((after * sizes).sum() / (before * sizes).sum() - 1)
    return {
        "loss": rise["value"],
        "loss_low": rise["low"],
        "loss_high": rise["high"],
        "loss_of_weights": weights_only,
        "loss_of_kv": rise["value"] - weights_only,
        "documents": len(sizes),
        "bits_per_byte": {
            "before": _finite(statistics.mean(before, sizes)),
            "weights": _finite(statistics.mean(after, sizes)),
            "after": _finite(statistics.mean(cached, sizes)),
        },
    }


def rounded_cache(bits: int) -> Wrap:
    """Attention that reads keys and values as the engine's cache of `bits` bits gives them back."""

    def wrap(attend: Attend) -> Attend:
        def rounded(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attend(layer, q, *(dequantize(*quantize(x), x.dtype) for x in (k, v)))

        return rounded if bits == 8 else attend

    return wrap


def weight_bytes(path: Path) -> int:
    """Size of a model directory's safetensors files."""
    return sum(file.stat().st_size for file in path.glob("*.safetensors"))


@torch.inference_mode()
def decode_speed(decoder: Decoder, seconds: float = 0.5) -> float:
    """Tokens a second of one sequence, attention over the past left out: what the weights cost.

    The fastest of many, because what else the machine does only ever adds.
    """
    token = torch.zeros(1, dtype=torch.int64)
    attend = VarlenAttention(torch.tensor([0, 1]))
    times: list[float] = []
    decoder.logits(decoder(token, token, attend))  # builds the copies that are made on first use
    until = time.perf_counter() + seconds
    while not times or time.perf_counter() < until:
        start = time.perf_counter()
        decoder.logits(decoder(token, token, attend))
        times.append(time.perf_counter() - start)
    return 1 / min(times)


def summary(facts: Facts, speeds: Sequence[float]) -> str:
    """One line for the person watching."""
    size, bits = facts["bytes"], facts["bits_per_byte"]
    return (
        f"{size['before'] / 1e6:.1f} → {size['after'] / 1e6:.1f} MB, "
        f"{bits['before']['value']:.4f} → {bits['after']['value']:.4f} bits per byte "
        f"({facts['loss']:+.2%}, {facts['allowed']:.0%} allowed), "
        f"{speeds[0]:.0f} → {speeds[1]:.0f} tokens/s for one sequence"
    )


def _finite(interval: statistics.Interval) -> Facts:
    """As JSON, which has no infinity: the bounds of a single document are null."""
    return {k: v if math.isfinite(v) else None for k, v in asdict(interval).items()}
