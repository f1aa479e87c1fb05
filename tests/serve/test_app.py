"""The API as its own clients use it: the openai package against a real server on loopback."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import openai
import pytest

from lianlu.serve.app import MAX_BODY

MESSAGES = [{"role": "user", "content": "What does os.path.join do?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "python_docs",
            "description": "Documentation of a name.",
            "parameters": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 6}},
                "required": ["name"],
                "additionalProperties": False,
            },
        },
    }
]


@pytest.fixture
def client(server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["model"]
    assert client.models.retrieve("model").id == "model"
    with pytest.raises(openai.NotFoundError, match="'other'"):
        client.models.retrieve("other")


def test_chat_whole_and_streamed_agree(client: openai.OpenAI) -> None:
    asked = {"model": "model", "messages": MESSAGES, "temperature": 0, "max_tokens": 24}
    whole = client.chat.completions.create(**asked)
    choice = whole.choices[0]
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert whole.usage.completion_tokens <= 24
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    chunks = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks[:-2])
    assert chunks[-2].choices[0].finish_reason == choice.finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens > 0
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == choice.message.content


def test_the_bytes_of_a_stream(server) -> None:
    body = {"model": "model", "messages": MESSAGES, "max_tokens": 3, "stream": True}
    response = httpx.post(f"{server.url}/v1/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: "))["id"] for event in events[:-2])


def test_the_async_client(server) -> None:
    async def talk() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:

            async def one(i: int) -> str:
                stream = await client.chat.completions.create(
                    model="model",
                    messages=[{"role": "user", "content": f"{i % 2} os.path"}],
                    temperature=1,
                    seed=5,
                    max_tokens=16,
                    stream=True,
                )
                return "".join([c.choices[0].delta.content or "" async for c in stream])

            return await asyncio.gather(*(one(i) for i in range(8)))

    texts = asyncio.run(talk())
    assert len(set(texts)) == 2, "the same seed and prompt gave different texts in one batch"


def test_n_choices_differ_and_repeat_with_their_seed(client: openai.OpenAI) -> None:
    asked = {"model": "model", "messages": MESSAGES, "max_tokens": 8, "n": 3, "seed": 1}
    first, again = (client.chat.completions.create(**asked) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert len(set(texts)) == 3
    assert [choice.message.content for choice in again.choices] == texts
    streamed = dict.fromkeys(range(3), "")
    for chunk in client.chat.completions.create(**asked, stream=True):
        choice = chunk.choices[0]
        streamed[choice.index] += choice.delta.content or ""
    assert list(streamed.values()) == texts


def test_logprobs_and_token_ids(client: openai.OpenAI, server) -> None:
    asked = {"model": "model", "messages": MESSAGES, "temperature": 0, "max_tokens": 5}
    choice = client.chat.completions.create(**asked, logprobs=True, top_logprobs=2).choices[0]
    for entry in choice.logprobs.content:
        assert entry.top_logprobs[0].logprob >= entry.logprob
        assert bytes(entry.bytes).decode() == entry.token
        assert len(entry.top_logprobs) == 2
    extra = {"return_token_ids": True}
    whole = client.chat.completions.create(**asked, extra_body=extra)
    assert server.engine is not None
    template = server.engine.template
    assert whole.prompt_token_ids == template.encode(MESSAGES, generate=True)
    choice = whole.choices[0]
    assert len(choice.token_ids) == len(choice.logprobs.content) == 5
    chunks = list(client.chat.completions.create(**asked, stream=True, extra_body=extra))
    assert chunks[0].prompt_token_ids == whole.prompt_token_ids
    given = [t for c in chunks for t in getattr(c.choices[0], "token_ids", None) or []]
    assert given == choice.token_ids


def test_stop_and_logit_bias(client: openai.OpenAI) -> None:
    asked = {"model": "model", "messages": MESSAGES, "temperature": 0, "max_tokens": 16}
    free = client.chat.completions.create(**asked).choices[0].message.content
    stop = free[4:6]
    cut = client.chat.completions.create(**asked, stop=[stop]).choices[0]
    assert (cut.finish_reason, cut.message.content) == ("stop", free[: free.index(stop)])
    biased = client.chat.completions.create(
        **asked, logit_bias={"50": 100}, extra_body={"return_token_ids": True}
    )
    assert set(biased.choices[0].token_ids) == {50}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "python_docs"}}]
)
def test_tool_calls_are_well_formed(client: openai.OpenAI, choice: object, stream: bool) -> None:
    asked = {
        "model": "model",
        "messages": MESSAGES,
        "tools": TOOLS,
        "tool_choice": choice,
        "temperature": 1,
        "seed": 3,
        "max_tokens": 150,
    }
    if stream:
        with client.chat.completions.stream(
            **{k: v for k, v in asked.items() if k != "stream"}
        ) as events:
            done = events.get_final_completion().choices[0]
    else:
        done = client.chat.completions.create(**asked).choices[0]
    assert done.finish_reason == "tool_calls"
    assert not done.message.content
    (call,) = done.message.tool_calls
    assert call.function.name == "python_docs"
    assert call.id.startswith("call_")
    assert list(json.loads(call.function.arguments)) == ["name"]


def test_a_conversation_with_a_tool_result(client: openai.OpenAI) -> None:
    call = {
        "id": "call_0",
        "type": "function",
        "function": {"name": "python_docs", "arguments": '{"name": "os.path.join"}'},
    }
    messages = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0", "content": "Join path segments."},
    ]
    for tool_choice in ("auto", "none"):
        done = client.chat.completions.create(
            model="model", messages=messages, tools=TOOLS, tool_choice=tool_choice, max_tokens=8
        )
        assert done.choices[0].message.content is not None


@pytest.mark.parametrize(
    "form",
    [
        {"type": "json_object"},
        {
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {"kind": {"enum": ["x", "y"]}},
                    "required": ["kind"],
                    "additionalProperties": False,
                },
            },
        },
    ],
)
def test_response_formats(client: openai.OpenAI, server, form: dict) -> None:
    assert server.engine is not None
    # Marks that end things soon, or a random model goes on for ever.
    ends = [i for mark in ("}", '"') for i in server.engine.tokenizer.encode(mark)]
    done = client.chat.completions.create(
        model="model",
        messages=MESSAGES,
        response_format=form,
        seed=2,
        max_tokens=200,
        logit_bias={str(token): 60 for token in ends},
    ).choices[0]
    value = json.loads(done.message.content)
    if form["type"] == "json_schema":
        assert value["kind"] in ("x", "y")


def test_completions(client: openai.OpenAI) -> None:
    asked = {"model": "model", "temperature": 0, "max_tokens": 8}
    whole = client.completions.create(**asked, prompt=["os.path", "join"], logprobs=2)
    assert [choice.index for choice in whole.choices] == [0, 1]
    logprobs = whole.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset)
    chunks = client.completions.create(**asked, prompt="os.path", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    by_ids = client.completions.create(**asked, prompt=[[40, 41, 42], [50]])
    assert by_ids.usage.prompt_tokens == 4
    assert client.completions.create(**asked, prompt="").choices[0].finish_reason


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 99}, "n"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"7": 300}}, "logit_bias"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_object"}, "tools": TOOLS}, "response_format"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "no"}}},
            "messages",
        ),
    ],
)
def test_bad_values_name_the_field(client: openai.OpenAI, change: dict, param: str) -> None:
    body = {"model": "model", "messages": MESSAGES, **change}
    with pytest.raises(openai.BadRequestError) as refused:
        client.post("/chat/completions", body=body, cast_to=object)
    assert refused.value.type == "invalid_request_error"
    assert str(refused.value.param).startswith(param)


def test_what_does_not_fit_or_parse(client: openai.OpenAI, server) -> None:
    asked = {"model": "model", "messages": MESSAGES}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**asked, max_tokens=5000)
    assert refused.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    assert unknown.value.code == "model_not_found"
    schema = {"name": "x", "schema": {"type": "nonsense"}}
    with pytest.raises(openai.BadRequestError, match="nonsense"):
        client.chat.completions.create(
            **asked, response_format={"type": "json_schema", "json_schema": schema}
        )
    url = f"{server.url}/v1/chat/completions"
    assert httpx.post(url, content=b"{not json").status_code == 400
    for headers in ({}, {"content-length": str(MAX_BODY + 1)}):
        body = b"x" * (MAX_BODY + 1)
        content = iter([body]) if not headers else body
        assert httpx.post(url, content=content, headers=headers).status_code == 413
    assert httpx.get(f"{server.url}/nowhere").status_code == 404
    assert "error" in httpx.get(f"{server.url}/nowhere").json()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_pages(server, stream: bool) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    assert server.engine is not None
    aborted = server.engine.counts.finished["abort"]
    body = {"model": "model", "messages": MESSAGES, "max_tokens": 200, "ignore_eos": True, "n": 4}
    data = json.dumps(body | {"stream": stream}).encode()
    run, slow = server.engine.runner.run, threading.Event()

    def slowly(chunks):
        slow.set()
        time.sleep(0.01)
        return run(chunks)

    server.engine.runner.run = slowly
    try:
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}"
            head += f"\r\nContent-Length: {len(data)}"
            connection.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + data)
            assert slow.wait(5)
        assert server.idle()
    finally:
        server.engine.runner.run = run
    assert server.engine.counts.finished["abort"] == aborted + 4


def test_a_request_that_fails_fails_alone(client: openai.OpenAI, server) -> None:
    assert server.engine is not None
    run = server.engine.runner.run

    def broken(chunks):
        if any(chunk.request.params.seed == 666 for chunk in chunks):
            raise RuntimeError("a kernel broke")
        return run(chunks)

    server.engine.runner.run = broken
    asked = {"model": "model", "messages": MESSAGES, "max_tokens": 4}
    try:
        with pytest.raises(openai.InternalServerError, match="a kernel broke"):
            client.chat.completions.create(**asked, seed=666)
        with pytest.raises(openai.APIError, match="a kernel broke"):
            list(client.chat.completions.create(**asked, seed=666, stream=True))
        assert client.chat.completions.create(**asked, seed=1).choices
    finally:
        server.engine.runner.run = run
    assert server.idle()


def test_health_and_metrics(server) -> None:
    assert httpx.get(f"{server.url}/health").json() == {"status": "ok"}
    text = httpx.get(f"{server.url}/metrics").text
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(samples["lianlu_generated_tokens_total"]) > 0
    assert float(samples["lianlu_kv_pages"]) == 256
    assert float(samples["lianlu_time_to_first_token_seconds_count"]) > 0
    assert 'lianlu_requests_total{reason="length"}' in samples
