"""answer: given the documentation, does the model answer with its first sentence?

    user: What does os.getcwd do?
    assistant: python_docs(name="os.getcwd")          (the right call, given)
    tool: os.getcwd() Return a unicode string representing the current working directory.
    right: Return a unicode string representing the current working directory.

Every other name is a reading question instead: the documentation stands in the user's message.
Decoding is greedy and free. Match: `same_answer`.
"""

from collections.abc import Sequence

from lianlu.evaluate.task import Question, Row, Task
from lianlu.model.template import ChatTemplate
from lianlu.tools.answers import same_answer


def choose(rows: Sequence[Row], count: int) -> list[Question]:
    """The first `count` names, tool results and reading questions in turn where a name has both."""
    by_name: dict[str, dict[bool, Row]] = {}
    for row in rows:
        calls = any(message.get("tool_calls") for message in row["messages"])
        by_name.setdefault(row["meta"]["name"], {}).setdefault(calls, row)
    found = []
    for i, (name, kinds) in enumerate(list(by_name.items())[:count]):
        row = kinds.get(i % 2 == 0) or next(iter(kinds.values()))
        *messages, last = row["messages"]
        found.append(Question(row["id"], name, messages, row["tools"], last["content"]))
    return found


def grammar(template: ChatTemplate, question: Question) -> None:
    return None


def read(template: ChatTemplate, token_ids: Sequence[int]) -> str:
    return template.parse(token_ids)["content"] or ""


TASK = Task("answer", 1, 128, choose, grammar, read, same_answer)
