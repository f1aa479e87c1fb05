"""The tool `python_docs` looks names up and does nothing else."""

import json
import sys
from pathlib import Path

import pytest

from lianlu.errors import UserError
from lianlu.tools.python_docs import load_texts, python_docs_tool


def test_it_gives_the_documentation_or_says_there_is_none() -> None:
    tool = python_docs_tool({"os.path.join": "os.path.join(a, *p)\nJoin paths."})
    assert tool.call('{"name": " os.path.join "}').text == "os.path.join(a, *p)\nJoin paths."
    missing = tool.call('{"name": "os.path.jion"}')
    assert (missing.text, missing.failed) == ("no documentation for os.path.jion", False)


def test_it_never_imports_what_it_is_asked_about() -> None:
    sys.modules.pop("antigravity", None)
    python_docs_tool({}).call('{"name": "antigravity"}')
    assert "antigravity" not in sys.modules


def test_the_schema_is_one_short_string_argument() -> None:
    schema = python_docs_tool({}).schema
    assert schema == {
        "type": "function",
        "function": {
            "name": "python_docs",
            "description": "Documentation of a name",
            "parameters": {
                "type": "object",
                "properties": {"name": {"type": "string"}},
                "required": ["name"],
                "additionalProperties": False,
            },
        },
    }


def test_texts_are_read_from_the_dialogues(tmp_path: Path) -> None:
    row = {"name": "a.b", "text": "a.b\nDoes\u2028 b."}
    (tmp_path / "entries.jsonl").write_text(
        json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    assert load_texts(tmp_path) == {"a.b": "a.b\nDoes\u2028 b."}


@pytest.mark.parametrize("content", [None, "{", '{"name": "a"}\n', "[]\n"])
def test_a_wrong_directory_is_the_users_mistake(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "entries.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"entries\.jsonl"):
        load_texts(tmp_path)
