"""The recipe's `agent` section."""

from typing import ClassVar, Literal

from pydantic import Field

from lianlu.section import Section


class AgentConfig(Section):
    """The served model put to work with tools."""

    run_fields: ClassVar[frozenset[str]] = frozenset({"parallel"})

    tools: tuple[Literal["python_docs"], ...] = ("python_docs",)
    """Tools the agent may call."""
    questions: int = Field(default=50, ge=1)
    """Held-out names it is asked about in `lianlu run`."""
    max_steps: int = Field(default=4, ge=1)
    """Model turns per question."""
    max_tokens: int = Field(default=96, ge=8)
    """Tokens per model turn."""
    parallel: int = Field(default=8, ge=1)
    """Questions worked on at once."""
