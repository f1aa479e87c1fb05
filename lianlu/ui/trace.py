"""An agent's events as a person reads them: in a trajectory on disk, and live in the chat box."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lianlu.ui.files import Row, mapping, text

TEXT_KEYS = ("content", "text", "message", "arguments")


@dataclass(frozen=True)
class TraceEvent:
    """One event; `name` is that of the tool that is called or answers."""

    type: str
    name: str
    text: str


def read_event(row: Row, calls: dict[str, str]) -> TraceEvent | None:
    """A row of a trajectory; None for one that shows nothing.

    `calls` remembers the tools' names by call id: a result has only the id.
    """
    kind, identifier = text(row.get("type"), 20), text(row.get("id"), 64)
    name = text(mapping(row).get("name") or calls.get(identifier), 64)
    if kind == "tool_call":
        calls[identifier] = name
    # A turn without calls is repeated by the answer that follows; one with calls may think aloud.
    if kind == "assistant" and not row.get("tool_calls"):
        return None
    body = next((text(row[key]) for key in TEXT_KEYS if row.get(key)), "")
    if kind == "assistant" and not body:
        return None
    return TraceEvent(kind, name, body)


def read_events(rows: Iterable[Row]) -> Iterator[TraceEvent]:
    calls: dict[str, str] = {}
    for row in rows:
        event = read_event(row, calls)
        if event is not None:
            yield event
