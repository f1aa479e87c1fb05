"""What the cache holds."""

from typing import Any

from lianlu.hub.cache import SOURCE, home, read_source


def catalogue() -> list[dict[str, Any]]:
    """One row a complete download, by id: `{id, revision, files, bytes, path}`."""
    rows = []
    for note in (home() / "hub").glob(f"*/*/**/{SOURCE}"):
        source = read_source(note.parent)
        if source is not None:
            rows.append(
                {
                    "id": source.id,
                    "revision": source.revision,
                    "files": len(source.files),
                    "bytes": source.size,
                    "path": str(note.parent),
                }
            )
    return sorted(rows, key=lambda row: str(row["id"]))
