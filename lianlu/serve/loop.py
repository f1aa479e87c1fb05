"""The engine in a thread of its own, open to any number of coroutines."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from lianlu.serve.engine import Engine
from lianlu.serve.request import Completion, Request, Task, TokenLogprob


@dataclass(frozen=True)
class Delta:
    """What a completion gained; `completion` is the whole of it, given with the last delta."""

    text: str
    token_ids: list[int]
    logprobs: list[TokenLogprob]
    completion: Completion | None


class Answer:
    """The tasks of one caller; leaving its `async with` aborts what still runs."""

    def __init__(self, loop: "EngineLoop") -> None:
        self._loop = loop
        self._queue: asyncio.Queue[tuple[int, Delta] | Exception | None] = asyncio.Queue()
        self._home = asyncio.get_running_loop()
        self.cursors: list[Cursor] = []

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Abort what still runs."""
        self._loop.post(lambda: self._loop.leave(self))

    async def admitted(self) -> None:
        """Wait until the engine has taken every task, or raise what it refused one with."""
        first = await self._queue.get()
        if isinstance(first, Exception):
            raise first

    async def __aiter__(self) -> AsyncIterator[tuple[int, Delta]]:
        """(task, delta) as they come, until every task is complete."""
        left = len(self.cursors)
        while left:
            item = await self._queue.get()
            if not isinstance(item, tuple):
                raise RuntimeError("an answer was read before it was admitted")
            yield item
            left -= item[1].completion is not None

    def put(self, item: tuple[int, Delta] | Exception | None) -> None:
        """Hand something over from the engine's thread."""
        try:
            self._home.call_soon_threadsafe(self._queue.put_nowait, item)
        except RuntimeError:  # its event loop has closed: nobody listens
            self._loop.leave(self)


class Cursor:
    """How much of a request its caller has been given."""

    def __init__(self, answer: Answer, index: int, request: Request) -> None:
        self.answer = answer
        self.index = index
        self.request = request
        self._text = self._logprobs = 0
        self._tokens = request.prompt_length

    def take(self) -> Delta:
        """What is new since the last call."""
        request = self.request
        text, tokens = request.stream.text[self._text :], request.tokens[self._tokens :]
        logprobs = request.logprobs[self._logprobs :]
        self._text += len(text)
        self._tokens += len(tokens)
        self._logprobs += len(logprobs)
        return Delta(text, tokens, logprobs, request.completion() if request.finished else None)


class EngineLoop:
    """Steps the engine while anything is to do; whatever touches it runs in that thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._jobs: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._cursors: dict[Request, Cursor] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def __enter__(self) -> "EngineLoop":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    async def open(self, tasks: Sequence[Task]) -> Answer:
        """Submit all of `tasks`, or none.

        Raises:
            ValueError, Overloaded: as `Engine.submit`.
        """
        answer = Answer(self)
        self.post(lambda: self._submit(answer, tasks))
        try:
            await answer.admitted()
        except BaseException:  # cancelled too: nobody will read what the engine has taken
            answer.close()
            raise
        return answer

    def post(self, job: Callable[[], None]) -> None:
        """Run `job` in the engine's thread between two steps."""
        with self._wake:
            self._jobs.append(job)
            self._wake.notify()

    def leave(self, answer: Answer) -> None:
        """Abort an answer's requests; in the engine's thread only."""
        for cursor in answer.cursors:
            self._cursors.pop(cursor.request, None)
            self.engine.abort(cursor.request)

    def _submit(self, answer: Answer, tasks: Sequence[Task]) -> None:
        try:
            for i, task in enumerate(tasks):
                request = self.engine.submit(task.prompt, task.params)
                cursor = self._cursors[request] = Cursor(answer, i, request)
                answer.cursors.append(cursor)
        except Exception as error:  # raised again where the tasks came from
            self.leave(answer)
            answer.put(error)
        else:
            answer.put(None)

    def _work(self) -> None:
        while True:
            with self._wake:
                while not (self._jobs or self._closing or self.engine.busy):
                    self._wake.wait()
                jobs, self._jobs = self._jobs, deque()
                if self._closing:
                    return
            for job in jobs:
                job()
            self._publish(self._step())

    def _step(self) -> Sequence[Request]:
        try:
            return self.engine.step()
        except Exception as error:  # a fault of ours: those under way end, the server goes on
            broken = list(self.engine.scheduler.running)
            for request in broken:
                self.engine.fail(request, error)
            return broken

    def _publish(self, changed: Sequence[Request]) -> None:
        for request in changed:
            cursor = self._cursors.get(request)
            if cursor is not None:
                if request.finished:
                    del self._cursors[request]
                cursor.answer.put((cursor.index, cursor.take()))
