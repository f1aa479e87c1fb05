"""A recipe written out of the sections themselves: every field, its default, what it means."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lianlu.errors import UserError
from lianlu.recipe import NAME, VERSION, Recipe
from lianlu.section import Section

SECTIONS = (
    "refine",
    "tokenizer",
    "tokens",
    "model",
    "pretrain",
    "dialogues",
    "tune",
    "evaluate",
    "compress",
    "serve",
    "agent",
)


def draft_recipe(name: str, documents: Path | None, base: str | None) -> str:
    """The YAML of a new recipe. Relative paths are meant from the recipe's folder.

    Raises UserError for a name that no run can have.
    """
    source: dict[str, Any] = {"type": "python-docs"}
    if documents is not None:
        source = {"type": "path", "path": str(documents)}
    if not re.fullmatch(NAME, name):
        raise UserError(
            f"{name!r} cannot be a run's name",
            "letters, digits, '.', '_' and '-', 64 at most, beginning with a letter or digit",
        )
    values = Recipe.model_validate(
        {"lianlu": VERSION, "name": name, "sources": [source], "model": {"base": base}}
    )
    lines = [
        f"# {name}: leave out what you do not change; `null` drops a part.",
        f"lianlu: {VERSION}",
        f"name: {name}",
        "sources:",
        f"  - {_flow(source)}",
        "# goal: {score: tool_call, at_least: 0.8}   # met before tuning, tuning is left out",
    ]
    for section in SECTIONS:
        lines += ["", *_draft_section(section, getattr(values, section))]
    return "\n".join(lines) + "\n"


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of recipes, for editors."""
    return Recipe.model_json_schema()


def _draft_section(name: str, section: Section) -> Iterator[str]:
    yield f"{name}:"
    for field, info in type(section).model_fields.items():
        yield from textwrap.wrap(
            info.description or "", 96, initial_indent="  # ", subsequent_indent="  # "
        )
        yield f"  {field}: {_flow(section.model_dump(mode='json')[field])}"


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
