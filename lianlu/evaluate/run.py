"""A model to its scores."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from lianlu import statistics
from lianlu.errors import UserError
from lianlu.evaluate import answer, perplexity, tool_call
from lianlu.evaluate.ask import ask
from lianlu.evaluate.config import EvaluateConfig
from lianlu.evaluate.contamination import documents_seen, names_seen
from lianlu.evaluate.store import Score, Store
from lianlu.evaluate.task import Row, Task
from lianlu.job import Facts, Job
from lianlu.lineage import digest_of, digest_outputs
from lianlu.model.checkpoint import load_config
from lianlu.model.likelihood import read_held_out
from lianlu.model.threads import every_core
from lianlu.serve.config import ServeConfig
from lianlu.serve.engine import Engine

TASKS: tuple[Task, ...] = (tool_call.TASK, answer.TASK)


def evaluate(config: EvaluateConfig, job: Job) -> Facts:
    """Score `inputs["model"]` on what there is of `inputs["tokens"]` and `inputs["dialogues"]`.

    Writes `scores.json`, `items.parquet` and `scores.sqlite`; facts are
    `{"scores": {name: {value, low, high, n, ...}}, "left_out": {name: reason}}`. Each score that
    cannot be measured is left out with its reason, and said.

    Raises:
        UserError: no readable model, or nothing that it can be scored on.
    """
    if "model" not in job.inputs:
        raise UserError("evaluate needs a model", "give a Hugging Face model directory")
    model = job.inputs["model"]
    engine = Engine.load(model, _serving(config, model))
    store = Store(job.out, digest_of(digest_outputs(model)))
    attempts = {perplexity.NAME: partial(_bits_per_byte, config, job, engine, store)}
    for task in TASKS:
        attempts[task.name] = partial(_share_right, config, job, engine, store, task)
    scores: dict[str, Score] = {}
    left_out: dict[str, str] = {}
    for name, attempt in attempts.items():
        try:
            scores[name] = attempt()
        except UserError as error:
            left_out[name] = error.message
            job.progress.say(f"{name} is left out: {error.message}")
    if not scores:
        raise UserError(
            "there is nothing to score the model on: " + "; ".join(left_out.values()),
            "give a run's tokens (held-out documents) or dialogues (held-out names)",
        )
    store.close()
    return {"scores": {name: asdict(score) for name, score in scores.items()}, "left_out": left_out}


def _bits_per_byte(config: EvaluateConfig, job: Job, engine: Engine, store: Store) -> Score:
    tokens = _given(job, "tokens")
    held_out = read_held_out(tokens, config.documents)
    if len(held_out.ids) < 2:
        raise UserError("one held-out document gives no interval")
    _say_fewer(job, len(held_out.ids), config.documents, "held-out documents")
    digest = perplexity.task_digest(held_out)
    kept = store.get(digest)
    items = [kept[id_] for id_ in held_out.ids if id_ in kept]
    if len(items) < len(held_out.ids):
        with every_core():  # the engine keeps small models to one, best for a token at a time
            items = perplexity.measure(
                engine.runner.decoder, engine.tokenizer, held_out, job.progress
            )
        store.put(perplexity.NAME, digest, items)
    found = statistics.mean(
        [item.verdict for item in items], [item.weight for item in items], config.confidence
    )
    seen = documents_seen(tokens, held_out.rows)
    score = Score(
        perplexity.NAME,
        **asdict(found),
        n=len(items),
        confidence=config.confidence,
        unit="bits/byte",
        better="lower",
        contamination=seen,
    )
    store.finish(score, digest, items)
    return score


def _share_right(
    config: EvaluateConfig, job: Job, engine: Engine, store: Store, task: Task
) -> Score:
    dialogues = _given(job, "dialogues")
    if engine.template is None:
        raise UserError("the model has no chat template")
    questions = task.choose(_read_rows(dialogues / "test.jsonl"), config.questions)
    if not questions:
        raise UserError(f"{dialogues / 'test.jsonl'} asks nothing of this kind")
    _say_fewer(job, len(questions), config.questions, f"{task.name} questions")
    items = ask(engine, engine.template, task, questions, store, job.progress)
    found = statistics.wilson(sum(item.verdict for item in items), len(items), config.confidence)
    score = Score(
        task.name,
        **asdict(found),
        n=len(items),
        confidence=config.confidence,
        unit="share",
        better="higher",
        contamination=names_seen(dialogues, [question.name for question in questions]),
    )
    store.finish(score, task.digest(engine.template, questions), items)
    return score


def _serving(config: EvaluateConfig, model: Path) -> ServeConfig:
    """Room for one request of the whole context at least, and `batch` requests at once."""
    room = max(ServeConfig().kv_tokens, 2 * load_config(model).context)
    return ServeConfig(max_requests=config.batch, kv_tokens=room)


def _given(job: Job, name: str) -> Path:
    path = job.inputs.get(name)
    if path is None:
        raise UserError(f"no {name} were given")
    return path


def _read_rows(path: Path) -> Sequence[Row]:
    try:
        lines = path.read_bytes().splitlines()  # a text may hold what str takes for a line's end
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            row["id"], row["messages"], row["tools"], row["meta"]["name"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}:{number}: not a dialogue: {error!r}") from error
        rows.append(row)
    return rows


def _say_fewer(job: Job, found: int, wanted: int, what: str) -> None:
    if found < wanted:
        job.progress.say(f"{found} {what}, {wanted} were asked for")
