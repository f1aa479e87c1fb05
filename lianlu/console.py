"""The console of a run, with its model served behind the chat box and its tools in the loop."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

from lianlu.agent.config import AgentConfig
from lianlu.agent.model import ChatClient
from lianlu.agent.runner import Limits, run
from lianlu.agent.toolbox import Toolbox, open_toolbox
from lianlu.agent.trajectory import Event, Trajectory
from lianlu.errors import UserError
from lianlu.record import Run, read_run
from lianlu.serve.background import served
from lianlu.target import Target, target_of
from lianlu.ui.chat import Ask, Message
from lianlu.ui.serve import Say, serve


def open_console(runs: Path, name: str | None, host: str, port: int, chat: bool, say: Say) -> None:
    """Serve the console until Ctrl-C. With `chat`, the run's model answers in the chat box.

    Raises UserError when the run does not exist, or the address cannot be had.
    """
    found = read_run(runs, name) if name is not None else None
    with ExitStack() as stack:
        url, ask = None, None
        target = _target(found) if chat and found is not None else None
        if found is not None and target is not None:
            say(f"loading {target.model.name} for the chat box …")
            url = stack.enter_context(served(target.model, target.serving(port=0)))
            if "dialogues" in found.steps:
                config = target.agent()
                toolbox = open_toolbox(config.tools, found.step("dialogues"))
                ask = _ask_agent(url, config, toolbox)
        serve(runs, name, host, port, url, ask, say)


def _target(found: Run) -> Target | None:
    """A console may be opened while the model is still in the making."""
    try:
        return target_of(found)
    except UserError:
        return None


def _ask_agent(url: str, config: AgentConfig, toolbox: Toolbox) -> Ask:
    """An `Ask` that runs the agent on the last question and streams what it does.

    Each question is a conversation of its own, as in the agent's trial: that is what the model was
    tuned for.
    """

    async def ask(messages: list[Message]) -> AsyncIterator[Event]:
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        with tempfile.TemporaryDirectory() as scratch:
            trajectory = Trajectory(Path(scratch) / "chat.jsonl")
            question = messages[-1]["content"]
            trajectory.append({"type": "user", "content": question, "tools": toolbox.schemas})

            async def work() -> None:
                try:
                    limits = Limits(config.max_steps, config.max_tokens)
                    async with ChatClient(url) as client:
                        await run(trajectory, client, toolbox, limits, events.put_nowait)
                finally:
                    events.put_nowait(None)

            task = asyncio.create_task(work())
            try:
                while (event := await events.get()) is not None:
                    yield event
                await task
            finally:
                task.cancel()

    return ask
