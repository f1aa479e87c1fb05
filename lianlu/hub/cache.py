"""Where downloads lie, and the note beside them that says what they are."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from lianlu.hub.identifier import Identifier
from lianlu.lineage import write_json

SOURCE = "lianlu-source.json"


@dataclass(frozen=True)
class Source:
    """What `lianlu-source.json` holds: no times, so that equal downloads are equal bytes.

    `revision` is the commit where the hub tells it; `files` is `{path: {sha256, bytes}}`.
    """

    id: str
    revision: str
    files: Mapping[str, Mapping[str, str | int]]

    @property
    def size(self) -> int:
        return sum(int(entry["bytes"]) for entry in self.files.values())


def home() -> Path:
    """Folder of what lianlu keeps for a person: `$LIANLU_HOME`, else `~/.cache/lianlu`."""
    chosen = os.environ.get("LIANLU_HOME")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "lianlu"


def place(identifier: Identifier) -> Path:
    """The directory of an id in the cache, by the revision that was asked for."""
    folder = home() / "hub" / identifier.hub / identifier.kind
    return folder / f"{identifier.repository}@{quote(identifier.revision, safe='')}"


def read_source(directory: Path) -> Source | None:
    """The note of a complete download, or None: absent, damaged, or a file is missing or short."""
    try:
        source = Source(**json.loads((directory / SOURCE).read_text(encoding="utf-8")))
        whole = all(
            (directory / path).stat().st_size == entry["bytes"]
            for path, entry in source.files.items()
        )
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None
    return source if whole else None


def write_source(directory: Path, source: Source) -> None:
    write_json(directory / SOURCE, asdict(source))
