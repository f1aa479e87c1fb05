"""The chat client against a server on loopback, good and bad."""

import asyncio
import json
import socket
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from lianlu.agent.model import ChatClient, Refused, Reply, ScriptedModel, is_loopback
from lianlu.errors import StepFailed, UserError

USER = [{"role": "user", "content": "What is a.b?"}]
TOOL = {"type": "function", "function": {"name": "python_docs", "parameters": {}}}


def complete(url: str, messages: list[dict[str, Any]], **options: Any) -> Reply:
    async def ask() -> Reply:
        async with ChatClient(url, **options) as client:
            return await client.complete(messages, [TOOL], 32)

    return asyncio.run(ask())


def stream(text: str) -> Response:
    return PlainTextResponse(text, media_type="text/event-stream")


def test_a_streamed_call_is_put_together(server: Any) -> None:
    reply = complete(server.url + "/v1/", USER)
    function = {"name": "python_docs", "arguments": '{"name": "a.b"}'}
    calls = [{"id": "call_x", "type": "function", "function": function}]
    assert reply.message == {"role": "assistant", "content": None, "tool_calls": calls}
    assert reply.finish_reason == "tool_calls"
    assert (reply.prompt_token_ids, reply.token_ids) == ([4, 4], [9, 9])
    assert reply.logprobs == [-0.25, -0.25]
    assert 0 < reply.ttft <= reply.seconds
    body = server.bodies[0]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("fake", 32, 0)
    assert (body["tools"], body["tool_choice"]) == ([TOOL], "auto")
    assert body["return_token_ids"] is True


def test_streamed_text_is_put_together(server: Any) -> None:
    told = [*USER, {"role": "tool", "tool_call_id": "call_x", "content": "a.b()\nDoes b, 泵."}]
    reply = complete(server.url, told)
    assert reply.message == {"role": "assistant", "content": "Does b, 泵."}
    assert reply.token_ids == [9, 9]


def test_half_a_surrogate_pair_does_not_get_in(server: Any) -> None:
    call = {"index": 0, "id": "x", "function": {"name": "f", "arguments": '"\ud800"'}}
    deltas = [{"content": "a\ud83d\ude00\udc00"}, {"tool_calls": [call]}]
    chunks = [json.dumps({"choices": [{"delta": delta}]}) for delta in deltas]
    server.troubles = [stream("".join(f"data: {c}\n\n" for c in [*chunks, "[DONE]"]))]
    message = complete(server.url, USER).message
    assert message["content"] == "a\U0001f600?"
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": '"?"'}


def test_it_waits_as_long_as_a_busy_server_asks(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("lianlu.agent.model.asyncio.sleep", sleep)
    server.troubles = [
        PlainTextResponse("busy", 429, headers={"Retry-After": "7"}),
        PlainTextResponse("busy", 429, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        PlainTextResponse("down", 503, headers={"Retry-After": "999"}),
        stream("data: {"),  # cut off: nothing was said, so it is asked again
    ]
    with pytest.raises(StepFailed, match="broken event"):
        complete(server.url, USER)
    assert waits == [7.0, 0.5, 30.0]
    server.troubles = [stream('data: {"choices": []}\n\n')]
    assert complete(server.url, USER).token_ids == [9, 9]


def test_it_gives_up_at_last(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lianlu.agent.model._retry_after", lambda response, otherwise: 0.0)
    server.troubles = [PlainTextResponse("down", 500) for _ in range(6)]
    with pytest.raises(StepFailed, match="6 attempts; 500: down"):
        complete(server.url, USER)


@pytest.mark.parametrize(
    "text",
    [
        "data: []\n\n",
        'data: {"error": "no memory"}\n\n',
        'data: {"choices": [7]}\n\n',
        'data: {"choices": [{"delta": {"tool_calls": [{"id": "x"}]}}]}\n\n',
        'data: {"choices": [{"logprobs": {"content": [{}]}}]}\n\n',
        "data: " + "x" * 5_000_000,
    ],
)
def test_a_broken_stream_is_a_failure(server: Any, text: str) -> None:
    server.troubles = [stream(text)]
    with pytest.raises(StepFailed, match="the server"):
        complete(server.url, USER)


def test_a_refusal_is_told(server: Any) -> None:
    server.troubles = [JSONResponse({"error": {"message": "the prompt is too long"}}, 400)]
    with pytest.raises(Refused, match="the prompt is too long"):
        complete(server.url, USER)


def test_a_slow_server_is_a_failure(server: Any) -> None:
    server.delay = 1.0
    with pytest.raises(StepFailed, match="too slow"):
        complete(server.url, USER, timeout=0.05)


def test_no_server_is_the_users_mistake() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UserError, match="no server answers") as told:
            complete(url, USER)
    assert "lianlu serve" in (told.value.hint or "")


@pytest.mark.parametrize("url", ["http://10.0.0.1:8000", "https://example.com/v1", "nonsense"])
def test_conversations_stay_on_this_machine(url: str) -> None:
    with pytest.raises(UserError, match="not an address of this machine"):
        complete(url, USER)


def test_loopback() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("localhost.example.com", "0.0.0.0", "", None)))


def test_a_script_ends() -> None:
    model = ScriptedModel([Reply({"role": "assistant", "content": "yes"})])
    assert asyncio.run(model.complete(USER, [], 1)).message["content"] == "yes"
    with pytest.raises(StepFailed):
        asyncio.run(model.complete(USER, [], 1))
    assert json.dumps(model.seen) == json.dumps([USER])
