"""How long a training takes: by an earlier one of the same shape, else by the machine's rates."""

import json
import statistics
from pathlib import Path

from lianlu.errors import UserError
from lianlu.lineage import StepStore
from lianlu.model.config import DecoderConfig
from lianlu.plan.hardware import Hardware
from lianlu.plan.memory import inner_parameters
from lianlu.progress import METRICS

# Operations per second of a training step, as a share of numpy's fp32 matrix product; above one
# where units for bfloat16 do them. Two cores with AMX, 9 M parameters, quiet machine.
EFFICIENCY = {
    ("float32", False): 0.65,
    ("float32", True): 0.75,
    ("bfloat16", False): 1.3,
    ("bfloat16", True): 1.8,
}
WITHOUT_JEMALLOC = 0.6
START, COMPILING = 5.0, 25.0  # seconds


def training_flops(config: DecoderConfig, context: int | None = None) -> float:
    """Operations per trained token, forward and backward.

    Six per weight that multiplies (an embedding that is only looked up does not), and twelve per
    layer, query unit and position seen, of which a causal mask leaves half.
    """
    seen = (config.context if context is None else context) / 2
    multiplying = inner_parameters(config) + config.vocab_size * config.width
    return 6 * multiplying + 12 * config.layers * config.heads * config.head_dim * seen


def training_seconds(
    config: DecoderConfig,
    *,
    tokens: float,
    hardware: Hardware,
    dtype: str = "auto",
    compiled: bool = True,
    runs: Path | None = None,
) -> float:
    """Seconds to train on `tokens`, with the start and the compiler.

    Takes the speed of the latest training of this shape in `runs`, where there is one.
    """
    start = START + COMPILING * compiled
    speed = earlier_speed(runs, config) if runs is not None else None
    if speed is None:
        arithmetic = hardware.trains_in if dtype == "auto" else dtype
        rate = hardware.rates.gemm * EFFICIENCY[arithmetic, compiled]
        rate *= 1.0 if hardware.jemalloc else WITHOUT_JEMALLOC
        speed = rate / training_flops(config)
    return start + tokens / speed


def earlier_speed(runs: Path, config: DecoderConfig) -> float | None:
    """Median tokens per second of the latest finished training of this shape, or None."""
    for place, record in reversed(list(StepStore(runs).records())):
        if record.link in ("pretrain", "tune") and _shape(place) == _without_ids(config):
            speeds = list(_speeds(place / METRICS))
            if speeds:
                return statistics.median(speeds)
    return None


def _speeds(metrics: Path) -> list[float]:
    """The first row waits for the compiler, so it does not count."""
    try:
        rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []
    return [row["tokens_per_second"] for row in rows if row.get("tokens_per_second")][1:]


def _shape(place: Path) -> tuple[int, ...] | None:
    try:
        values = json.loads((place / "config.json").read_text(encoding="utf-8"))
        return _without_ids(DecoderConfig.from_hf(values))
    except (OSError, ValueError, UserError):
        return None


def _without_ids(config: DecoderConfig) -> tuple[int, ...]:
    return (
        config.vocab_size,
        config.width,
        config.layers,
        config.heads,
        config.kv_heads,
        config.head_dim,
        config.ffn,
    )
