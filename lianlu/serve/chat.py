"""Talk to a model in the terminal."""

import json
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from lianlu.printable import printable
from lianlu.serve.background import served
from lianlu.serve.config import ServeConfig

Message = dict[str, Any]
EXIT = "/exit"
CLEAR = "/clear"


def chat(path: Path, config: ServeConfig | None = None, console: Console | None = None) -> None:
    """Serve the model in `path` and talk to it until /exit or the end of input.

    Raises:
        UserError, StepFailed: as `served`.
    """
    console = console or Console()
    console.print(f"loading {path.name} …", style="dim")
    try:
        with served(path, config) as url:
            converse(url, console)
    except KeyboardInterrupt:
        console.print()


def converse(url: str, console: Console, temperature: float = 0.0) -> None:
    """Read lines from standard input and stream the answers; each turn keeps those before it."""
    console.print(f"{CLEAR} forgets the conversation, {EXIT} ends it", style="dim")
    messages: list[Message] = []
    with httpx.Client(base_url=url, timeout=None, trust_env=False) as client:
        model = client.get("/v1/models").raise_for_status().json()["data"][0]["id"]
        while (line := _ask(console)) != EXIT:
            if line == CLEAR:
                messages = []
            elif line:
                turn = {"role": "user", "content": line}
                body = {"model": model, "messages": [*messages, turn], "temperature": temperature}
                answer = _stream(client, body, console)
                if answer is not None:
                    messages += [turn, {"role": "assistant", "content": answer}]


def _ask(console: Console) -> str:
    try:
        return console.input("[bold cyan]> [/]").strip()
    except EOFError:
        return EXIT


def _stream(client: httpx.Client, body: Message, console: Console) -> str | None:
    """Print an answer as it comes and return it; None where the server refused or failed."""
    answer = ""
    with client.stream("POST", "/v1/chat/completions", json=body | {"stream": True}) as response:
        if response.is_error:
            _complain(json.loads(response.read()), console)
            return None
        for line in response.iter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            event = json.loads(line.removeprefix("data: "))
            if "error" in event:
                _complain(event, console)
                return None
            for choice in event["choices"]:
                piece = choice["delta"].get("content") or ""
                answer += piece
                # What a model writes is shown, never obeyed: no markup, no control codes.
                console.print(Text(printable(piece)), end="", soft_wrap=True)
    console.print()
    return answer


def _complain(event: Message, console: Console) -> None:
    console.print(Text(printable(event["error"]["message"]), style="red"))
    console.print(f"{CLEAR} begins anew", style="dim")
