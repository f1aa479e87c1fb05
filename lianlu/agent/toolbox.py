"""The tools an agent has: calls by name, with a time limit, that never raise."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from lianlu.agent.trajectory import Call
from lianlu.tools.python_docs import load_texts, python_docs_tool
from lianlu.tools.tool import Tool, ToolResult


class Tools(Protocol):
    """Whatever runs a tool call."""

    async def run(self, call: Call) -> ToolResult: ...


class Toolbox:
    """Tools by name. Their results are data for the model; they are never run or rendered."""

    def __init__(self, tools: Sequence[Tool], seconds: float = 10.0) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.seconds = seconds

    @property
    def schemas(self) -> list[dict[str, Any]]:
        """The tools as the OpenAI API describes them."""
        return [tool.schema for tool in self.tools.values()]

    async def run(self, call: Call) -> ToolResult:
        """Run one call; a wrong name, wrong arguments or a slow tool give an error as text."""
        tool = self.tools.get(call.name)
        if tool is None:
            known = ", ".join(self.tools) or "none at all"
            return ToolResult(f"error: no tool {call.name[:80]!r}; there is {known}", failed=True)
        try:
            # The thread of a tool that is too slow goes on unheard: Python cannot stop it.
            return await asyncio.wait_for(
                asyncio.to_thread(tool.call, call.arguments), self.seconds
            )
        except TimeoutError:
            return ToolResult(f"error: no result after {self.seconds:g} s", failed=True)


def open_toolbox(names: Sequence[str], dialogues: Path) -> Toolbox:
    """The tools that `AgentConfig.tools` names, over the entries of a directory of dialogues.

    Raises UserError when the directory has no entries.
    """
    tools = [python_docs_tool(load_texts(dialogues))] if "python_docs" in names else []
    return Toolbox(tools)
