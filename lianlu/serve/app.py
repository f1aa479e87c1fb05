"""The OpenAI API over an engine, and the server around it."""

import asyncio
import errno
import hmac
import ipaddress
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from lianlu.errors import UserError
from lianlu.loopback import asks_loopback, is_loopback
from lianlu.serve.body import BodyLimit
from lianlu.serve.config import ServeConfig
from lianlu.serve.engine import Engine
from lianlu.serve.loop import Answer, Delta, EngineLoop
from lianlu.serve.metrics import Metrics
from lianlu.serve.openai import (
    BadRequest,
    ChatRequest,
    CompletionRequest,
    Sampled,
    chat_tasks,
    completion_tasks,
)
from lianlu.serve.replies import ChatReply, Object, TextReply
from lianlu.serve.request import Completion, Task
from lianlu.serve.scheduler import Overloaded, TooLong

MAX_BODY = 4 << 20
"""Bytes of a request's body."""


def create_app(
    engine: Engine,
    name: str,
    keys: Sequence[str] = (),
    started: Callable[[], None] | None = None,
) -> FastAPI:
    """The API for one model called `name`; `keys` empty accepts every caller on this machine.

    The engine's thread runs from the application's start-up to its shutdown; `started` is called
    once it does.
    """
    loop = EngineLoop(engine)
    metrics = Metrics(engine)
    created = int(time.time())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with loop:
            if started is not None:
                started()
            yield

    app = FastAPI(title="lianlu", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, limit=MAX_BODY)
    _answer_errors(app)

    def authorise(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        # Every key is compared, in constant time: the answer's delay tells nothing.
        if keys and not sum(hmac.compare_digest(given, key.encode()) for key in keys):
            raise HTTPException(401, "missing or wrong API key")
        if not keys and not asks_loopback(request.headers.get("host", "")):
            raise HTTPException(421, "without API keys this server answers to loopback names only")

    guarded = [Depends(authorise)]

    @app.get("/health")
    async def health() -> Object:
        return {"status": "ok"}

    @app.get("/metrics", dependencies=guarded)
    async def scrape() -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    @app.get("/v1/models", dependencies=guarded)
    async def models() -> Object:
        return {"object": "list", "data": [_model(name, created, engine)]}

    @app.get("/v1/models/{wanted:path}", dependencies=guarded)
    async def model(wanted: str) -> Object:
        _check_name(wanted, name)
        return _model(name, created, engine)

    @app.post("/v1/chat/completions", dependencies=guarded)
    async def chat(body: ChatRequest, request: Request) -> Response:
        _check_name(body.model, name)
        tasks = chat_tasks(body, engine)
        tools = bool(body.tools) and body.tool_choice != "none"
        reply = ChatReply(
            "chatcmpl",
            "chat.completion",
            name,
            engine.tokenizer,
            body.n,
            body.return_token_ids,
            template=engine.template,
            tools=tools,
        )
        return await answer(body, tasks, reply, request)

    @app.post("/v1/completions", dependencies=guarded)
    async def completions(body: CompletionRequest, request: Request) -> Response:
        _check_name(body.model, name)
        tasks = completion_tasks(body, engine)
        reply = TextReply(
            "cmpl", "text_completion", name, engine.tokenizer, body.n, body.return_token_ids
        )
        return await answer(body, tasks, reply, request)

    async def answer(
        body: Sampled, tasks: Sequence[Task], reply: ChatReply | TextReply, request: Request
    ) -> Response:
        start = time.monotonic()
        most = 2 * engine.scheduler.max_requests
        if len(tasks) > most:
            raise BadRequest(f"{len(tasks)} completions in one request; at most {most}", "n")
        try:
            answer = await loop.open(tasks)
        except TooLong as error:
            raise BadRequest(str(error), code="context_length_exceeded") from error
        except ValueError as error:
            raise BadRequest(str(error)) from error
        more = {"prompt_token_ids": tasks[0].prompt} if body.return_token_ids else {}
        if body.stream:
            counted = body.stream_options is not None and body.stream_options.include_usage
            # From here on the response owns the answer and closes it when the client leaves.
            events = _events(answer, reply, counted, more, _Watch(start, metrics))
            return StreamingResponse(events, media_type="text/event-stream")
        async with answer:
            done = await _unless_gone(request, _collect(answer, _Watch(start, metrics)))
        if done is None:
            return Response(status_code=499)  # nobody reads it
        if broken := [c.error for c in done if c.error is not None]:
            return _error(500, f"the request failed: {broken[0]}")
        return JSONResponse({**reply.whole(done), **more})

    return app


def serve(path: Path, config: ServeConfig, ready: Callable[[str], None] | None = None) -> None:
    """Serve the model in `path` until interrupted; `ready` gets the URL once it answers.

    Raises:
        UserError: no such model, a port in use, an address open to others without API keys.
    """
    keys = _read_keys(config)
    with _listen(config) as listener:
        engine = Engine.load(path, config)
        url = _url(listener)
        app = create_app(engine, path.resolve().name, keys, lambda: ready(url) if ready else None)
        # Open streams get a few seconds to end when the server is told to stop.
        settings = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=3
        )
        try:
            uvicorn.Server(settings).run(sockets=[listener])
        except KeyboardInterrupt:  # raised again by uvicorn after an orderly end
            return


async def _events(
    answer: Answer, reply: ChatReply | TextReply, counted: bool, more: Object, watch: "_Watch"
) -> AsyncIterator[str]:
    """Server-sent events: openings, deltas as they come, usage where asked for, [DONE]."""
    async with answer:
        count = len(answer.cursors)
        for i in range(count):
            if (opening := reply.opening(i)) is not None:
                yield _event(opening | more)
        done: dict[int, Completion] = {}
        async for i, delta in answer:
            watch.note(i, delta)
            if delta.completion is not None:
                done[i] = delta.completion
                if done[i].error is not None:
                    yield _event(_problem(500, f"the request failed: {done[i].error}"))
                    return
            for chunk in reply.chunks(i, delta):
                yield _event(chunk)
        if counted:
            suffix = ".chunk" if isinstance(reply, ChatReply) else ""
            usage = reply.usage([done[i] for i in range(count)])
            yield _event(reply.wrap([], suffix, usage=usage))
        yield "data: [DONE]\n\n"


async def _collect(answer: Answer, watch: "_Watch") -> list[Completion]:
    done: dict[int, Completion] = {}
    async for i, delta in answer:
        watch.note(i, delta)
        if delta.completion is not None:
            done[i] = delta.completion
    return [done[i] for i in range(len(done))]


async def _unless_gone(
    request: Request, work: Coroutine[None, None, list[Completion]]
) -> list[Completion] | None:
    """The result of `work`, or None as soon as the client has gone."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()


class _Watch:
    """Times one answer's tokens for the metrics."""

    def __init__(self, start: float, metrics: Metrics) -> None:
        self.start = start
        self.metrics = metrics
        self.first: dict[int, float] = {}

    def note(self, index: int, delta: Delta) -> None:
        now = time.monotonic()
        first = self.first.setdefault(index, now)
        if delta.completion is not None:
            self.metrics.observe(self.start, first, now, len(delta.completion.token_ids))


def _answer_errors(app: FastAPI) -> None:
    """Every refusal in the shape that OpenAI's clients expect."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:]) or None
        return _error(400, f"{param or 'body'}: {first['msg']}", param)

    @app.exception_handler(BadRequest)
    async def bad(request: Request, error: BadRequest) -> Response:
        return _error(400, str(error), error.param, error.code)

    @app.exception_handler(Overloaded)
    async def overloaded(request: Request, error: Overloaded) -> Response:
        response = _error(429, str(error), code="overloaded")
        response.headers["Retry-After"] = str(error.retry_after)
        return response

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code = {401: "invalid_api_key", 404: "model_not_found"}.get(error.status_code)
        return _error(error.status_code, str(error.detail), code=code)


def _error(
    status: int, message: str, param: str | None = None, code: str | None = None
) -> JSONResponse:
    return JSONResponse(_problem(status, message, param, code), status_code=status)


def _problem(
    status: int, message: str, param: str | None = None, code: str | None = None
) -> Object:
    kind = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error"}.get(
        status, "invalid_request_error"
    )
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _event(value: Object) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def _check_name(wanted: str, name: str) -> None:
    if wanted != name:
        raise HTTPException(404, f"there is no model {wanted!r} here, only {name!r}")


def _model(name: str, created: int, engine: Engine) -> Object:
    head = {"id": name, "object": "model", "created": created, "owned_by": "lianlu"}
    return {**head, "max_model_len": engine.context}


def _read_keys(config: ServeConfig) -> list[str]:
    keys: list[str] = []
    if config.api_key_file is not None:
        try:
            lines = config.api_key_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"serve.api_key_file: {error}") from error
        keys = [line.strip() for line in lines if line.strip()]
        if not keys:
            raise UserError(f"{config.api_key_file}: holds no key", "write one key a line")
    if not keys and not is_loopback(config.host):
        raise UserError(
            f"host {config.host!r} can be reached by others, and no API key is asked for",
            "give serve.api_key_file (one key a line), or listen on 127.0.0.1",
        )
    return keys


def _listen(config: ServeConfig) -> socket.socket:
    """A listening socket: callers may connect, and wait, while the model is still loaded."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {config.port} of {config.host} is in use",
                "stop what listens there, take another with --port, or --port 0 for a free one",
            ) from error
        raise UserError(f"cannot listen on {config.host}:{config.port} ({error})") from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
