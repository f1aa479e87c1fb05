"""The console's chat box: the agent's events reach it, and a run without a model still opens."""

import asyncio
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from lianlu.agent.config import AgentConfig
from lianlu.agent.toolbox import open_toolbox
from lianlu.console import _ask_agent, open_console
from lianlu.errors import UserError
from lianlu.record import read_run
from lianlu.serve.background import served
from lianlu.serve.config import ServeConfig


def test_a_question_gives_the_agents_events(workplace: Any) -> None:
    run = read_run(workplace.folder / "runs", "demo")

    async def collect(url: str) -> list[dict[str, Any]]:
        toolbox = open_toolbox(["python_docs"], run.step("dialogues"))
        ask = _ask_agent(url, AgentConfig(), toolbox)
        question = {"role": "user", "content": "What does textwrap.dedent do?"}
        return [event async for event in ask([question])]

    with served(run.model(), ServeConfig(port=0, threads=1)) as url:
        events = asyncio.run(collect(url))
    assert events[0]["type"] == "assistant"
    assert events[-1]["type"] in ("answer", "error")


def test_a_console_without_a_model_opens(workplace: Any) -> None:
    addresses: list[str] = []
    heard = threading.Event()

    def say(text: str) -> None:
        addresses.append(text)
        heard.set()

    runs = workplace.folder / "runs"
    arguments = (runs, None, "127.0.0.1", 0, True, say)
    threading.Thread(target=open_console, args=arguments, daemon=True).start()
    assert heard.wait(30)
    url = addresses[0].split("at ")[1].split(" ")[0]
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert "demo" in answer.read().decode()


def test_an_unknown_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run 'x'"):
        open_console(tmp_path, "x", "127.0.0.1", 0, True, print)
