"""Was a question answered right? The same words as in `evaluate`."""

import json
from dataclasses import dataclass

from lianlu.agent.trajectory import State
from lianlu.tools.answers import same_answer


@dataclass(frozen=True)
class Verdict:
    """`called`: the first turn made exactly the right call; `right`: and the answer matches."""

    called: bool
    right: bool


def judge(state: State, tool: str, name: str, answer: str) -> Verdict:
    """Whether the conversation called `tool` with `name` first, and then answered `answer`."""
    first = next((m for m in state.messages if m["role"] == "assistant"), {})
    calls = [call["function"] for call in first.get("tool_calls", ())]
    called = len(calls) == 1 and calls[0]["name"] == tool
    called = called and _parsed(calls[0]["arguments"]) == {"name": name}
    return Verdict(called, called and same_answer(state.answer or "", answer))


def _parsed(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return None
