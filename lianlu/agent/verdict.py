"""Was a question answered right? The same words as in `evaluate`."""

import json
import math
from dataclasses import dataclass
from statistics import NormalDist

from lianlu.agent.trajectory import State


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
    return Verdict(called, called and normalise(state.answer or "") == normalise(answer))


def normalise(text: str) -> str:
    """Case, runs of white space and a final period make no difference."""
    return " ".join(text.split()).removesuffix(".").rstrip().casefold()


def wilson(right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927); (0, 1) when nothing was asked."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, z2 = right / n, z * z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _parsed(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return None
