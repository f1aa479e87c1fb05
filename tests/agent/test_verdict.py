"""Verdicts."""

import json

import pytest

from lianlu.agent.trajectory import State
from lianlu.agent.verdict import Verdict, judge


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
