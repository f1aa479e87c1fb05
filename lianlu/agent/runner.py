"""The loop: ask the policy, do it, write it down, until the conversation ends."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from lianlu.agent.model import Model, Refused, Reply, ScriptedModel
from lianlu.agent.policy import Answer, Ask, GiveUp, Run, next_action
from lianlu.agent.toolbox import Tools
from lianlu.agent.trajectory import Call, Event, State, Trajectory
from lianlu.tools.tool import ToolResult


@dataclass(frozen=True)
class Limits:
    """What one question may cost."""

    max_turns: int = 4
    max_tokens: int = 96
    """Tokens per model turn."""


async def run(
    trajectory: Trajectory,
    model: Model,
    tools: Tools,
    limits: Limits,
    listen: Callable[[Event], None] | None = None,
) -> State:
    """Take a conversation to its end, from wherever it stands.

    Every event is in the trajectory before the next thing happens, so that a killed run goes on
    where it stopped: finished turns and finished tool calls are not repeated.
    """

    def note(event: Event) -> None:
        trajectory.append(event)
        if listen:
            listen(event)

    while action := next_action(trajectory.state, limits.max_turns):
        match action:
            case Ask():
                state = trajectory.state
                try:
                    reply = await model.complete(state.messages, state.tools, limits.max_tokens)
                except Refused as error:
                    note({"type": "error", "message": error.message})
                else:
                    note(reply.event())
            case Run(calls):
                await _run_calls(calls, trajectory.state.begun, tools, note)
            case Answer(content):
                note({"type": "answer", "content": content})
            case GiveUp(reason):
                note({"type": "error", "message": reason})
    return trajectory.state


async def _run_calls(
    calls: Sequence[Call], begun: frozenset[str], tools: Tools, note: Callable[[Event], None]
) -> None:
    """All calls at once; each result is noted as it comes."""

    async def one(call: Call) -> None:
        result = await tools.run(call)
        note(
            {
                "type": "tool_result",
                "id": call.id,
                "content": result.text,
                "failed": result.failed,
            }
        )

    for call in calls:
        if call.id not in begun:
            note(
                {
                    "type": "tool_call",
                    "id": call.id,
                    "name": call.name,
                    "arguments": call.arguments,
                }
            )
    await asyncio.gather(*map(one, calls))


async def replay(recorded: Trajectory, path: Path, limits: Limits) -> Trajectory:
    """Run a trajectory again, into a new file at `path`, from its recorded replies and results.

    `recorded` has ended. With the same policy and limits the new file has the same bytes.
    """
    again = Trajectory(path)
    turns: list[list[Event]] = []
    for event in recorded.events:
        if event["type"] == "user":
            turns.append([])
        turns[-1].append(event)
    for turn in turns:
        again.append(turn[0])
        replies = [_reply(event) for event in turn if event["type"] == "assistant"]
        await run(again, ScriptedModel(replies), _RecordedTools(turn), limits)
    return again


def _reply(event: Event) -> Reply:
    message = {"role": "assistant", "content": event["content"]}
    message |= {"tool_calls": event["tool_calls"]} if event["tool_calls"] else {}
    rest = ("finish_reason", "prompt_token_ids", "token_ids", "logprobs", "ttft", "seconds")
    return Reply(message, **{name: event[name] for name in rest})


class _RecordedTools:
    """Gives recorded results, in the order in which they once came."""

    def __init__(self, events: Sequence[Event]) -> None:
        results = [event for event in events if event["type"] == "tool_result"]
        self.results = {event["id"]: event for event in results}
        self.turn_of = {event["id"]: asyncio.Event() for event in results}
        self.after = {a["id"]: b["id"] for a, b in pairwise(results)}
        if results:
            self.turn_of[results[0]["id"]].set()

    async def run(self, call: Call) -> ToolResult:
        await self.turn_of[call.id].wait()
        if call.id in self.after:
            self.turn_of[self.after[call.id]].set()
        event = self.results[call.id]
        return ToolResult(event["content"], event["failed"])
