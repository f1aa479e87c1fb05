"""The agent in a terminal: ask, and see what it calls, what it gets and what it answers."""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lianlu.agent.config import AgentConfig
from lianlu.agent.model import ChatClient
from lianlu.agent.runner import Limits, run
from lianlu.agent.toolbox import Toolbox, open_toolbox
from lianlu.agent.trajectory import Event, State, Trajectory
from lianlu.printable import printable


def talk(
    config: AgentConfig,
    url: str,
    dialogues: Path,
    questions: Iterable[str] | None = None,
    trajectories: Path | None = None,
    console: Console | None = None,
) -> list[State]:
    """Put questions to the agent and show its trace; each is a conversation of its own.

    Without `questions` it reads them from the terminal until an empty line. Trajectories are kept
    where `trajectories` says, as `0000.jsonl`, `0001.jsonl`, …; files there are never overwritten.

    Raises:
        UserError: `dialogues` has no entries, or no server answers at `url`.
        StepFailed: the server fails.
    """
    screen = console or Console()
    toolbox = open_toolbox(config.tools, dialogues)
    limits = Limits(config.max_steps, config.max_tokens)
    asked = _typed(screen) if questions is None else questions
    with tempfile.TemporaryDirectory() as scratch:
        folder = trajectories or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        return asyncio.run(_talk(asked, url, toolbox, limits, folder, screen))


async def _talk(
    questions: Iterable[str],
    url: str,
    toolbox: Toolbox,
    limits: Limits,
    folder: Path,
    screen: Console,
) -> list[State]:
    states: list[State] = []
    async with ChatClient(url) as client:
        for question in questions:
            trajectory = Trajectory(_fresh(folder))
            trajectory.append({"type": "user", "content": question, "tools": toolbox.schemas})
            state = await run(
                trajectory, client, toolbox, limits, lambda event: show(event, screen)
            )
            states.append(state)
    return states


def show(event: Event, screen: Console) -> None:
    """One event, as one indented paragraph of the trace."""
    match event["type"]:
        case "assistant":
            if event["content"] and event["tool_calls"]:
                _line(screen, "thought", event["content"], "dim")
        case "tool_call":
            _line(screen, "call", f"{event['name']} {event['arguments']}", "cyan")
        case "tool_result":
            _line(screen, "result", event["content"], "red" if event["failed"] else "green")
        case "answer":
            _line(screen, "answer", event["content"], "bold")
        case "error":
            _line(screen, "error", event["message"], "red")


def _line(screen: Console, label: str, text: str, style: str) -> None:
    # What a model or a tool wrote is shown, never obeyed: no markup, no terminal control codes.
    clean = printable(text).replace("\n", "\n" + " " * 9)
    screen.print(Text(f"{label:>7}  ", style="dim").append(clean, style=style))


def _typed(screen: Console) -> Iterator[str]:
    while True:
        try:
            question = screen.input("[bold]ask[/bold] › ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if not question:
            return
        yield question


def _fresh(folder: Path) -> Path:
    number = sum(1 for _ in folder.glob("*.jsonl"))
    while (path := folder / f"{number:04}.jsonl").exists():
        number += 1
    return path
