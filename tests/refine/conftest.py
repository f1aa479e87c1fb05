"""Settings and documents that several tests of this room use."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# The first call of a numba kernel compiles it: no deadline holds then.
settings.register_profile("kernels", deadline=None)
settings.load_profile("kernels")

PARAGRAPH = (
    "The {0} stands in the middle of the workshop, and the people that work there have to keep it"
    " warm with care. Every morning somebody brings {0} wood and writes down how much of it was"
    " used, so that the ledger of the {0} balances in the evening. Nothing that goes in is lost:"
    " what burns gives heat, what does not is put aside with a note of the reason.\n"
)
THINGS = ("furnace", "kiln", "forge", "oven", "hearth", "smelter")


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder with every fate in it: six pages to keep, duplicates, broken and poor documents."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for i, thing in enumerate(THINGS):
        text = (
            PARAGRAPH.format(thing)
            + f"It is number {i} of the {thing} family: "
            + " ".join(f"{thing}{k}" for k in range(40))
        )
        (folder / f"{thing}.txt").write_text(text)
    kiln = (folder / "kiln.txt").read_text()
    (folder / "kiln-again.txt").write_text(kiln)
    (folder / "kiln-nearly.txt").write_text(kiln + " Ask Ada: ada@lovelace.org.")
    (folder / "menu.txt").write_text("the home of the news\n" * 40)
    (folder / "short.txt").write_text("Too short.")
    (folder / "broken.html").write_bytes(b"<p>caf\xff</p>")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\0")
    (folder / "empty.md").write_bytes(b"")
    (folder / "huge.txt").write_bytes(b"huge " * 300_000)
    (folder / "tool.py").write_text("def warm(wood: int) -> int:\n    return wood * 2\n" * 2)
    rows = [{"text": PARAGRAPH.format(thing) * 1, "title": thing} for thing in ("stove", "grate")]
    lines = [json.dumps(rows[0]), "{not json", json.dumps(rows[1])]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def finishes() -> Callable[[str], None]:
    """Runs Python code in a child and fails when it is not done in 20 s.

    For a megabyte of hostile input: what looks at each character once needs a second, what looks
    at each pair of characters needs an hour.
    """

    def run(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=20)

    return run
