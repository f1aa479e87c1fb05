"""Verdicts and their interval."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.agent.trajectory import State
from lianlu.agent.verdict import Verdict, judge, normalise, wilson


def state(answer: str | None, *calls: tuple[str, str]) -> State:
    made = [{"function": {"name": name, "arguments": arguments}} for name, arguments in calls]
    first = {"role": "assistant", "content": None, "tool_calls": made}
    return State(messages=({"role": "user", "content": "?"}, first), answer=answer)


RIGHT_CALL = ("docs", json.dumps({"name": "a.b"}))


@pytest.mark.parametrize(
    ("reached", "verdict"),
    [
        (state("  Does\n B", RIGHT_CALL), Verdict(True, True)),
        (state("Does c.", RIGHT_CALL), Verdict(True, False)),
        (state(None, RIGHT_CALL), Verdict(True, False)),
        (state("Does b."), Verdict(False, False)),  # right by guessing
        (state("Does b.", RIGHT_CALL, RIGHT_CALL), Verdict(False, False)),
        (state("Does b.", ("other", RIGHT_CALL[1])), Verdict(False, False)),
        (state("Does b.", ("docs", '{"name": "a.B"}')), Verdict(False, False)),
        (state("Does b.", ("docs", '{"name": "a.b", "x": 1}')), Verdict(False, False)),
        (state("Does b.", ("docs", '{"name": ')), Verdict(False, False)),
        (state("Does b.", ("docs", "[" * 100_000)), Verdict(False, False)),
        (State(), Verdict(False, False)),
    ],
)
def test_verdicts(reached: State, verdict: Verdict) -> None:
    assert judge(reached, "docs", "a.b", "does b.") == verdict


def test_normalise() -> None:
    assert normalise(" Join \n two  PATHS. ") == "join two paths"
    assert normalise("Join..") == "join."


def test_wilson_against_published_values() -> None:
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for right, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_holds_the_share(right: int, n: int) -> None:
    right = min(right, n)
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1 or abs(right / n - 1) < 1e-9
