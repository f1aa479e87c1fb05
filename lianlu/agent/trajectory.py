"""Trajectories: append-only events in a JSONL file; everything else is a fold over them.

Events, in the order a run makes them:

    {"type": "user", "content", "system"?, "tools"?}            tools: OpenAI schemas, first event
    {"type": "assistant", "content", "tool_calls", "finish_reason", "prompt_token_ids",
     "token_ids", "logprobs", "ttft", "seconds"}                one model turn; times in seconds
    {"type": "tool_call", "id", "name", "arguments"}            before the tool runs
    {"type": "tool_result", "id", "content", "failed"}          as each call ends
    {"type": "answer", "content"} or {"type": "error", "message"}

`id` of a call is "turn.index": the model's own call ids repeat from turn to turn.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lianlu.errors import UserError

Event = dict[str, Any]
Message = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One tool call of the last assistant turn; `message_id` is what the model called it."""

    id: str
    message_id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class State:
    """Where a conversation stands. Messages are OpenAI's."""

    messages: tuple[Message, ...] = ()
    tools: tuple[Message, ...] = ()
    calls: tuple[Call, ...] = ()
    begun: frozenset[str] = frozenset()
    results: Mapping[str, str] = field(default_factory=dict)
    turns: int = 0
    """Model turns since the last user message."""
    answer: str | None = None
    error: str | None = None

    @property
    def ended(self) -> bool:
        return self.answer is not None or self.error is not None

    @property
    def unfinished(self) -> tuple[Call, ...]:
        """Calls of the last turn that have no result yet."""
        return tuple(call for call in self.calls if call.id not in self.results)


def apply(state: State, event: Event) -> State:
    """The state after `event`. Raises ValueError or KeyError for one that cannot come next."""
    kind = event["type"]
    if kind == "user":
        return _user(state, event)
    if kind in ("answer", "error"):
        if kind == "answer":
            return replace(state, answer=_text(event["content"]))
        return replace(state, error=_text(event["message"]))
    if state.ended:
        raise ValueError(f"{kind} after the end")
    if kind == "assistant":
        return _assistant(state, event)
    if kind == "tool_call":
        _known(state, event["id"])
        return replace(state, begun=state.begun | {event["id"]})
    if kind == "tool_result":
        return _tool_result(state, event)
    raise ValueError(f"unknown event type {kind!r}")


def fold(events: Iterable[Event]) -> State:
    """The state after `events`."""
    state = State()
    for event in events:
        state = apply(state, event)
    return state


def _user(state: State, event: Event) -> State:
    if state.unfinished:
        raise ValueError("user speaks while calls are unfinished")
    first = not state.messages
    system = event.get("system") if first else None
    opening: tuple[Message, ...] = ({"role": "system", "content": system},) if system else ()
    said: Message = {"role": "user", "content": _text(event["content"])}
    tools = tuple(event.get("tools") or ()) if first else state.tools
    return State(messages=(*state.messages, *opening, said), tools=tools)


def _assistant(state: State, event: Event) -> State:
    if state.unfinished or not state.messages:
        raise ValueError("the assistant speaks out of turn")
    message: Message = {"role": "assistant", "content": event["content"]}
    if event.get("tool_calls"):
        message["tool_calls"] = event["tool_calls"]
    calls = tuple(
        Call(
            id=f"{state.turns}.{i}",
            message_id=_text(call["id"]),
            name=_text(call["function"]["name"]),
            arguments=_text(call["function"]["arguments"]),
        )
        for i, call in enumerate(event.get("tool_calls") or ())
    )
    return replace(
        state,
        messages=(*state.messages, message),
        calls=calls,
        begun=frozenset(),
        results={},
        turns=state.turns + 1,
    )


def _tool_result(state: State, event: Event) -> State:
    _known(state, event["id"])
    if event["id"] in state.results:
        raise ValueError(f"a second result of call {event['id']}")
    state = replace(state, results={**state.results, event["id"]: _text(event["content"])})
    if state.unfinished:
        return state
    # Results come as they end; the model sees them in the order of its calls.
    told = tuple(
        {"role": "tool", "tool_call_id": call.message_id, "content": state.results[call.id]}
        for call in state.calls
    )
    return replace(state, messages=(*state.messages, *told))


def _known(state: State, call_id: Any) -> None:
    if all(call.id != call_id for call in state.calls):
        raise ValueError(f"no call {call_id!r} in this turn")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def to_line(event: Event) -> str:
    """An event as it is written; equal events give equal bytes."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"


class Trajectory:
    """The events of one conversation, in memory and in a file that only grows.

    Opening a file that a killed run left behind takes up where it stood: a last line without its
    end is what the kill cut off, and goes. Raises UserError for any other damage.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = []
        self.state = State()
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                event = json.loads(line)
                self.state = apply(self.state, event)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UserError(
                    f"{path}:{number}: not an event of a trajectory: {error}",
                    "delete the file to ask that question again",
                ) from error
            self.events.append(event)
        if len(whole) < len(data):
            with path.open("r+b") as file:
                file.truncate(len(whole))

    def append(self, event: Event) -> None:
        """Check an event, write it, then let it count."""
        state = apply(self.state, event)
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(to_line(event))
        self.events.append(event)
        self.state = state


def to_dialogue(events: Iterable[Event], row_id: str) -> dict[str, Any]:
    """A training row of a finished conversation, with the very tokens that were generated.

    Beside `messages` and `tools` it has `token_ids` (prompt and everything after it) and `trained`,
    the `[start, end)` spans the model produced: nothing needs to be tokenised again.

    Raises ValueError when a turn's tokens are not a prefix of the next turn's prompt: the server
    then read the conversation differently than it had written it.
    """
    events = list(events)
    ids: list[int] = []
    spans: list[list[int]] = []
    for event in events:
        if event["type"] != "assistant":
            continue
        prompt, produced = event["prompt_token_ids"], event["token_ids"]
        if not prompt or not produced:
            raise ValueError("the server returned no token ids")
        if prompt[: len(ids)] != ids:
            raise ValueError("a turn's tokens are not a prefix of the next turn's prompt")
        spans.append([len(prompt), len(prompt) + len(produced)])
        ids = [*prompt, *produced]
    state = fold(events)
    return {
        "id": row_id,
        "messages": list(state.messages),
        "tools": list(state.tools),
        "meta": {"kind": "trajectory"},
        "token_ids": ids,
        "trained": spans,
    }
