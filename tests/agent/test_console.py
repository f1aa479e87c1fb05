"""The agent in a terminal."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lianlu.agent.config import AgentConfig
from lianlu.agent.console import show, talk
from lianlu.errors import UserError


def screen() -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=False)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_question_shows_its_trace(server: Any, dialogues: Path, tmp_path: Path) -> None:
    console = screen()
    kept = tmp_path / "kept"
    asked = ["What is pkg.name1?", "What is pkg.other?"]
    for _ in range(2):
        states = talk(AgentConfig(), server.url, dialogues, asked, kept, console)
        assert [state.answer for state in states] == [
            "Gives thing number 1.",
            "no documentation for pkg.other",
        ]
    lines = [line.rstrip() for line in written(console).splitlines()][:4]
    assert lines == [
        '   call  python_docs {"name": "pkg.name1"}',
        " result  pkg.name1()",
        "         Gives thing number 1.",
        " answer  Gives thing number 1.",
    ]
    assert sorted(path.name for path in kept.iterdir()) == [f"000{i}.jsonl" for i in range(4)]


def test_questions_are_typed_until_an_empty_line(
    server: Any, dialogues: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["What is pkg.name0?", ""])
    monkeypatch.setattr("builtins.input", lambda: next(typed))
    states = talk(AgentConfig(), server.url, dialogues, console=screen())
    assert [state.answer for state in states] == ["Gives thing number 0."]


def test_text_of_models_and_tools_is_shown_not_obeyed() -> None:
    console = screen()
    show({"type": "answer", "content": "[red]a[/red] \x1b[2J\x07b\u202e"}, console)
    show({"type": "error", "message": "[/nonsense]"}, console)
    show({"type": "assistant", "content": "think", "tool_calls": [1]}, console)
    assert written(console).splitlines() == [
        " answer  [red]a[/red] [2Jb",
        "  error  [/nonsense]",
        "thought  think",
    ]


def test_wrong_dialogues_are_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"entries\.jsonl"):
        talk(AgentConfig(), "http://127.0.0.1:9", tmp_path, ["x"], console=screen())
