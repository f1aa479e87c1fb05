"""The engine: schedule, run, choose; one step at a time."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lianlu.cores import available_cores
from lianlu.errors import UserError
from lianlu.model.checkpoint import load_model
from lianlu.model.decoder import Decoder
from lianlu.model.fingerprint import require_fingerprint
from lianlu.model.template import ChatTemplate
from lianlu.model.tokenizer import Tokenizer
from lianlu.serve import sampling
from lianlu.serve.config import ServeConfig
from lianlu.serve.grammar import Grammars
from lianlu.serve.kv import KVBits, KVCache
from lianlu.serve.pages import PAGE, PagePool
from lianlu.serve.request import Completion, FinishReason, Request, SamplingParams
from lianlu.serve.runner import Runner
from lianlu.serve.scheduler import Chunk, Scheduler
from lianlu.serve.text import TextStream


@dataclass
class Counts:
    """What the engine has done since it started."""

    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    computed_tokens: int = 0
    generated_tokens: int = 0
    busy_seconds: float = 0.0
    finished: dict[FinishReason, int] = field(
        default_factory=lambda: {"stop": 0, "length": 0, "abort": 0, "error": 0}
    )


# Weights below which a second thread costs more than it saves (measured: docs/serve.md).
SMALL = 30_000_000


class Engine:
    """Continuous batching over a paged KV cache. Not thread-safe: `EngineLoop` owns one thread.

    `template` is None for a model without a chat template; such a model completes plain text.
    """

    def __init__(
        self,
        decoder: Decoder,
        tokenizer: Tokenizer,
        template: ChatTemplate | None,
        grammars: Grammars,
        config: ServeConfig,
        kv_bits: KVBits,
    ) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.grammars = grammars
        self.stop_ids = frozenset(_stop_ids(decoder, tokenizer, template))
        self.counts = Counts()
        dtype = decoder.model.embed_tokens.weight.dtype
        pool = PagePool(-(-config.kv_tokens // PAGE))
        cache = KVCache(decoder.config, len(pool.references), kv_bits, dtype)
        self.runner = Runner(decoder, cache)
        self.scheduler = Scheduler(
            pool, config.batch_tokens, config.max_requests, decoder.config.context
        )

    @classmethod
    def load(cls, path: Path, config: ServeConfig | None = None) -> "Engine":
        """An engine over a Hugging Face model directory.

        Raises:
            UserError: the directory holds no model that we can run, or too little memory is asked.
        """
        config = config or ServeConfig()
        dtype = None if config.dtype == "auto" else getattr(torch, config.dtype)
        decoder = load_model(path, dtype=dtype)
        small = decoder.config.parameters() < SMALL
        torch.set_num_threads(config.threads or (1 if small else available_cores()))
        require_fingerprint(decoder, path)
        template = _template(path)
        tokenizer = template.tokenizer if template else Tokenizer.load(path)
        grammars = Grammars(
            path, decoder.config.vocab_size, _stop_ids(decoder, tokenizer, template)
        )
        natural: KVBits = 32 if decoder.model.embed_tokens.weight.dtype == torch.float32 else 16
        bits = config.kv_bits or _kv_bits(path) or natural
        return cls(decoder, tokenizer, template, grammars, config, bits)

    def submit(self, prompt: Sequence[int], params: SamplingParams) -> Request:
        """Queue a prompt of token ids.

        Raises:
            ValueError: the grammar does not compile, an id is outside the vocabulary, or prompt and
                `max_tokens` do not fit (`TooLong`).
            Overloaded: too many requests wait already.
        """
        size = self.runner.decoder.config.vocab_size
        if bad := [i for i in (*prompt, *params.logit_bias) if not 0 <= i < size]:
            raise ValueError(f"token id {bad[0]} is outside the vocabulary of {size}")
        follower = self.grammars.start(params.grammar) if params.grammar else None
        stream = TextStream(self.tokenizer, params.stop)
        request = Request(prompt, params, stream, follower)
        self.scheduler.submit(request)
        return request

    def abort(self, request: Request) -> None:
        """Stop a request wherever it is; its pages are free at once."""
        if not request.finished:
            self._finish(request, "abort")

    def fail(self, request: Request, error: Exception) -> None:
        """End a request because of an error of its own."""
        if not request.finished:
            request.error = f"{type(error).__name__}: {error}"
            self._finish(request, "error")

    @property
    def context(self) -> int:
        """Tokens that prompt and output may come to: the model's context, or a smaller cache."""
        return self.scheduler.context

    @property
    def parameters(self) -> int:
        """Weights of the model."""
        return self.runner.decoder.config.parameters()

    @property
    def busy(self) -> bool:
        """Whether a step has anything to do."""
        return bool(self.scheduler.running or self.scheduler.waiting)

    def step(self) -> list[Request]:
        """Compute one batch; returns the requests that got a token or ended."""
        start = time.perf_counter()
        chunks = self.scheduler.schedule()
        if not chunks:
            return []
        for chunk in chunks:
            if chunk.start == chunk.request.cached:
                self.counts.prompt_tokens += chunk.request.prompt_length
                self.counts.cached_tokens += chunk.request.cached
        changed = self._run(chunks)
        seconds = time.perf_counter() - start
        self.scheduler.step_seconds += 0.1 * (seconds - self.scheduler.step_seconds)
        self.counts.steps += 1
        self.counts.computed_tokens += sum(chunk.count for chunk in chunks)
        self.counts.busy_seconds += seconds
        return changed

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams],
    ) -> list[Completion]:
        """Complete many prompts, in their order; as many at once as fit.

        Raises:
            ValueError: as `submit`.
        """
        each = [params] * len(prompts) if isinstance(params, SamplingParams) else list(params)
        todo = list(zip(prompts, each, strict=True))
        requests: list[Request] = []
        try:
            while len(requests) < len(todo) or not all(r.finished for r in requests):
                while len(requests) < len(todo) and not self.scheduler.full:
                    requests.append(self.submit(*todo[len(requests)]))
                self.step()
        finally:
            for request in requests:
                self.abort(request)
        return [request.completion() for request in requests]

    def _run(self, chunks: Sequence[Chunk]) -> list[Request]:
        """Compute chunks and choose tokens; a fault is narrowed down to the request it is in."""
        try:
            logits = self.runner.run(chunks)
        except Exception as error:  # whatever a kernel raises must not end the other requests
            if len(chunks) > 1:
                return [request for chunk in chunks for request in self._run([chunk])]
            self.fail(chunks[0].request, error)
            return [chunks[0].request]
        for chunk in chunks:
            self.scheduler.computed(chunk)
        requests = [chunk.request for chunk in chunks if chunk.samples]
        for request, row, plain in zip(requests, logits, _likeliest(logits), strict=True):
            try:
                self._advance(request, row, plain)
            except Exception as error:  # one request's grammar or logits are its own trouble
                self.fail(request, error)
        return requests

    def _advance(self, request: Request, logits: Tensor, plain: int | None) -> None:
        """Give a request its next token and end it where it must."""
        if plain is not None and sampling.is_plain(request):
            token = plain
        else:
            allowed = request.follower.allowed() if request.follower else None
            token = sampling.choose(request, logits, allowed)
        request.tokens.append(token)
        sampling.note(request, token)
        self.counts.generated_tokens += 1
        params = request.params
        if request.follower:
            request.follower.take(token)
        if token in params.stop_ids or (token in self.stop_ids and not params.ignore_eos):
            self._finish(request, "stop")
            return
        request.stream.push(token)
        if request.stream.stopped or (request.follower and request.follower.finished):
            self._finish(request, "stop")
        elif request.remaining == 0:
            self._finish(request, "length")

    def _finish(self, request: Request, reason: FinishReason) -> None:
        request.stream.finish()
        if request.stream.stopped:  # what was held back completed a stop string after all
            reason = "stop"
        self.scheduler.finish(request, reason)
        self.counts.finished[reason] += 1


def _likeliest(logits: Tensor) -> list[int | None]:
    """The greedy choice of every row; None where the logits are not finite numbers."""
    top, ids = logits.max(dim=-1)
    finite = top.isfinite().tolist()
    return [i if good else None for i, good in zip(ids.tolist(), finite, strict=True)]


def _stop_ids(decoder: Decoder, tokenizer: Tokenizer, template: ChatTemplate | None) -> list[int]:
    ids = {*decoder.config.eos_ids, *(template.stop_ids if template else ())}
    if tokenizer.eos_id is not None:
        ids.add(tokenizer.eos_id)
    return sorted(ids)


def _template(path: Path) -> ChatTemplate | None:
    try:
        return ChatTemplate.load(path)
    except UserError:
        Tokenizer.load(path)  # a bad tokenizer is an error, a missing template is not
        return None


def _kv_bits(path: Path) -> KVBits | None:
    """What compression asked for in `lianlu.json`."""
    file = path / "lianlu.json"
    if not file.is_file():
        return None
    try:
        bits = json.loads(file.read_text(encoding="utf-8")).get("kv_bits")
    except (ValueError, AttributeError) as error:
        raise UserError(f"{file}: not a JSON object ({error})") from error
    if bits not in (None, 8, 16, 32):
        raise UserError(f"{file}: kv_bits is {bits!r}", "it can be 8, 16 or 32")
    return bits
