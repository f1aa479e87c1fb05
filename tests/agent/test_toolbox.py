"""The toolbox never raises, whatever the model asks for."""

import asyncio
import json
import threading
from pathlib import Path

import pytest

from lianlu.agent.toolbox import Toolbox, open_toolbox
from lianlu.agent.trajectory import Call
from lianlu.errors import UserError
from lianlu.tools.tool import Tool, ToolResult


def echo(text: str) -> str:
    """Say it again."""
    return text


def run(toolbox: Toolbox, name: str, arguments: str) -> ToolResult:
    return asyncio.run(toolbox.run(Call("0.0", "call_0", name, arguments)))


def test_calls_by_name() -> None:
    toolbox = Toolbox([Tool.of(echo)])
    assert run(toolbox, "echo", '{"text": "[bold]x"}') == ToolResult("[bold]x")
    wrong = run(toolbox, "ech", "{}")
    assert wrong.failed
    assert wrong.text == "error: no tool 'ech'; there is echo"
    assert run(toolbox, "echo", "nonsense").failed
    assert "none at all" in run(Toolbox([]), "echo", "{}").text


def test_a_slow_tool_is_given_up() -> None:
    end = threading.Event()

    def wait() -> str:
        """Wait."""
        end.wait(5)
        return "late"

    async def call() -> ToolResult:
        try:
            return await Toolbox([Tool.of(wait)], seconds=0.05).run(Call("0.0", "c", "wait", "{}"))
        finally:
            end.set()

    result = asyncio.run(call())
    assert result.failed
    assert "no result after 0.05 s" in result.text


def test_the_toolbox_of_a_config(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        open_toolbox(("python_docs",), tmp_path)
    entry = {"name": "a.b", "text": "a.b()\nDoes b."}
    (tmp_path / "entries.jsonl").write_text(json.dumps(entry) + "\n")
    toolbox = open_toolbox(("python_docs",), tmp_path)
    assert [schema["function"]["name"] for schema in toolbox.schemas] == ["python_docs"]
    assert run(toolbox, "python_docs", '{"name": "a.b"}').text == "a.b()\nDoes b."
    assert open_toolbox((), tmp_path / "none").schemas == []
