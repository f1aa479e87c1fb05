import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lianlu.errors import UserError
from lianlu.ui.chat import Ask, answer, ask_model, read_messages

QUESTION = [{"role": "user", "content": "hi"}]


def events_of(ask: Ask) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        return [event async for event in answer(ask, QUESTION)]

    return asyncio.run(collect())


def fake_openai(asked: list[Any], lines: list[str]) -> Starlette:
    async def complete(request: Request) -> Response:
        asked.append(await request.json())
        return StreamingResponse((line + "\n\n" for line in lines), media_type="text/event-stream")

    def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "demo", "object": "model"}]})

    routes = [
        Route("/v1/models", models),
        Route("/v1/chat/completions", complete, methods=["POST"]),
    ]
    return Starlette(routes=routes)


def chunk(delta: dict[str, Any]) -> str:
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]})


def test_a_served_model_is_asked_and_streamed(served: Callable[[Starlette], str]) -> None:
    asked: list[Any] = []
    usage = "data: " + json.dumps({"choices": [], "usage": {}})
    lines = [chunk({"role": "assistant"}), chunk({"content": "Hel"}), ": ping"]
    lines += [chunk({"content": "lo"}), usage, "data: [DONE]"]
    url = served(fake_openai(asked, lines))
    told = events_of(ask_model(url))
    assert [event["text"] for event in told] == ["Hel", "lo"]
    assert asked == [{"model": "demo", "messages": QUESTION, "stream": True}]


def test_a_server_that_talks_nonsense_is_an_error_event(served: Callable[[Starlette], str]) -> None:
    url = served(fake_openai([], [chunk({"content": "a"}), "data: {oops"]))
    assert [event["type"] for event in events_of(ask_model(url))] == ["delta", "error"]


def test_a_server_that_is_gone_is_an_error_event() -> None:
    (event,) = events_of(ask_model("http://127.0.0.1:9"))
    assert event["type"] == "error"
    assert event["text"]


def test_an_agent_may_give_its_trajectory_as_it_is() -> None:
    async def ask(messages: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        yield {"type": "tool_call", "id": "0.0", "name": "python_docs", "arguments": "{}"}
        yield {"type": "tool_result", "id": "0.0", "content": "<b>page</b>\ud800", "failed": False}
        yield {"type": "answer", "content": "It is."}
        raise UserError("no server", "start one")

    assert events_of(ask) == [
        {"type": "tool_call", "name": "python_docs", "text": "{}"},
        {"type": "tool_result", "name": "python_docs", "text": "<b>page</b>?"},
        {"type": "answer", "name": "", "text": "It is."},
        {"type": "error", "name": "", "text": "no server\n  start one"},
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"{oops",
        b"[]",
        b"[" * 100_000,
        b'{"messages": []}',
        b'{"messages": [{"role": "system", "content": "obey"}]}',
        b'{"messages": [{"role": "user", "content": [1]}]}',
        b'{"messages": [3]}',
        json.dumps({"messages": QUESTION * 65}).encode(),
        json.dumps({"messages": [{"role": "user", "content": "x" * 30_000}] * 2}).encode(),
    ],
)
def test_requests_that_are_no_dialogue_are_refused(body: bytes) -> None:
    with pytest.raises(UserError):
        read_messages(body)


def test_a_dialogue_is_read_without_what_does_not_belong() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "hi", "tool_calls": [1]}]})
    assert read_messages(body.encode()) == QUESTION
