"""Questions through the real engine: order, form, limits, and going on after an interruption."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lianlu.errors import StepFailed
from lianlu.evaluate import answer, tool_call
from lianlu.evaluate.ask import ask
from lianlu.evaluate.store import Store
from lianlu.evaluate.task import Question
from lianlu.progress import Event, Progress
from lianlu.serve.engine import Engine


@pytest.fixture(scope="module")
def engine(workplace: Path) -> Engine:
    return Engine.load(workplace / "model")


def test_calls_have_their_form_whatever_the_weights_are(
    engine: Engine, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    questions = tool_call.choose(rows, 3)
    assert engine.template is not None
    items = ask(
        engine, engine.template, tool_call.TASK, questions, Store(tmp_path, "w"), Progress()
    )
    assert [item.id for item in items] == [question.id for question in questions]
    for item in items:
        assert json.loads(item.output)["name"] == "python_docs"
        assert item.verdict == float(item.output == item.expected)
        assert "What is box." in item.prompt


def test_an_interrupted_task_goes_on_where_it_was(
    engine: Engine, tmp_path: Path, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine.template is not None
    monkeypatch.setattr("lianlu.evaluate.ask.CHUNK", 2)
    questions = answer.choose(rows, 6)
    arguments = (engine, engine.template, answer.TASK, questions)
    whole = ask(*arguments, Store(tmp_path, "other model"), Progress())
    asked: list[int] = []
    generate = Engine.generate

    def failing(self: Engine, prompts: Any, params: Any) -> Any:
        asked.append(len(prompts))
        if len(asked) == 3:
            raise StepFailed("interrupted")
        return generate(self, prompts, params)

    monkeypatch.setattr(Engine, "generate", failing)
    with pytest.raises(StepFailed, match="interrupted"):
        ask(*arguments, Store(tmp_path, "w"), Progress())
    assert ask(*arguments, Store(tmp_path, "w"), Progress()) == whole
    assert asked == [2, 2, 2, 2]


def test_a_question_beyond_the_context_is_wrong_and_said(engine: Engine, tmp_path: Path) -> None:
    assert engine.template is not None
    long = Question("q", "n", [{"role": "user", "content": "word " * 600}], [], "gold")
    said: list[Event] = []
    items = ask(
        engine,
        engine.template,
        answer.TASK,
        [long],
        Store(tmp_path, "w"),
        Progress(listen=said.append),
    )
    assert items[0].verdict == 0
    assert any("the context of 512 tokens" in event.get("say", "") for event in said)


def test_a_reply_may_be_twice_as_long_as_the_right_one(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine.template is not None
    question = Question("q", "n", [{"role": "user", "content": "What?"}], [], "gold")
    long = replace(question, id="p", expected="gold " * 100)
    limits: list[int] = []
    generate = Engine.generate

    def listening(self: Engine, prompts: Any, params: Any) -> Any:
        limits.extend(p.max_tokens for p in params)
        return generate(self, prompts, [replace(p, max_tokens=1) for p in params])

    monkeypatch.setattr(Engine, "generate", listening)
    ask(engine, engine.template, answer.TASK, [question, long], Store(tmp_path, "w"), Progress())
    count = len(engine.tokenizer.encode("gold"))
    assert limits == [16 + 2 * count, answer.TASK.max_tokens]
