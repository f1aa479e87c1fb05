import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from lianlu.ui.app import create_app

HOME = "http://127.0.0.1:7860"
QUESTION = {"messages": [{"role": "user", "content": "hi"}]}


async def ask(messages: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    yield {"type": "answer", "content": f"you said {messages[-1]['content']}"}


@pytest.fixture
def client(runs: Path) -> Iterator[TestClient]:
    with TestClient(create_app(runs, ask=ask), base_url=HOME, follow_redirects=False) as client:
        yield client


def test_pages_forbid_what_they_do_not_need(client: TestClient) -> None:
    page = client.get("/runs/demo")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in page.headers


def test_no_page_names_another_host(client: TestClient) -> None:
    for path in ("/", "/runs/demo", "/static/console.js", "/static/chat.js", "/static/style.css"):
        body = client.get(path).text
        assert "http://" not in body
        assert "https://" not in body


def test_plotly_comes_from_its_wheel(client: TestClient) -> None:
    script = client.get("/static/plotly.min.js")
    assert script.status_code == 200
    assert b"plotly.js v" in script.content[:200]
    assert script.headers["etag"]


@pytest.mark.parametrize(
    "name", ["nope", "%3Cscript%3E", "..%2f..%2fetc", "%00", "steps", "a" * 300]
)
def test_an_unknown_run_is_404_and_names_those_there_are(client: TestClient, name: str) -> None:
    for path in (f"/runs/{name}", f"/runs/{name}/events"):
        page = client.get(path)
        assert page.status_code == 404
        assert "<script>" not in page.text
        assert page.headers["content-security-policy"]
    assert "demo" in client.get("/runs/nope").text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/runs/../../etc/passwd",
        "/runs/demo/../../x",
    ],
)
def test_paths_that_lead_outside_are_refused(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "create_app" not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example:1", "[", "", "0.0.0.0"],
)
def test_names_that_are_not_loopback_are_refused(client: TestClient, host: str) -> None:
    assert client.get("/runs/demo", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1", "[::1]:7860", "LOCALHOST"])
def test_loopback_names_are_let_in(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 200


def test_the_chat_streams_the_agents_events(client: TestClient) -> None:
    answer = client.post("/runs/demo/chat", json=QUESTION, headers={"origin": HOME})
    assert answer.headers["content-type"].startswith("text/event-stream")
    event = json.loads(answer.text.split("data: ")[1])
    assert event == {"type": "answer", "name": "", "text": "you said hi"}


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_pages_of_other_sites_cannot_post(client: TestClient, origin: str) -> None:
    answer = client.post("/runs/demo/chat", json=QUESTION, headers={"origin": origin})
    assert answer.status_code == 403


def test_what_is_no_dialogue_is_refused(client: TestClient) -> None:
    url = "/runs/demo/chat"
    assert client.post(url, json={"messages": []}).status_code == 400
    form = client.post(url, content=b"{}", headers={"content-type": "text/plain"})
    assert "application/json" in form.json()["error"]
    huge = client.post(url, content=b" " * 300_000, headers={"content-type": "application/json"})
    assert "too large" in huge.json()["error"]
    assert client.get(url).status_code == 405


def test_without_a_model_the_chat_says_so(runs: Path) -> None:
    client = TestClient(create_app(runs), base_url=HOME)
    assert client.post("/runs/demo/chat", json=QUESTION).status_code == 409
    assert "lianlu serve demo" in client.get("/runs/demo").text


def test_the_model_of_one_run_is_not_offered_on_another(runs: Path) -> None:
    client = TestClient(create_app(runs, run="other", ask=ask), base_url=HOME)
    assert client.post("/runs/demo/chat", json=QUESTION).status_code == 409


def test_the_language_follows_the_reader(client: TestClient) -> None:
    assert 'lang="zh"' in client.get("/runs/demo", headers={"accept-language": "zh-CN"}).text[:200]
    assert 'lang="en"' in client.get("/?lang=en", headers={"accept-language": "zh"}).text[:200]


def test_events_go_on_after_the_last_event_id(
    half_done: Path, served: Callable[[Starlette], str]
) -> None:
    url = served(create_app(half_done)) + "/runs/demo/events"
    first = next_event(url, {})
    identifier = first.split("\n")[0].removeprefix("id: ")
    assert '"chain"' in first
    (metrics,) = half_done.glob("steps/base-*/metrics.jsonl")
    with metrics.open("a") as file:
        file.write('{"step": 300, "loss": 1}\n')
    second = next_event(url, {"last-event-id": identifier})
    assert '"curves"' in second
    assert '"chain"' not in second


def next_event(url: str, headers: dict[str, str]) -> str:
    with httpx.stream("GET", url, headers=headers, timeout=10, trust_env=False) as answer:
        block = ""
        for part in answer.iter_text():
            block += part
            if "\n\n" in block:
                break
    return block
