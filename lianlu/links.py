"""What each node of the chain calls: one function a link, importing its room only when it works."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lianlu.agent.config import AgentConfig
from lianlu.compress.config import CompressConfig
from lianlu.evaluate.config import EvaluateConfig
from lianlu.job import Facts, Job
from lianlu.model.section import ModelConfig, TokenizerConfig
from lianlu.refine.config import DialoguesConfig, RefineConfig, Source, TokensConfig
from lianlu.serve.config import ServeConfig
from lianlu.train.config import PretrainConfig, TuneConfig

Values = dict[str, Any]


def refine(config: Values, extra: Values, job: Job) -> Facts:
    from lianlu.refine.pipeline import refine

    sources = TypeAdapter(list[Source]).validate_python(extra["sources"])
    return refine(RefineConfig(**config), sources, job, base=Path(extra["base"]))


def train_tokenizer(config: Values, extra: Values, job: Job) -> Facts:
    from lianlu.model.tokenizer import train_tokenizer

    return train_tokenizer(TokenizerConfig(**config), job)


def tokenize(config: Values, extra: Values, job: Job) -> Facts:
    from lianlu.refine.tokens import tokenize

    return tokenize(TokensConfig(**config), job)


def pretrain(config: Values, extra: Values, job: Job) -> Facts:
    from lianlu.train.pretrain import pretrain

    return pretrain(PretrainConfig(**config), ModelConfig(**extra["model"]), job)


def adopt(config: Values, extra: Values, job: Job) -> Facts:
    from lianlu.model.adopt import adopt

    return adopt(Path(extra["base"]), job)


def make_dialogues(config: Values, extra: Values, job: Job) -> Facts:
    from lianlu.refine.dialogues import make_dialogues

    return make_dialogues(DialoguesConfig(**config), job)


def evaluate(config: Values, extra: Values, job: Job) -> Facts:
    from lianlu.evaluate.run import evaluate

    return evaluate(EvaluateConfig(**config), job)


def tune(config: Values, extra: Values, job: Job) -> Facts:
    from lianlu.train.tune import tune

    return tune(TuneConfig(**config), extra["method"], job, extra["dtype"])


def compress(config: Values, extra: Values, job: Job) -> Facts:
    from lianlu.compress.run import compress

    return compress(CompressConfig(**config), job)


def try_out(config: Values, extra: Values, job: Job) -> Facts:
    """Serve the model on loopback and let the agent work through it, as an application would."""
    from lianlu.agent.trial import try_out
    from lianlu.serve.background import served

    with served(job.inputs["model"], ServeConfig(**extra["serve"], port=0)) as url:
        return try_out(AgentConfig(**config), url, job)


@dataclass(frozen=True)
class Link:
    """A link and its version; the version rises whenever the same input gives other bytes."""

    version: int
    work: Callable[[Values, Values, Job], Facts]


LINKS: Mapping[str, Link] = {
    "refine": Link(1, refine),
    "tokenizer": Link(1, train_tokenizer),
    "tokenize": Link(1, tokenize),
    "pretrain": Link(1, pretrain),
    "adopt": Link(1, adopt),
    "dialogues": Link(1, make_dialogues),
    "evaluate": Link(1, evaluate),
    "tune": Link(1, tune),
    "compress": Link(1, compress),
    "agent": Link(1, try_out),
}
