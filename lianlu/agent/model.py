"""The model an agent talks to: any OpenAI server, or a script in its place."""

import asyncio
import ipaddress
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from lianlu.agent.trajectory import Event, Message
from lianlu.errors import StepFailed, UserError

ATTEMPTS = 6
MAX_WAIT_SECONDS = 30.0
MAX_REPLY_CHARS = 4_000_000


@dataclass(frozen=True)
class Reply:
    """One model turn. Token ids and log-probs are empty where a server does not give them."""

    message: Message
    finish_reason: str = "stop"
    prompt_token_ids: list[int] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    ttft: float = 0.0
    """Seconds to the first token."""
    seconds: float = 0.0

    def event(self) -> Event:
        return {
            "type": "assistant",
            "content": self.message.get("content"),
            "tool_calls": self.message.get("tool_calls") or [],
            "finish_reason": self.finish_reason,
            "prompt_token_ids": self.prompt_token_ids,
            "token_ids": self.token_ids,
            "logprobs": self.logprobs,
            "ttft": self.ttft,
            "seconds": self.seconds,
        }


class Model(Protocol):
    """Whatever gives the next turn of a conversation."""

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[Message], max_tokens: int
    ) -> Reply: ...


class ScriptedModel:
    """Says prepared replies in order: for tests and for replay."""

    def __init__(self, replies: Iterable[Reply]) -> None:
        self.replies = list(replies)
        self.seen: list[list[Message]] = []

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[Message], max_tokens: int
    ) -> Reply:
        if len(self.seen) == len(self.replies):
            raise StepFailed("the script has no further reply")
        self.seen.append(list(messages))
        return self.replies[len(self.seen) - 1]


class Refused(UserError):
    """The server cannot do this request (too long, say); another one it may do."""


class ChatClient:
    """Chat completions of an OpenAI server, streamed, at temperature 0.

    `url` is the server's address, with or without `/v1`. Waits out 429 and 503 as `Retry-After`
    says; a lost connection or an error of the server is tried again, since asking changes nothing.

    Raises:
        UserError: an address beyond this machine without `allow_remote`, nobody listens there, or
            the server refuses the request (`Refused` where another may be answered).
        StepFailed: the server keeps failing, is too slow or sends no completion.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
        allow_remote: bool = False,
    ) -> None:
        base = url.rstrip("/").removesuffix("/v1")
        if not allow_remote and not is_loopback(urlsplit(base).hostname):
            raise UserError(
                f"{url}: not an address of this machine",
                "conversations leave the machine only when asked to: allow_remote",
            )
        self.url = base
        self.model = model
        self._lock = asyncio.Lock()
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # No proxy from the environment: a loopback address must stay on loopback.
        self._http = httpx.AsyncClient(
            base_url=base, headers=headers, timeout=timeout, trust_env=allow_remote
        )

    async def __aenter__(self) -> "ChatClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[Message], max_tokens: int
    ) -> Reply:
        """The next turn of `messages`; the model chooses whether to call one of `tools`."""
        body: dict[str, Any] = {
            "model": await self._name(),
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "logprobs": True,
            "return_token_ids": True,
        }
        if tools:
            body |= {"tools": list(tools), "tool_choice": "auto"}
        return await self._patiently("POST", "/v1/chat/completions", body, _read_stream)

    async def _name(self) -> str:
        async with self._lock:
            if self.model is None:
                listed = await self._patiently("GET", "/v1/models", None, _read_json)
                try:
                    self.model = listed["data"][0]["id"]
                except (LookupError, TypeError):
                    raise UserError(f"{self.url}: no OpenAI server: it lists no model") from None
        return self.model

    async def _patiently(self, method: str, path: str, body: Any, read: Any) -> Any:
        """One request, tried again while that can help."""
        trouble = ""
        for attempt in range(ATTEMPTS):
            wait = min(0.25 * 2**attempt, MAX_WAIT_SECONDS)
            started = time.perf_counter()
            try:
                async with self._http.stream(method, path, json=body) as response:
                    if response.status_code == 200:
                        return await read(response, started)
                    await response.aread()
                    trouble = f"{response.status_code}: {_told(response)}"
                    if response.status_code == 400:
                        raise Refused(f"the server refuses: {_told(response)}")
                    if response.status_code < 500 and response.status_code != 429:
                        raise UserError(f"{self.url} refuses: {trouble}")
                    wait = _retry_after(response, wait)
            except httpx.ConnectError as error:
                raise UserError(
                    f"{self.url}: no server answers there ({error})",
                    "start one with `lianlu serve MODEL`",
                ) from error
            except httpx.TimeoutException as error:
                raise StepFailed(f"{self.url}: too slow: {type(error).__name__}") from error
            except httpx.TransportError as error:
                trouble = f"the connection broke: {error}"
            if attempt < ATTEMPTS - 1:
                await asyncio.sleep(wait)
        raise StepFailed(f"{self.url}: gave up after {ATTEMPTS} attempts; {trouble}")


def is_loopback(host: str | None) -> bool:
    """Whether a host name means this machine; names other than localhost are not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _retry_after(response: httpx.Response, otherwise: float) -> float:
    try:
        asked = float(response.headers["retry-after"])
    except (KeyError, ValueError):  # absent, or a date
        return otherwise
    return min(max(asked, 0.0), MAX_WAIT_SECONDS)


def _told(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return response.text[:500]


async def _read_json(response: httpx.Response, _: float) -> Any:
    try:
        return json.loads(await response.aread())
    except ValueError as error:
        raise StepFailed(f"the server sent no JSON: {error}") from error


async def _read_stream(response: httpx.Response, started: float) -> Reply:
    """Put the chunks of a completion together; its times count from `started`, the sending."""
    first = 0.0
    parts = _Parts()
    async for chunk in _chunks(response):
        if parts.take(chunk) and not first:
            first = time.perf_counter()
    ended = time.perf_counter()
    return parts.reply(round((first or ended) - started, 6), round(ended - started, 6))


async def _chunks(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    read = 0
    async for line in response.aiter_lines():
        read += len(line)
        if read > MAX_REPLY_CHARS:
            raise StepFailed(f"the server sent more than {MAX_REPLY_CHARS} characters")
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        try:
            chunk = json.loads(data)
        except ValueError as error:
            raise StepFailed(f"the server sent a broken event: {error}") from error
        if not isinstance(chunk, dict):
            raise StepFailed("the server sent an event that is no object")
        if "error" in chunk:
            raise StepFailed(f"the server failed: {chunk['error']}")
        yield chunk
    raise httpx.RemoteProtocolError("the stream ended before [DONE]")


def _whole(text: str) -> str:
    """JSON can spell half a surrogate pair, which no file and no request takes."""
    return text.encode("utf-8", "replace").decode()


class _Parts:
    """What has arrived of a streamed reply."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.finish_reason = ""
        self.prompt_token_ids: list[int] = []
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []

    def take(self, chunk: dict[str, Any]) -> bool:
        """Add a chunk; whether it brought anything the model said."""
        try:
            return self._take(chunk)
        except (LookupError, TypeError, AttributeError) as error:
            raise StepFailed(
                f"the server sent a chunk that is none of OpenAI's: {error}"
            ) from error

    def _take(self, chunk: dict[str, Any]) -> bool:
        self.prompt_token_ids += chunk.get("prompt_token_ids") or []
        if not chunk.get("choices"):
            return False
        choice = chunk["choices"][0]
        delta = choice.get("delta") or {}
        token_ids = choice.get("token_ids") or []
        self.token_ids += token_ids
        self.logprobs += [
            token["logprob"] for token in (choice.get("logprobs") or {}).get("content") or []
        ]
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        if delta.get("content"):
            self.content.append(delta["content"])
        for part in delta.get("tool_calls") or []:
            self._add_call(part)
        return bool(token_ids or delta.get("content") or delta.get("tool_calls"))

    def _add_call(self, part: dict[str, Any]) -> None:
        fresh = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        call = self.calls.setdefault(part["index"], fresh)
        call["id"] = part.get("id") or call["id"]
        function = part.get("function") or {}
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""

    def reply(self, ttft: float, seconds: float) -> Reply:
        calls = [self.calls[index] for index in sorted(self.calls)]
        for call in calls:
            call["function"] = {key: _whole(text) for key, text in call["function"].items()}
        content = _whole("".join(self.content))
        message: Message = {"role": "assistant", "content": content or None}
        if calls:
            message["tool_calls"] = calls
        else:
            message["content"] = content
        return Reply(
            message,
            self.finish_reason,
            self.prompt_token_ids,
            self.token_ids,
            self.logprobs,
            ttft,
            seconds,
        )
