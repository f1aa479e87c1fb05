"""Questions put to a model through the serving engine, and the items that come of it."""

from collections.abc import Sequence

from lianlu.errors import StepFailed
from lianlu.evaluate.store import Item, Store
from lianlu.evaluate.task import Question, Task
from lianlu.model.template import ChatTemplate
from lianlu.progress import Progress
from lianlu.serve.engine import Engine
from lianlu.serve.request import SamplingParams

# Questions kept at once. Fixed: an interrupted evaluation goes on with the same batches.
CHUNK = 32


def ask(
    engine: Engine,
    template: ChatTemplate,
    task: Task,
    questions: Sequence[Question],
    store: Store,
    progress: Progress,
) -> list[Item]:
    """One item a question, in their order; chunks that the store holds are not asked again."""
    digest = task.digest(template, questions)
    kept = store.get(digest)
    progress.begin(task.name, len(questions), "questions")
    items: list[Item] = []
    for start in range(0, len(questions), CHUNK):
        chunk = questions[start : start + CHUNK]
        if not all(question.id in kept for question in chunk):
            fresh = _generate(engine, template, task, chunk)
            store.put(task.name, digest, fresh)
            kept.update((item.id, item) for item in fresh)
        items += [kept[question.id] for question in chunk]
        progress.advance(task.name, len(chunk))
    progress.finish(task.name)
    if crowded := sum(not _fits(engine, template, task, question) for question in questions):
        progress.say(
            f"{task.name}: {crowded} questions leave no room for a reply in the context of "
            f"{engine.context} tokens and count as wrong"
        )
    return items


def _generate(
    engine: Engine,
    template: ChatTemplate,
    task: Task,
    questions: Sequence[Question],
) -> list[Item]:
    """Greedy replies; a question that leaves no room for a reply counts as wrong.

    Raises StepFailed when the engine fails on a question: such a score would be no score.
    """
    asked = [
        (question, template.encode(question.messages, question.tools, generate=True))
        for question in questions
        if _fits(engine, template, task, question)
    ]
    params = [
        SamplingParams(
            max_tokens=_room(template, task, question), grammar=task.grammar(template, question)
        )
        for question, _ in asked
    ]
    completions = engine.generate([prompt for _, prompt in asked], params)
    if failed := [c.error for c in completions if c.finish_reason == "error"]:
        raise StepFailed(f"{task.name}: the engine failed on {len(failed)} questions: {failed[0]}")
    replies = {
        question.id: task.read(template, completion.token_ids)
        for (question, _), completion in zip(asked, completions, strict=True)
    }
    items = []
    for question in questions:
        output = replies.get(question.id, "")
        verdict = float(question.id in replies and task.right(output, question.expected))
        prompt = template.render(question.messages, question.tools, generate=True)
        items.append(Item(question.id, prompt, output, question.expected, verdict))
    return items


def _fits(engine: Engine, template: ChatTemplate, task: Task, question: Question) -> bool:
    prompt = template.encode(question.messages, question.tools, generate=True)
    return len(prompt) + _room(template, task, question) <= engine.context


def _room(template: ChatTemplate, task: Task, question: Question) -> int:
    """Tokens of the reply: one twice as long as the right one is wrong, so it may stop there."""
    return min(task.max_tokens, 16 + 2 * len(template.tokenizer.encode(question.expected)))
