"""A task's digest changes with everything that decides its prompts and verdicts."""

from dataclasses import replace
from pathlib import Path

from lianlu.evaluate import answer, tool_call
from lianlu.evaluate.task import Question
from lianlu.model.template import ChatTemplate


def test_digest_tells_tasks_questions_and_settings_apart(workplace: Path) -> None:
    template = ChatTemplate.load(workplace / "model")
    question = Question("q", "n", [{"role": "user", "content": "What?"}], [], "gold")
    other = replace(question, expected="silver")
    task = answer.TASK
    digests = {
        task.digest(template, [question]),
        task.digest(template, [other]),
        task.digest(template, [question, other]),
        replace(task, max_tokens=7).digest(template, [question]),
        replace(task, version=99).digest(template, [question]),
        tool_call.TASK.digest(template, [question]),
    }
    assert len(digests) == 6
    assert task.digest(template, [question]) in digests
