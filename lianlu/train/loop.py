"""The training loop, for pretraining and tuning alike: it reads from top to bottom."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from lianlu.errors import StepFailed
from lianlu.job import Job
from lianlu.model.decoder import Decoder
from lianlu.plan.hardware import find_compiler
from lianlu.train.batch import Batch
from lianlu.train.checkpoint import Position, resume, save
from lianlu.train.loss import summed_loss
from lianlu.train.optim import Optimizer, make_optimizer
from lianlu.train.precision import WORTH_COMPILING, autocast
from lianlu.train.schedule import rate_at

CLIP = 1.0
LOG_EVERY = 5
EVALUATIONS = 8
# So many steps in a row without a finite loss will not mend themselves.
MAX_SKIPPED = 10
RECENT = 20


class Data(Protocol):
    """What each step trains on: a function of its number, in pieces that fit the memory."""

    def batches(self, step: int) -> list[Batch]: ...


class Settings(Protocol):
    """The fields that PretrainConfig and TuneConfig share."""

    lr: float
    optimizer: Literal["muon", "adamw"]
    seed: int
    exact: bool
    save_every: int
    compile: bool


@dataclass(frozen=True)
class Course:
    """How long a training is, and how its rate goes."""

    steps: int
    warmup: float
    decay: float
    dtype: torch.dtype


def train(
    decoder: Decoder,
    data: Data,
    valid: Sequence[Batch],
    course: Course,
    settings: Settings,
    job: Job,
) -> Position:
    """Train what of `decoder` wants gradients; returns where it ended.

    Goes on from the newest sound checkpoint in `job.out`; the caller, who writes the model, removes
    them. A step whose loss or gradient is not finite is skipped and its number kept.

    Raises StepFailed when ten steps in a row are not finite, or a checkpoint cannot be written.
    """
    optimizer = make_optimizer(decoder, settings.optimizer, course.dtype)
    position = resume(job.out, decoder, optimizer)
    if prepare(decoder, course, settings):
        job.progress.say("the first step waits for the compiler, up to a minute")
    device = next(decoder.parameters()).device
    if position.step:
        job.progress.say(f"resumed at step {position.step} of {course.steps}")
    else:
        position.valid_before = position.valid_loss = evaluate(decoder, valid, course.dtype)
        job.progress.metric(step=0, valid_loss=position.valid_before)

    job.progress.begin("train", course.steps, "steps")
    job.progress.advance("train", position.step)
    watch = Stopwatch()
    for step in range(position.step, course.steps):
        # The loss is the mean over all predicted tokens of the step, however it is cut up.
        batches = [batch.to(device) for batch in data.batches(step)]
        predicted = sum(batch.predicted for batch in batches)
        loss = 0.0
        for batch in batches:
            with autocast(course.dtype, device):
                part = summed_loss(decoder, batch) / predicted
            part.backward()
            loss += part.item()
        norm = float(torch.nn.utils.clip_grad_norm_(decoder.parameters(), CLIP))

        rate = settings.lr * rate_at(step, course.steps, course.warmup, course.decay)
        if math.isfinite(loss) and math.isfinite(norm):
            optimizer.step(rate)
            position.losses = [*position.losses, loss][-RECENT:]
        else:
            skip(position, step, optimizer, job)
        position.step = step + 1
        watch.count(sum(len(batch.tokens) for batch in batches))
        job.progress.advance("train")

        last = position.step == course.steps
        if step % LOG_EVERY == 0 or last:
            speed = watch.read()
            job.progress.metric(
                step=position.step, loss=loss, lr=rate, grad_norm=norm, tokens_per_second=speed
            )
        if position.step % max(1, course.steps // EVALUATIONS) == 0 or last:
            position.valid_loss = evaluate(decoder, valid, course.dtype)
            job.progress.metric(step=position.step, valid_loss=position.valid_loss)
        if position.step % settings.save_every == 0 and not last:
            save(job.out, decoder, optimizer, position)
    job.progress.finish("train")
    return position


def prepare(decoder: Decoder, course: Course, settings: Settings) -> bool:
    """Compile the blocks, unless bits must be repeatable or the training is too short for it.

    Returns whether they will be compiled, which happens in the first step.
    """
    if settings.exact:
        torch.use_deterministic_algorithms(True)
        return False
    if not settings.compile or course.steps < WORTH_COMPILING or find_compiler() is None:
        return False
    for block in decoder.model.layers:
        block.compile(dynamic=False)  # every batch has the same length
    return True


@torch.no_grad()
@torch.compiler.set_stance("force_eager")  # compiling it as well would cost more than it saves
def evaluate(decoder: Decoder, batches: Sequence[Batch], dtype: torch.dtype) -> float:
    """Mean loss in nats per predicted token."""
    device = next(decoder.parameters()).device
    total, predicted = 0.0, 0
    for batch in batches:
        with autocast(dtype, device):
            total += summed_loss(decoder, batch.to(device)).item()
        predicted += batch.predicted
    return total / predicted


def skip(position: Position, step: int, optimizer: Optimizer, job: Job) -> None:
    optimizer.drop()
    position.skipped.append(step)
    job.progress.say(f"step {step}: the loss or its gradient is not finite; the step is skipped")
    if position.skipped[-MAX_SKIPPED:] == list(range(step - MAX_SKIPPED + 1, step + 1)):
        raise StepFailed(
            f"{MAX_SKIPPED} steps in a row up to {step} were not finite; a lower lr may help"
        )


class Stopwatch:
    """Tokens per second since the last look."""

    def __init__(self) -> None:
        self.tokens = 0
        self.since = time.perf_counter()

    def count(self, tokens: int) -> None:
        self.tokens += tokens

    def read(self) -> float:
        now = time.perf_counter()
        speed = self.tokens / (now - self.since)
        self.tokens, self.since = 0, now
        return round(speed, 1)
