"""A task: questions from dialogues, and how an answer to one is read and judged."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lianlu.lineage import canonical
from lianlu.model.template import ChatTemplate

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """What the model is shown, and the right answer as text."""

    id: str
    name: str
    messages: Sequence[Row]
    tools: Sequence[Row]
    expected: str


@dataclass(frozen=True)
class Task:
    """One page each: `tool_call.py`, `answer.py`."""

    name: str
    version: int
    max_tokens: int
    choose: Callable[[Sequence[Row], int], list[Question]]
    """Dialogue rows and the number wanted → questions about that many names, one a name."""
    grammar: Callable[[ChatTemplate, Question], str | None]
    """What the reply must look like; None leaves it free."""
    read: Callable[[ChatTemplate, Sequence[int]], str]
    """The reply's tokens → the answer in it."""
    right: Callable[[str, str], bool]
    """`(answer, expected)` → whether it is right."""

    def digest(self, template: ChatTemplate, questions: Sequence[Question]) -> str:
        """Hash of all that decides the prompts and verdicts."""
        content = [self.name, self.version, self.max_tokens, template.digest]
        asked = [asdict(question) for question in questions]
        return hashlib.sha256(canonical([*content, asked])).hexdigest()
