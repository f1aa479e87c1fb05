"""answer: what is asked, and what is no answer."""

from pathlib import Path
from typing import Any

from lianlu.evaluate import answer
from lianlu.model.template import ChatTemplate


def test_names_take_turns_between_tool_and_reading(rows: list[dict[str, Any]]) -> None:
    questions = answer.choose(rows, 4)
    assert [question.id[0] for question in questions] == ["t", "r", "t", "r"]
    assert len({question.name for question in questions}) == 4
    assert [m["role"] for m in questions[0].messages] == ["user", "assistant", "tool"]
    assert [m["role"] for m in questions[1].messages] == ["user"]
    assert questions[1].expected == "Return what box.put_5 holds."


def test_a_name_with_one_kind_is_asked_that_way(rows: list[dict[str, Any]]) -> None:
    only = [row for row in rows if row["meta"]["kind"] == "tool"]
    assert [question.id[0] for question in answer.choose(only, 3)] == ["t"] * 3


def test_a_call_is_no_answer(workplace: Path, rows: list[dict[str, Any]]) -> None:
    template = ChatTemplate.load(workplace / "model")
    prompt = template.encode(rows[0]["messages"][:1], rows[0]["tools"], generate=True)
    whole = template.encode(rows[0]["messages"][:2], rows[0]["tools"])
    assert answer.read(template, whole[len(prompt) :]) == ""
