"""The chat in the terminal: it streams, remembers, forgets on demand, and survives a refusal."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from lianlu.serve.background import served
from lianlu.serve.chat import _stream, chat, converse
from lianlu.serve.config import ServeConfig

CONFIG = ServeConfig(port=0, kv_tokens=1024, threads=1)


@pytest.fixture(scope="module")
def url(model_dir: Path) -> Iterator[str]:
    with served(model_dir, CONFIG) as url:
        yield url


def talk(url: str, lines: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    out = io.StringIO()
    converse(url, Console(file=out, width=1000))
    return out.getvalue()


def answer(url: str, *lines: str) -> str:
    messages: list[dict[str, str]] = []
    text = ""
    for line in lines:
        messages.append({"role": "user", "content": line})
        body = {"model": "model", "messages": messages, "temperature": 0}
        response = httpx.post(f"{url}/v1/chat/completions", json=body).json()
        text = response["choices"][0]["message"]["content"]
        messages.append({"role": "assistant", "content": text})
    return text


def test_answers_stream_and_the_conversation_goes_on(url: str, monkeypatch) -> None:
    told = talk(url, "os.path\n\n/clear\nnaïve\n/exit\nnever read\n", monkeypatch)
    for line in ("os.path", "naïve"):
        # Line ends in an answer are the terminal's business.
        assert answer(url, line).split("\n")[0] in told


def test_a_refusal_is_told_and_the_end_of_input_ends_it(url: str, monkeypatch) -> None:
    told = talk(url, "path " * 400, monkeypatch)
    assert "tokens" in told
    assert "/clear begins anew" in told


def test_what_the_model_writes_is_shown_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    piece = "[red]a[/red]\x1b]52;c;eA==\x07\x1b[2J"
    event = {"choices": [{"delta": {"content": piece}}]}
    console = Console(file=io.StringIO(), width=100)
    handler = httpx.MockTransport(
        lambda request: httpx.Response(200, text=f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n")
    )
    with httpx.Client(base_url="http://model", transport=handler) as client:
        answer = _stream(client, {}, console)
    assert answer == piece
    assert console.file.getvalue() == "[red]a[/red]]52;c;eA==[2J\n"


def test_chat_serves_for_itself(model_dir: Path, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("/exit\n"))
    out = io.StringIO()
    chat(model_dir, CONFIG, Console(file=out))
    assert "loading model" in out.getvalue()
