"""A trial: the served model is asked about names it never saw, and its answers are counted."""

import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lianlu.agent.config import AgentConfig
from lianlu.agent.model import ChatClient
from lianlu.agent.runner import Limits, run
from lianlu.agent.toolbox import Toolbox, open_toolbox
from lianlu.agent.trajectory import Trajectory, to_dialogue
from lianlu.agent.verdict import judge
from lianlu.errors import UserError
from lianlu.job import Facts, Job
from lianlu.lineage import write_json
from lianlu.statistics import wilson

Row = dict[str, Any]
TRIAL = "trial.json"
TRAJECTORIES = "trajectories"


def try_out(config: AgentConfig, url: str, job: Job) -> Facts:
    """Ask the server at `url` about test names of `inputs["dialogues"]`.

    Writes `trajectories/<question id>.jsonl`, which an interrupted trial resumes from, and
    `trial.json`: `{n, right, called_right, token_exact, confidence, interval (of right / n),
    latency, questions}`. Times differ from run to run, so they stand in `latency` and in the
    assistant events, never in the facts.

    Raises:
        UserError: there are no dialogues or no server.
        StepFailed: the server fails; finished questions are kept.
    """
    questions = load_questions(job.inputs["dialogues"])[: config.questions]
    toolbox = open_toolbox(config.tools, job.inputs["dialogues"])
    folder = job.out / TRAJECTORIES
    folder.mkdir(exist_ok=True)
    started = time.perf_counter()
    fresh_tokens = asyncio.run(_ask_all(config, url, questions, toolbox, folder, job))
    seconds = time.perf_counter() - started
    trajectories = [Trajectory(folder / f"{row['id']}.jsonl") for row in questions]
    counted, told = _count(questions, trajectories)
    latency = _latency(trajectories)
    latency["tokens_per_second"] = round(fresh_tokens / seconds, 2) if fresh_tokens else None
    write_json(job.out / TRIAL, {**counted, "latency": latency, "questions": told})
    job.progress.say(f"{counted['right']} of {counted['n']} questions answered right")
    return counted


def load_questions(dialogues: Path) -> list[Row]:
    """The test rows that ask for a tool call. Raises UserError when there is none to be read."""
    path = dialogues / "test.jsonl"
    try:
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        rows = [row for row in rows if row["meta"]["kind"] == "tool"]
    except FileNotFoundError:
        raise UserError(f"{dialogues}: no test.jsonl", "give a directory of dialogues") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a file of dialogues: {error}") from error
    if not rows:
        raise UserError(f"{path}: no question that needs a tool")
    return rows


async def _ask_all(
    config: AgentConfig, url: str, questions: list[Row], toolbox: Toolbox, folder: Path, job: Job
) -> int:
    """Bring every question to its end, `parallel` at once; returns tokens generated just now."""
    limits = Limits(config.max_steps, config.max_tokens)
    places = asyncio.Semaphore(config.parallel)
    tokens = 0

    async def ask(row: Row, client: ChatClient) -> None:
        nonlocal tokens
        async with places:
            trajectory = Trajectory(folder / f"{row['id']}.jsonl")
            if not trajectory.events:
                trajectory.append(_opening(row, toolbox))
            before = len(trajectory.events)
            await run(trajectory, client, toolbox, limits)
            tokens += sum(len(e.get("token_ids", ())) for e in trajectory.events[before:])
            job.progress.advance("asking")

    job.progress.begin("asking", len(questions), "questions")
    try:
        async with ChatClient(url) as client, asyncio.TaskGroup() as group:
            for row in questions:
                group.create_task(ask(row, client))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # one reason is enough; the others follow from it
    job.progress.finish("asking")
    return tokens


def _opening(row: Row, toolbox: Toolbox) -> Row:
    said = {message["role"]: message["content"] for message in row["messages"][:2]}
    opening: Row = {"type": "user", "content": said["user"], "tools": toolbox.schemas}
    return opening | ({"system": said["system"]} if "system" in said else {})


def _count(questions: list[Row], trajectories: list[Trajectory]) -> tuple[Facts, list[Row]]:
    told: list[Row] = []
    for row, trajectory in zip(questions, trajectories, strict=True):
        name, expected = row["meta"]["name"], row["messages"][-1]["content"]
        tool = row["tools"][0]["function"]["name"]
        verdict = judge(trajectory.state, tool, name, expected)
        told.append(
            {
                "id": row["id"],
                "name": name,
                "called": verdict.called,
                "right": verdict.right,
                "answer": trajectory.state.answer,
                "expected": expected,
                "error": trajectory.state.error,
            }
        )
    right = sum(question["right"] for question in told)
    found = wilson(right, len(told))
    counted: Facts = {
        "n": len(told),
        "right": right,
        "called_right": sum(question["called"] for question in told),
        "token_exact": sum(map(_is_token_exact, trajectories)),
        "confidence": 0.95,
        "interval": [round(found.low, 4), round(found.high, 4)],
    }
    return counted, told


def _is_token_exact(trajectory: Trajectory) -> bool:
    try:
        to_dialogue(trajectory.events, trajectory.path.stem)
    except ValueError:
        return False
    return True


def _latency(trajectories: Iterable[Trajectory]) -> dict[str, float | None]:
    """Seconds: time to the first token, and time per token after it."""
    turns = [e for t in trajectories for e in t.events if e["type"] == "assistant"]
    ttft = [turn["ttft"] for turn in turns]
    tpot = [
        (turn["seconds"] - turn["ttft"]) / (len(turn["token_ids"]) - 1)
        for turn in turns
        if len(turn["token_ids"]) > 1
    ]
    return {
        f"{name}_p{percent}": round(float(np.percentile(values, percent)), 6) if values else None
        for name, values in (("ttft", ttft), ("tpot", tpot))
        for percent in (50, 99)
    }
