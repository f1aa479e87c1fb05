"""What changed in a run, as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from lianlu.errors import UserError
from lianlu.ui.pages import digests, sections
from lianlu.ui.reader import fingerprint

POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0


def sse(data: Any, event: str = "message", identifier: str = "") -> str:
    """One server-sent event; JSON has no raw line breaks, so one data line is enough."""
    head = f"id: {identifier}\n" if identifier else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


async def changes(
    runs: Path,
    name: str,
    language: str,
    seen: str,
    closing: Callable[[], bool] = lambda: False,
    poll: float = POLL_SECONDS,
) -> AsyncIterator[str]:
    """Sections of a run's page whenever they change, until the server is `closing`.

    `seen` is the id of the last event (or of the page): what it says was seen is not sent again,
    so a reader who was away gets exactly what it missed, and the server remembers no one.
    """
    stamp, quiet = None, 0.0
    while not closing():
        now = _stamp(runs, name)
        if now is not None and now != stamp:
            stamp, quiet = now, 0.0
            rendered = await asyncio.to_thread(_sections, runs, name, language)
            fresh = digests(rendered)
            changed = _changed(rendered, seen, fresh)
            if changed:
                seen = fresh
                yield sse(changed, "sections", fresh)
        elif quiet >= HEARTBEAT_SECONDS:
            quiet = 0.0
            yield ": still here\n\n"  # finds out that a reader has gone
        quiet += poll
        await asyncio.sleep(poll)


def _stamp(runs: Path, name: str) -> tuple[Any, ...] | None:
    """None where the run is gone: it may come back, so the page stays as it is."""
    try:
        return fingerprint(runs, name)
    except UserError:
        return None


def _sections(runs: Path, name: str, language: str) -> dict[str, str]:
    try:
        return sections(runs, name, language)
    except UserError:
        return {}


def _changed(rendered: dict[str, str], seen: str, fresh: str) -> dict[str, str]:
    old = seen.split("-")
    if len(old) != len(rendered):  # an id of another version of the page
        return rendered
    marks = zip(rendered, old, fresh.split("-"), strict=True)
    return {name: rendered[name] for name, before, after in marks if before != after}
