"""The tool `python_docs`: the documentation of a name, from the corpus and nowhere else."""

import json
from collections.abc import Mapping
from pathlib import Path

from lianlu.errors import UserError
from lianlu.tools.tool import Tool

ENTRIES = "entries.jsonl"


def python_docs_tool(texts: Mapping[str, str]) -> Tool:
    """The tool over `{name: documentation}`. It looks names up; it never imports them."""

    def python_docs(name: str) -> str:
        """Documentation of a name"""
        return texts.get(name.strip()) or undocumented(name)

    return Tool.of(python_docs)


def undocumented(name: str) -> str:
    """What the tool answers when it does not know `name`."""
    return f"no documentation for {name}"


def load_texts(dialogues: Path) -> dict[str, str]:
    """`{name: text}` of every entry in a directory of dialogues.

    Raises UserError when it holds no readable `entries.jsonl`.
    """
    path = dialogues / ENTRIES
    try:
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        return {row["name"]: row["text"] for row in rows}
    except FileNotFoundError:
        raise UserError(f"{dialogues}: no {ENTRIES}", "give a directory of dialogues") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a file of entries: {error}") from error
