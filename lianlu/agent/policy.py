"""Function calling: what to do next, as a pure function of the state."""

from dataclasses import dataclass

from lianlu.agent.trajectory import Call, State


@dataclass(frozen=True)
class Ask:
    """Let the model speak."""


@dataclass(frozen=True)
class Run:
    """Run these tool calls, at once."""

    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Answer:
    """End with the model's answer."""

    content: str


@dataclass(frozen=True)
class GiveUp:
    """End without an answer."""

    reason: str


Action = Ask | Run | Answer | GiveUp


def next_action(state: State, max_turns: int) -> Action | None:
    """What follows from `state`; None when the conversation has ended.

    A reply without tool calls is the answer; one with calls is followed by another model turn, up
    to `max_turns` of them since the user spoke.
    """
    if state.ended or not state.messages:
        return None
    if state.unfinished:
        return Run(state.unfinished)
    last = state.messages[-1]
    if last["role"] == "assistant":
        return Answer(last["content"] or "")
    if state.turns >= max_turns:
        return GiveUp(f"no answer after {max_turns} turns")
    return Ask()
