"""An OpenAI server on loopback that answers by rule: calls the tool, then reads its result out."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class FakeServer:
    """`troubles` are responses to give before answering; `asked` counts conversations' turns."""

    def __init__(self) -> None:
        self.troubles: list[Response] = []
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.delay = 0.0
        self.url = ""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/models", self.models),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
            ]
        )

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "fake"}]})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        if self.troubles:
            return self.troubles.pop(0)
        self.asked[body["messages"][-1]["content"]] += 1
        return StreamingResponse(self.events(body["messages"]), media_type="text/event-stream")

    async def events(self, messages: list[dict[str, Any]]) -> AsyncIterator[str]:
        await asyncio.sleep(self.delay)
        # "assistant" has nine letters: what was generated reads the same in the next prompt.
        prompt = [len(message["role"]) for message in messages for _ in (0, 1)]
        yield chunk({"role": "assistant", "content": ""}, prompt_token_ids=prompt)
        if messages[-1]["role"] == "tool":
            answer = messages[-1]["content"].splitlines()[-1]
            for word in (answer[:5], answer[5:]):
                yield chunk({"content": word}, ids=[9])
            yield chunk({}, reason="stop")
        else:
            name = messages[-1]["content"].removeprefix("What is ").removesuffix("?")
            head = {"index": 0, "id": "call_x", "type": "function"}
            text = json.dumps({"name": name})
            yield chunk({}, ids=[9, 9])
            yield chunk(
                {"tool_calls": [head | {"function": {"name": "python_docs", "arguments": ""}}]}
            )
            for part in (text[:6], text[6:]):
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
            yield chunk({}, reason="tool_calls")
        yield "data: [DONE]\n\n"


def chunk(
    delta: dict[str, Any], ids: list[int] | None = None, reason: str | None = None, **more: Any
) -> str:
    logprobs = {"content": [{"token": "", "logprob": -0.25} for _ in ids]} if ids else None
    choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": reason}
    choice |= {"logprobs": logprobs} | ({"token_ids": ids} if ids else {})
    return f"data: {json.dumps({'choices': [choice], **more})}\n\n"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    config = uvicorn.Config(fake.app(), port=0, log_level="error", ws="none", lifespan="off")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    fake.url = f"http://127.0.0.1:{port}"
    yield fake
    running.should_exit = True
    thread.join()


@pytest.fixture
def dialogues(tmp_path: Path) -> Path:
    """Six test questions; the server's answer to the last two does not match."""
    folder = tmp_path / "dialogues"
    folder.mkdir()
    entries, rows = [], []
    for i in range(6):
        name = f"pkg.name{i}"
        summary = f"Gives thing number {i}."
        entries.append({"name": name, "text": f"{name}()\n{summary}"})
        answer = summary if i < 4 else "Something else."
        rows.append(
            {
                "id": f"q{i}",
                "messages": [
                    {"role": "user", "content": f"What is {name}?"},
                    {"role": "assistant", "content": None, "tool_calls": []},
                    {"role": "tool", "tool_call_id": "call_0", "content": "…"},
                    {"role": "assistant", "content": answer},
                ],
                "tools": [{"type": "function", "function": {"name": "python_docs"}}],
                "meta": {"name": name, "doc_id": "d", "kind": "tool"},
            }
        )
    read = {"id": "r", "messages": [], "tools": [], "meta": {"name": "pkg.name0", "kind": "read"}}
    for file, values in (("entries.jsonl", entries), ("test.jsonl", [*rows, read])):
        (folder / file).write_text("".join(json.dumps(value) + "\n" for value in values))
    return folder
