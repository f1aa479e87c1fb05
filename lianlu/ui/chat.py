"""The chat box's way to a model: an agent that is handed in, or the served model's OpenAI API."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, Protocol

import httpx

from lianlu.errors import StepFailed, UserError
from lianlu.ui.files import mapping, text
from lianlu.ui.trace import read_event

Message = dict[str, Any]
Event = dict[str, Any]

MAX_MESSAGES = 64
MAX_CHARS = 32_000
# What an agent, a server or the way to it may fail with; anything else is a bug of ours.
FAILURES = (UserError, StepFailed, httpx.HTTPError, OSError, LookupError, ValueError, TypeError)
ROLES = frozenset({"user", "assistant"})


class Ask(Protocol):
    """Answers a dialogue with a stream of events.

    Events are those of a trajectory (`tool_call` with `id`, `name`, `arguments`; `tool_result` with
    `id`, `content`; `answer` with `content`; `error` with `message`), and `{"type": "delta",
    "content": str}`, which adds to the answer on screen; an `answer` replaces it.
    """

    def __call__(self, messages: list[Message]) -> AsyncIterator[Event]: ...


def read_messages(body: bytes) -> list[Message]:
    """The messages of a request. Raises UserError saying what is wrong with it."""
    try:
        messages = mapping(json.loads(body)).get("messages")
    except (ValueError, RecursionError):
        raise UserError("the request is no JSON") from None
    if not isinstance(messages, list) or not 0 < len(messages) <= MAX_MESSAGES:
        raise UserError(f"messages: a list of 1 to {MAX_MESSAGES} is needed")
    read = []
    for message in messages:
        role, content = mapping(message).get("role"), mapping(message).get("content")
        if role not in ROLES or not isinstance(content, str):
            raise UserError("a message has a role (user or assistant) and a text as content")
        read.append({"role": role, "content": text(content, MAX_CHARS)})
    if sum(len(message["content"]) for message in read) > MAX_CHARS:
        raise UserError(f"the dialogue is longer than {MAX_CHARS} characters", "begin a new one")
    return read


def ask_model(url: str) -> Ask:
    """An `Ask` that passes a dialogue on to an OpenAI server at `url` and streams its answer."""

    async def ask(messages: list[Message]) -> AsyncIterator[Event]:
        timeout = httpx.Timeout(10, read=300)
        # A proxy of the environment must not see what is said on loopback.
        async with httpx.AsyncClient(base_url=url, timeout=timeout, trust_env=False) as client:
            models = (await client.get("/v1/models")).raise_for_status().json()
            body = {"model": models["data"][0]["id"], "messages": messages, "stream": True}
            async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                answer.raise_for_status()
                async for line in answer.aiter_lines():
                    if delta := _delta(line):
                        yield {"type": "delta", "content": delta}

    return ask


async def answer(ask: Ask, messages: list[Message]) -> AsyncIterator[Event]:
    """The events of `ask` as the page shows them; a failure becomes an event that says so."""
    calls: dict[str, str] = {}
    try:
        async for event in ask(messages):
            shown = read_event(event, calls)
            if shown is not None:
                yield asdict(shown)
    except FAILURES as error:
        yield {"type": "error", "name": "", "text": text(str(error) or type(error).__name__, 500)}


def _delta(line: str) -> str:
    """The text that one line of an OpenAI stream adds."""
    if not line.startswith("data: ") or line == "data: [DONE]":
        return ""
    chunk = json.loads(line.removeprefix("data: "))
    choices = chunk.get("choices") or [{}]
    return str(mapping(choices[0].get("delta")).get("content") or "")
