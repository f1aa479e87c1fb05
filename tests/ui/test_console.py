"""The console as a person meets it: in headless Chromium."""

import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from lianlu.ui.app import create_app
from lianlu.ui.report import write_report

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or ""
QUIET = [
    "--no-sandbox",
    "--headless",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (Debian: chromium)"),
]


async def ask(messages: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    yield {"type": "tool_call", "id": "0.0", "name": "python_docs", "arguments": '{"name": "x"}'}
    yield {"type": "tool_result", "id": "0.0", "content": "x: <img src=y onerror=z>"}
    yield {"type": "delta", "content": "It is "}
    yield {"type": "delta", "content": f"answer {len(messages)}."}


class Watched:
    """A page, and what went wrong on it: console errors, requests that left loopback."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.wrong: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda m: m.type in ("error", "warning") and self.wrong.append(m.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


# Asked for after `served`, so that the page is gone before its server ends.
@pytest.fixture
def watched(browser: Any) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.set_default_timeout(10_000)
    yield Watched(context.new_page())
    context.close()


def test_a_finished_run_is_drawn_without_error_and_without_the_network(
    runs: Path, served: Callable[[Starlette], str], watched: Watched
) -> None:
    url, page = served(create_app(runs)), watched.page
    page.goto(f"{url}/runs/demo")
    page.wait_for_selector("#score-plot .main-svg")
    assert page.locator("#loss-base .scatterlayer .trace").count() == 2
    assert page.locator("#score-plot .errorbar").count() == 9
    assert page.locator("svg.graph g.node").count() == 11
    assert page.evaluate("window.hacked") is None
    assert watched.wrong == []
    assert all(asked.startswith((url, "data:")) for asked in watched.asked)


def test_a_rule_shows_what_it_dropped(
    runs: Path, served: Callable[[Starlette], str], watched: Watched
) -> None:
    page = watched.page
    page.goto(f"{served(create_app(runs))}/runs/demo")
    sample = page.get_by_text("Deprecated since 3.9.")
    assert not sample.is_visible()
    rule = page.locator("summary", has_text="min_chars")
    rule.focus()
    page.keyboard.press("Enter")  # works without a mouse
    sample.wait_for()
    assert "<script>window.hacked=1</script>" in page.locator("#corpus").inner_text()
    assert watched.wrong == []


def test_the_page_follows_the_files_and_keeps_what_was_opened(
    half_done: Path, served: Callable[[Starlette], str], watched: Watched
) -> None:
    page = watched.page
    page.goto(f"{served(create_app(half_done))}/runs/demo")
    page.wait_for_selector("#loss-base .main-svg")
    page.locator("#nodes > summary").click()
    (metrics,) = half_done.glob("steps/base-*/metrics.jsonl")
    with metrics.open("a") as file:
        file.write(json.dumps({"step": 250, "loss": 1.2345}) + "\n")
    page.locator("#curves").get_by_text("1.234").wait_for()
    record = half_done / "demo" / "run.json"
    record.write_text(record.read_text().replace('"running"', '"stopped"', 1))
    page.locator("#summary .state.stopped").wait_for()
    assert page.locator("#nodes").get_attribute("open") is not None
    assert page.evaluate("document.getElementById('loss-base').data[0].x.at(-1)") == 250
    assert watched.wrong == []


def test_the_chat_shows_each_call_as_it_comes_and_survives_a_reload(
    runs: Path, served: Callable[[Starlette], str], watched: Watched
) -> None:
    page = watched.page
    page.goto(f"{served(create_app(runs, ask=ask))}/runs/demo")
    page.fill("#say", "What is x?")
    page.keyboard.press("Enter")
    page.locator(".talk .answer .body", has_text="It is answer 1.").wait_for()
    assert page.locator(".talk .tool_call").inner_text().split() == [
        "calls",
        "python_docs",
        '{"name":',
        '"x"}',
    ]
    assert "<img src=y onerror=z>" in page.locator(".talk .tool_result").inner_text()
    page.reload()
    page.locator(".talk .answer", has_text="It is answer 1.").wait_for()
    page.fill("#say", "And y?")
    page.locator("#chat .primary").click()
    page.locator(".talk .answer .body", has_text="It is answer 3.").wait_for()
    assert watched.wrong == []


def test_a_phone_needs_no_sideways_scrolling(
    browser: Any, runs: Path, served: Callable[[Starlette], str]
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN")
    page = context.new_page()
    page.goto(f"{served(create_app(runs, ask=ask))}/runs/demo")
    page.wait_for_selector("#score-plot .main-svg")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert "语料" in page.locator("#corpus h2").inner_text()
    context.close()


def test_the_report_is_the_same_page_without_a_server(
    watched: Watched, runs: Path, tmp_path: Path
) -> None:
    write_report(runs, "demo", tmp_path / "report.html")
    page = watched.page
    page.goto((tmp_path / "report.html").as_uri())
    page.wait_for_selector("#score-plot .main-svg")
    page.locator("summary", has_text="min_chars").click()
    page.get_by_text("Deprecated since 3.9.").wait_for()
    assert watched.wrong == []
    assert all(asked.startswith(("file:", "data:")) for asked in watched.asked)
