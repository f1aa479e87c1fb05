"""Trajectories: the fold, the file, and the export to training rows."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lianlu.agent.trajectory import Event, Trajectory, fold, to_dialogue, to_line
from lianlu.errors import UserError


def call(name: str, call_id: str = "call_0") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def turn(content: str | None, calls: list[Any], prompt: list[int], ids: list[int]) -> Event:
    return {
        "type": "assistant",
        "content": content,
        "tool_calls": calls,
        "finish_reason": "stop",
        "prompt_token_ids": prompt,
        "token_ids": ids,
        "logprobs": [-0.5] * len(ids),
        "ttft": 0.1,
        "seconds": 0.2,
    }


EVENTS: list[Event] = [
    {"type": "user", "content": "What is a.b?", "system": "Be short.", "tools": [{"t": 1}]},
    turn(None, [call("f"), call("g")], [1, 2], [3, 4]),  # both calls carry one id: it happens
    {"type": "tool_call", "id": "0.0", "name": "f", "arguments": "{}"},
    {"type": "tool_call", "id": "0.1", "name": "g", "arguments": "{}"},
    {"type": "tool_result", "id": "0.1", "content": "second", "failed": False},
    {"type": "tool_result", "id": "0.0", "content": "first", "failed": False},
    turn("It is b.\u2028", [], [1, 2, 3, 4, 5, 6], [7, 8]),
    {"type": "answer", "content": "It is b.\u2028"},
]


def test_the_fold_gives_the_conversation() -> None:
    state = fold(EVENTS)
    assert [m["role"] for m in state.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
    ]
    assert [m["content"] for m in state.messages[3:5]] == ["first", "second"]
    assert state.tools == ({"t": 1},)
    assert state.turns == 2
    assert state.answer == "It is b.\u2028"


@pytest.mark.parametrize("cut", range(len(EVENTS) + 1))
def test_a_file_cut_anywhere_opens_at_the_last_whole_event(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    whole = "".join(map(to_line, EVENTS[:cut]))
    torn = to_line(EVENTS[cut])[:-1] if cut < len(EVENTS) else ""
    path.write_text(whole + torn, encoding="utf-8")
    trajectory = Trajectory(path)
    assert trajectory.events == EVENTS[:cut]
    for event in EVENTS[cut:]:
        trajectory.append(event)
    assert path.read_text(encoding="utf-8") == "".join(map(to_line, EVENTS))
    assert Trajectory(path).state == fold(EVENTS)


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"type": "tool_result", "id": "0.0"}', "7"])
def test_a_damaged_file_is_named_with_its_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(to_line(EVENTS[0]) + line + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"t\.jsonl:2: "):
        Trajectory(path)


@pytest.mark.parametrize(
    ("after", "event"),
    [
        (0, EVENTS[1]),  # the assistant before the user
        (2, EVENTS[6]),  # the assistant before the results
        (2, {"type": "user", "content": "Hurry!"}),
        (5, EVENTS[4]),  # a result twice
        (4, {"type": "tool_result", "id": "7.7", "content": "", "failed": False}),
        (8, EVENTS[6]),  # after the end
        (1, {"type": "thought"}),
        (0, {"type": "user", "content": None}),
    ],
)
def test_an_event_that_cannot_come_next_is_not_written(
    after: int, event: Event, tmp_path: Path
) -> None:
    trajectory = Trajectory(tmp_path / "t.jsonl")
    for earlier in EVENTS[:after]:
        trajectory.append(earlier)
    with pytest.raises(ValueError):
        trajectory.append(event)
    assert trajectory.events == EVENTS[:after]
    assert Trajectory(tmp_path / "t.jsonl").events == EVENTS[:after]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200) | st.lists(st.sampled_from(EVENTS)).map(lambda e: lines(e)))
def test_no_bytes_crash_the_reader(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(data)
    try:
        trajectory = Trajectory(path)
    except UserError:
        return
    assert b"".join(to_line(e).encode() for e in trajectory.events) == path.read_bytes() or (
        [json.loads(line) for line in path.read_bytes().splitlines()] == trajectory.events
    )


def lines(events: list[Event]) -> bytes:
    return "".join(map(to_line, events)).encode()


def test_an_export_has_the_tokens_that_were_generated() -> None:
    row = to_dialogue(EVENTS, "q1")
    assert row["token_ids"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert row["trained"] == [[2, 4], [6, 8]]
    assert row["messages"] == list(fold(EVENTS).messages)
    assert row["tools"] == [{"t": 1}]


def test_an_export_refuses_tokens_that_were_read_differently() -> None:
    other = [*EVENTS[:6], turn("It is b.", [], [1, 2, 3, 9, 5, 6], [7, 8]), EVENTS[7]]
    with pytest.raises(ValueError, match="prefix"):
        to_dialogue(other, "q1")
    bare = [EVENTS[0], turn("b", [], [], [])]
    with pytest.raises(ValueError, match="no token ids"):
        to_dialogue(bare, "q1")
