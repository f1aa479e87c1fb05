"""A request: what was asked, and the few counters that say how far it is."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import torch

from lianlu.serve.grammar import Follower
from lianlu.serve.text import TextStream

FinishReason = Literal["stop", "length", "abort", "error"]


@dataclass(frozen=True)
class SamplingParams:
    """How the tokens of one completion are chosen. Temperature 0 is greedy.

    Raises:
        ValueError: a value outside its range, named.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = 1.0
    """Keep the likeliest tokens that together reach this mass."""
    min_p: float = 0.0
    """Drop tokens less likely than this share of the likeliest one."""
    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens seen in prompt or output (CTRL)."""
    frequency_penalty: float = 0.0
    """Subtracted once for each time a token was generated."""
    presence_penalty: float = 0.0
    """Subtracted from every token generated at all."""
    logit_bias: dict[int, float] = field(default_factory=dict)
    stop: tuple[str, ...] = ()
    """Strings that end the text; they are not part of it."""
    stop_ids: tuple[int, ...] = ()
    """Ends beside the model's own; the id stays in `token_ids`, not in `text`."""
    ignore_eos: bool = False
    seed: int | None = None
    """Same seed, same tokens, whatever else is in the batch; none draws one."""
    logprobs: int | None = None
    """Log-probabilities of the chosen token and of this many likeliest ones."""
    grammar: str | None = None
    """An llguidance grammar (Lark, or its JSON form) that the output must follow."""

    def __post_init__(self) -> None:
        checks = (
            (self.max_tokens >= 1, "max_tokens must be at least 1"),
            (0 <= self.temperature <= 100, "temperature must be between 0 and 100"),
            (self.top_k >= 0, "top_k must not be negative"),
            (0 < self.top_p <= 1, "top_p must be above 0 and at most 1"),
            (0 <= self.min_p <= 1, "min_p must be between 0 and 1"),
            (0 < self.repetition_penalty <= 100, "repetition_penalty must be above 0, at most 100"),
            (abs(self.frequency_penalty) <= 2, "frequency_penalty must be between -2 and 2"),
            (abs(self.presence_penalty) <= 2, "presence_penalty must be between -2 and 2"),
            (
                self.logprobs is None or 0 <= self.logprobs <= 20,
                "logprobs must be between 0 and 20",
            ),
            (all(self.stop), "stop must not hold an empty string"),
            (all(abs(b) <= 100 for b in self.logit_bias.values()), "logit_bias is -100 to 100"),
        )
        for good, complaint in checks:
            if not good:
                raise ValueError(complaint)


@dataclass(frozen=True)
class Task:
    """A prompt of token ids and how to go on from it."""

    prompt: list[int]
    params: SamplingParams


@dataclass(frozen=True)
class TokenLogprob:
    """One generated token under the model's own distribution (before temperature and masks)."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Completion:
    """What came out. `token_ids` includes the stop token, `text` neither it nor a stop string."""

    token_ids: list[int]
    text: str
    finish_reason: FinishReason
    logprobs: list[TokenLogprob] | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    seed: int = 0
    error: str | None = None


class State(Enum):
    """Where a request is; everything else follows from its counters."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


class Request:
    """One sequence. `tokens` is prompt then output; keys and values of `computed` of them exist."""

    def __init__(
        self,
        prompt: Sequence[int],
        params: SamplingParams,
        stream: TextStream,
        follower: Follower | None = None,
    ) -> None:
        self.prompt_length = len(prompt)
        self.params = params
        self.stream = stream
        self.follower = follower
        self.tokens = list(prompt)
        self.computed = 0
        self.cached = 0
        self.pages: list[int] = []
        self.worst_pages = 0
        self.state = State.WAITING
        self.finish_reason: FinishReason | None = None
        self.error: str | None = None
        self.logprobs: list[TokenLogprob] = []
        self.seed = secrets.randbits(63) if params.seed is None else params.seed
        # Occurrences of each token id in prompt and output, kept only where a penalty needs them.
        self.seen: torch.Tensor | None = None
        self.generated: torch.Tensor | None = None

    @property
    def output(self) -> list[int]:
        """The tokens generated so far."""
        return self.tokens[self.prompt_length :]

    @property
    def output_length(self) -> int:
        return len(self.tokens) - self.prompt_length

    @property
    def pending(self) -> int:
        """Tokens whose keys and values must still be computed: 1 while decoding."""
        return len(self.tokens) - self.computed

    @property
    def finished(self) -> bool:
        return self.state is State.FINISHED

    @property
    def remaining(self) -> int:
        """Tokens it may still generate."""
        return self.params.max_tokens - self.output_length

    def completion(self) -> Completion:
        """What came out, of a request that has finished."""
        if self.finish_reason is None:
            raise ValueError("the request has not finished")
        return Completion(
            token_ids=self.output,
            text=self.stream.text,
            finish_reason=self.finish_reason,
            logprobs=None if self.params.logprobs is None else self.logprobs,
            prompt_tokens=self.prompt_length,
            cached_tokens=self.cached,
            seed=self.seed,
            error=self.error,
        )
