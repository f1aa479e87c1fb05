"""The learning rate over a training: warm-up, stable, decay."""


def rate_at(step: int, steps: int, warmup: float, decay: float) -> float:
    """The share of the peak rate at `step` of `steps`: rises linearly, stays, falls linearly to 0.

    (Hu et al. 2024, MiniCPM: warm-up–stable–decay.) `warmup` and `decay` are shares of the steps.
    """
    rising = (step + 1) / max(1.0, warmup * steps)
    falling = (steps - step) / max(1.0, decay * steps)
    return min(1.0, rising, falling)
