"""tool_call: what is asked, what counts as the same call."""

from pathlib import Path
from typing import Any

import pytest

from lianlu.evaluate import tool_call
from lianlu.model.template import ChatTemplate


def test_questions_stop_before_the_call(rows: list[dict[str, Any]]) -> None:
    questions = tool_call.choose(rows, 100)
    assert len(questions) == 6
    assert len({question.name for question in questions}) == 6
    assert [m["role"] for m in questions[0].messages] == ["user"]
    expected = '{"arguments": {"name": "box.get_5"}, "name": "python_docs"}'
    assert questions[0].expected == expected
    assert len(tool_call.choose(rows, 2)) == 2
    assert tool_call.choose([row for row in rows if row["meta"]["kind"] == "read"], 5) == []


def test_the_gold_reply_is_right(workplace: Path, rows: list[dict[str, Any]]) -> None:
    template = ChatTemplate.load(workplace / "model")
    for question, row in zip(tool_call.choose(rows, 6), rows, strict=False):
        prompt = template.encode(question.messages, question.tools, generate=True)
        whole = template.encode(row["messages"][:2], question.tools)
        reply = tool_call.read(template, whole[len(prompt) :])
        assert tool_call.right(reply, question.expected)


@pytest.mark.parametrize(
    ("arguments", "same"),
    [
        ('{"name":"a","n":1}', True),
        ('{"n": 1.0, "name": "a"}', False),
        ('{"name": "b", "n": 1}', False),
        ('{"name": "a"}', False),
        ("{broken", False),
    ],
)
def test_arguments_are_compared_as_json(arguments: str, same: bool) -> None:
    gold = tool_call.canonical_call({"name": "f", "arguments": '{"n": 1, "name": "a"}'})
    found = tool_call.canonical_call({"name": "f", "arguments": arguments})
    assert tool_call.right(found, gold) is same


def test_half_a_surrogate_pair_can_be_stored() -> None:
    text = tool_call.canonical_call({"name": "f", "arguments": r'{"name": "\ud83d"}'})
    assert text.encode("utf-8")


def test_text_instead_of_a_call_is_wrong(workplace: Path) -> None:
    template = ChatTemplate.load(workplace / "model")
    reply = tool_call.read(template, template.tokenizer.encode("box.get_5"))
    assert reply == "box.get_5"
