"""Warm-up, stable, decay."""

from hypothesis import given
from hypothesis import strategies as st

from lianlu.train.schedule import rate_at


@given(st.integers(1, 1000), st.floats(0, 0.9), st.floats(0, 1))
def test_the_rate_is_a_share_that_rises_then_falls(steps: int, warmup: float, decay: float) -> None:
    rates = [rate_at(step, steps, warmup, decay) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_its_corners() -> None:
    assert rate_at(0, 100, 0.1, 0.5) == 0.1
    assert rate_at(30, 100, 0.1, 0.5) == 1.0
    assert rate_at(75, 100, 0.1, 0.5) == 0.5
    assert rate_at(99, 100, 0.1, 0.5) == 0.02
    assert rate_at(0, 1, 0.0, 0.0) == 1.0
