"""Which tokens to compute next: one token budget, no phases."""

import math
from collections import deque
from dataclasses import dataclass

from lianlu.serve.pages import PAGE, ROOT, PagePool
from lianlu.serve.request import FinishReason, Request, State


class Overloaded(Exception):
    """Refused because of load; `retry_after` is the estimated wait in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests are waiting; try again in {retry_after} s")
        self.retry_after = retry_after


class TooLong(ValueError):
    """A request that could not run even alone."""


@dataclass(frozen=True)
class Chunk:
    """Tokens [start, start + count) of a request, to be computed in one step."""

    request: Request
    start: int
    count: int

    @property
    def samples(self) -> bool:
        """Whether the next token follows from this chunk."""
        return self.start + self.count == len(self.request.tokens)


class Scheduler:
    """Hands out `batch_tokens` a step: decodes first, then chunks of prompts in order of arrival.

    A request is admitted only when its worst case (prompt + max_tokens) fits in the pages nobody
    has or may still claim, so an admitted request always finishes and nothing is ever preempted.
    """

    def __init__(self, pool: PagePool, batch_tokens: int, max_requests: int, context: int) -> None:
        self.pool = pool
        self.batch_tokens = batch_tokens
        self.max_requests = max_requests
        # The most tokens that a request may come to.
        self.context = min(context, len(pool.references) * PAGE)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self.step_seconds = 0.05  # smoothed time of a step, for retry_after

    def submit(self, request: Request) -> None:
        """Queue a request.

        Raises:
            TooLong: prompt + max_tokens exceed the context or the whole cache.
            Overloaded: `max_requests` run and as many wait, or twice as many wait.
        """
        longest = request.prompt_length + request.params.max_tokens
        if request.prompt_length == 0:
            raise TooLong("the prompt is empty")
        if longest > self.context:
            raise TooLong(
                f"the prompt has {request.prompt_length} tokens and max_tokens is "
                f"{request.params.max_tokens}: together more than the {self.context} that fit"
            )
        if self.full:
            raise Overloaded(self.retry_after())
        # The last token generated is never an input, so its key and value are never stored.
        request.worst_pages = math.ceil((longest - 1) / PAGE)
        self.waiting.append(request)

    @property
    def full(self) -> bool:
        """Whether the next request is refused."""
        return len(self.waiting) + len(self.running) >= 2 * self.max_requests

    def retry_after(self) -> int:
        """Seconds until the running request nearest to its end must have left, at least 1."""
        steps = min((r.remaining for r in self.running), default=0)
        return max(1, math.ceil(steps * self.step_seconds))

    def schedule(self) -> list[Chunk]:
        """The chunks of the next step, decodes before prompts; empty when nothing is to do."""
        self._admit()
        budget = self.batch_tokens
        chunks = []
        for request in sorted(self.running, key=lambda r: r.pending > 1):  # stable: by arrival
            count = min(request.pending, budget)
            if count == 0:
                break
            budget -= count
            while len(request.pages) * PAGE < request.computed + count:
                request.pages.append(self.pool.take())
            chunks.append(Chunk(request, request.computed, count))
        return chunks

    def computed(self, chunk: Chunk) -> None:
        """Note that a chunk's keys and values are stored; pages that became full are shared."""
        request = chunk.request
        before, request.computed = request.computed, chunk.start + chunk.count
        for i in range(before // PAGE, request.computed // PAGE):
            parent = request.pages[i - 1] if i else ROOT
            tokens = request.tokens[i * PAGE : (i + 1) * PAGE]
            request.pages[i] = self.pool.register(parent, tokens, request.pages[i])

    def finish(self, request: Request, reason: FinishReason) -> None:
        """Take a request out, wherever it is, and give its pages back."""
        if request.state is State.FINISHED:
            return
        if request.state is State.RUNNING:
            self.running.remove(request)
            self.pool.release(request.pages)
            request.pages = []
        else:
            self.waiting.remove(request)
        request.state = State.FINISHED
        request.finish_reason = reason

    def _admit(self) -> None:
        """Move requests from waiting to running, first come first served, while they fit."""
        claims = sum(r.worst_pages - len(r.pages) for r in self.running)
        while self.waiting and len(self.running) < self.max_requests:
            request = self.waiting[0]
            # At least one prompt token is computed: its logits choose the first new token.
            chain = self.pool.match(request.tokens[: request.prompt_length - 1])
            shared = sum(self.pool.references[page] > 0 for page in chain)
            need = request.worst_pages - shared
            if claims + need > len(self.pool.free):
                return
            for page in chain:
                self.pool.hold(page)
            claims += request.worst_pages - len(chain)
            request.pages = chain
            request.computed = request.cached = len(chain) * PAGE
            request.state = State.RUNNING
            self.running.append(self.waiting.popleft())
