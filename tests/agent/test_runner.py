"""The runner: order of events, resume at any point, replay."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lianlu.agent.model import Refused, Reply, ScriptedModel
from lianlu.agent.runner import Limits, replay, run
from lianlu.agent.trajectory import Call, Event, State, Trajectory, to_line
from lianlu.tools.tool import ToolResult

LIMITS = Limits(max_turns=3)


class Tools:
    """Counts its runs; the call `slow` ends after the others."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    async def run(self, call: Call) -> ToolResult:
        self.ran.append(call.id)
        for _ in range(20 if call.name == "slow" else 0):
            await asyncio.sleep(0)
        return ToolResult(f"{call.name} says {call.arguments}", failed=call.name == "bad")


def reply(content: str | None, *names: str) -> Reply:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if names:
        message["tool_calls"] = [
            {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": "{}"}}
            for i, name in enumerate(names)
        ]
    return Reply(message, "stop", [1], [2, 3], [-0.1, -0.2], 0.01, 0.02)


REPLIES = [reply(None, "slow", "quick", "bad"), reply("wait", "quick"), reply("Done.")]


def go(trajectory: Trajectory, replies: list[Reply], tools: Tools, **options: Any) -> State:
    return asyncio.run(run(trajectory, ScriptedModel(replies), tools, LIMITS, **options))


def full(path: Path) -> list[Event]:
    trajectory = Trajectory(path)
    trajectory.append({"type": "user", "content": "Go."})
    go(trajectory, REPLIES, Tools())
    return trajectory.events


def test_events_are_written_as_they_happen(tmp_path: Path) -> None:
    seen: list[int] = []
    path = tmp_path / "t.jsonl"
    trajectory = Trajectory(path)
    trajectory.append({"type": "user", "content": "Go."})

    def listen(event: Event) -> None:
        assert path.read_text().endswith(to_line(event))  # on disk before anyone hears of it
        seen.append(1)

    state = go(trajectory, REPLIES, Tools(), listen=listen)
    assert state.answer == "Done."
    kinds = [event["type"] for event in trajectory.events]
    assert kinds == (
        ["user", "assistant"]
        + ["tool_call"] * 3
        + ["tool_result"] * 3
        + ["assistant", "tool_call", "tool_result", "assistant", "answer"]
    )
    results = [e["id"] for e in trajectory.events if e["type"] == "tool_result"]
    assert results == ["0.1", "0.2", "0.0", "1.0"]  # as they ended
    assert [e["failed"] for e in trajectory.events if e["type"] == "tool_result"][1] is True
    told = [m["content"] for m in state.messages if m["role"] == "tool"]
    assert told == ["slow says {}", "quick says {}", "bad says {}", "quick says {}"]  # as called
    assert len(seen) == len(kinds) - 1


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_run_cut_anywhere_goes_on_without_repeating(cut: int, tmp_path: Path) -> None:
    events = full(tmp_path / "full.jsonl")
    assert len(events) == 13
    path = tmp_path / "cut.jsonl"
    path.write_text("".join(map(to_line, events[:cut])))
    trajectory = Trajectory(path)
    turns = sum(event["type"] == "assistant" for event in events[:cut])
    finished = [event["id"] for event in events[:cut] if event["type"] == "tool_result"]
    tools = Tools()
    state = go(trajectory, REPLIES[turns:], tools)
    assert sorted(tools.ran + finished) == ["0.0", "0.1", "0.2", "1.0"]
    assert state.answer == "Done."
    assert sorted(map(to_line, trajectory.events)) == sorted(map(to_line, events))


def test_turns_run_out(tmp_path: Path) -> None:
    trajectory = Trajectory(tmp_path / "t.jsonl")
    trajectory.append({"type": "user", "content": "Go."})
    state = go(trajectory, [reply(None, "quick")] * 3, Tools())
    assert (state.answer, state.error) == (None, "no answer after 3 turns")


class Refusing:
    """A server that cannot do this request."""

    async def complete(self, *_: object) -> Reply:
        raise Refused("the server refuses: too long")


def test_a_request_that_is_refused_ends_its_own_question_alone(tmp_path: Path) -> None:
    trajectory = Trajectory(tmp_path / "t.jsonl")
    trajectory.append({"type": "user", "content": "Go."})
    state = asyncio.run(run(trajectory, Refusing(), Tools(), LIMITS))
    assert state.error == "the server refuses: too long"
    assert state.ended


def test_a_replay_gives_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    trajectory = Trajectory(path)
    for question in ("Go.", "Again."):
        trajectory.append({"type": "user", "content": question})
        go(trajectory, REPLIES, Tools())
    again = asyncio.run(replay(trajectory, tmp_path / "again.jsonl", LIMITS))
    assert again.state == trajectory.state
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()
