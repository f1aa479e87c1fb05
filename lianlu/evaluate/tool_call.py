"""tool_call: does the model call the right tool with the right arguments?

    user: What does os.path.join do?
    right: python_docs(name="os.path.join")

The call's form is guaranteed by the template's grammar, so that what is measured is the choice of
tool and arguments. Exact match: the same tool, and arguments equal as JSON values.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lianlu.evaluate.task import Question, Row, Task
from lianlu.model.template import ChatTemplate


def choose(rows: Sequence[Row], count: int) -> list[Question]:
    """The first `count` names whose dialogue calls a tool."""
    found: dict[str, Question] = {}
    for row in rows:
        name = row["meta"]["name"]
        turn = next((i for i, m in enumerate(row["messages"]) if m.get("tool_calls")), None)
        if turn is None or name in found:
            continue
        call = row["messages"][turn]["tool_calls"][0]["function"]
        messages = row["messages"][:turn]
        found[name] = Question(row["id"], name, messages, row["tools"], canonical_call(call))
        if len(found) == count:
            break
    return list(found.values())


def grammar(template: ChatTemplate, question: Question) -> str:
    return template.call_grammar(question.tools)


def read(template: ChatTemplate, token_ids: Sequence[int]) -> str:
    """The first call, or what the model said instead (cut short, say)."""
    message = template.parse(token_ids)
    if calls := message.get("tool_calls"):
        return canonical_call(calls[0]["function"])
    return message["content"] or ""


def canonical_call(function: Mapping[str, Any]) -> str:
    """`{"arguments": {...}, "name": ...}` with sorted keys; arguments no JSON stay text."""
    arguments = function["arguments"]
    with contextlib.suppress(ValueError):
        arguments = json.loads(arguments)
    call = {"name": function["name"], "arguments": arguments}
    text = json.dumps(call, sort_keys=True, ensure_ascii=False)
    # JSON can spell half a surrogate pair, which no file takes.
    return text.encode("utf-8", "replace").decode()


def right(answer: str, expected: str) -> bool:
    return answer == expected


TASK = Task("tool_call", 1, 96, choose, grammar, read, right)
