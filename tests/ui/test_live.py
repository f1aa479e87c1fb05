import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

from lianlu.ui.live import changes, sse
from lianlu.ui.pages import digests, sections


def parse(event: str) -> tuple[str, dict[str, str]]:
    fields = dict(line.split(": ", 1) for line in event.strip().splitlines())
    assert fields["event"] == "sections"
    return fields["id"], json.loads(fields["data"])


def grow(runs: Path, step: int) -> None:
    (metrics,) = runs.glob("steps/base-*/metrics.jsonl")
    with metrics.open("a") as file:
        file.write(json.dumps({"step": step, "loss": 1.5}) + "\n")


async def following(runs: Path, seen: str) -> AsyncIterator[str]:
    async for event in changes(runs, "demo", "en", seen, poll=0.01):
        yield event


def test_a_reader_gets_what_changed_and_nothing_else(half_done: Path) -> None:
    async def follow() -> None:
        seen = digests(sections(half_done, "demo", "en"))
        events = following(half_done, seen)
        grow(half_done, 300)  # between the page and the first look
        identifier, told = parse(await asyncio.wait_for(anext(events), 5))
        assert set(told) == {"curves"}
        grow(half_done, 305)
        later, told = parse(await asyncio.wait_for(anext(events), 5))
        assert set(told) == {"curves"}
        assert "305" in told["curves"]
        await events.aclose()  # type: ignore[attr-defined]

        # A reader who comes back with the earlier id gets what came after it.
        again = following(half_done, identifier)
        last, told = parse(await asyncio.wait_for(anext(again), 5))
        assert (last, set(told)) == (later, {"curves"})
        await again.aclose()  # type: ignore[attr-defined]

    asyncio.run(follow())


def test_a_stranger_gets_everything(half_done: Path) -> None:
    async def follow() -> None:
        events = following(half_done, "what-is-this")
        _, told = parse(await asyncio.wait_for(anext(events), 5))
        assert "chain" in told
        assert len(told) == 9
        await events.aclose()  # type: ignore[attr-defined]

    asyncio.run(follow())


def test_a_half_written_record_does_not_end_the_stream(half_done: Path) -> None:
    async def follow() -> None:
        path = half_done / "demo" / "run.json"
        whole = path.read_text()
        events = following(half_done, digests(sections(half_done, "demo", "en")))
        path.write_text(whole[:100])
        _, told = parse(await asyncio.wait_for(anext(events), 5))
        assert "damaged" in told["chain"]
        path.write_text(whole)
        _, told = parse(await asyncio.wait_for(anext(events), 5))
        assert "<svg" in told["chain"]
        path.unlink()
        await asyncio.sleep(0.05)
        path.write_text(whole.replace('"running"', '"stopped"', 1))
        assert await asyncio.wait_for(anext(events), 5)
        await events.aclose()  # type: ignore[attr-defined]

    asyncio.run(follow())


def test_the_stream_ends_with_the_server(half_done: Path) -> None:
    async def follow() -> list[str]:
        stream = changes(half_done, "demo", "en", "", closing=lambda: True, poll=0.01)
        return [event async for event in stream]

    assert asyncio.run(follow()) == []


def test_line_breaks_cannot_end_an_event() -> None:
    event = sse({"text": "a\n\nevent: fake\r\u2028"}, "x", "1")
    assert event.count("\n\n") == 1
    assert event.splitlines()[0] == "id: 1"
