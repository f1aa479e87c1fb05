"""Reading files that another process is still writing: bounded, and tolerant of what is half there.

What is read here is hostile data (corpus text, model output): `text`, `number`, `mapping` and
`items` turn whatever JSON held into what a page can show.
"""

import json
import math
from pathlib import Path
from typing import Any

JSON_LIMIT = 16 * 2**20
TAIL_LIMIT = 4 * 2**20
TEXT_LIMIT = 4000

Row = dict[str, Any]


def read_json(path: Path, limit: int = JSON_LIMIT) -> Any:
    """The JSON value of a file; None where it is missing, over `limit` bytes, or not whole."""
    try:
        if not path.is_file() or path.stat().st_size > limit:  # a FIFO would block the reader
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def tail_rows(path: Path, limit: int = TAIL_LIMIT) -> list[Row]:
    """The JSON objects in the whole lines of a file's last `limit` bytes; damaged ones left out."""
    try:
        if not path.is_file():
            return []
        with path.open("rb") as file:
            start = max(0, path.stat().st_size - limit)
            file.seek(start)
            block = file.read(limit)
    except OSError:
        return []
    lines = block[: block.rfind(b"\n") + 1].splitlines()
    rows = []
    for line in lines[1 if start else 0 :]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def inside(root: Path, name: Any) -> Path | None:
    """The directory `root/name`; None unless `name` is a plain name and it lies in `root`."""
    if not isinstance(name, str) or not name or name.startswith(".") or len(name) > 128:
        return None
    if any(mark in name for mark in ("/", "\\", "\0")):
        return None
    try:
        path = (root / name).resolve()
        return path if path.parent == root.resolve() and path.is_dir() else None
    except (OSError, ValueError):
        return None


def text(value: Any, limit: int = TEXT_LIMIT) -> str:
    """Text that can be encoded and does not flood a page; other JSON values as JSON."""
    if value is None:
        return ""
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    cut = value[:limit] + "…" if len(value) > limit else value
    return cut.encode("utf-8", "replace").decode("utf-8")  # JSON may hold lone surrogates


def number(value: Any) -> float | None:
    """A finite number, else None: NaN is no JSON for a browser."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def mapping(value: Any) -> Row:
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Row]:
    """The objects of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
