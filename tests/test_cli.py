"""The verbs as a stranger meets them: help with examples, exit codes, errors without tracebacks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

VERBS = [
    "new",
    "plan",
    "run",
    "show",
    "diff",
    "why",
    "trace",
    "chat",
    "serve",
    "agent",
    "evaluate",
    "compress",
    "export",
    "hub",
    "ui",
    "doctor",
]


def lianlu(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lianlu", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        check=False,
    )


def test_help_names_every_verb() -> None:
    told = lianlu("--help")
    assert told.returncode == 0
    for verb in VERBS:
        assert f" {verb} " in told.stdout


@pytest.mark.parametrize("verb", [*VERBS[:-3], "ui", "doctor", "hub get", "hub list"])
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    told = lianlu(*verb.split(), "--help")
    assert told.returncode == 0
    assert f"Example: lianlu {verb}" in told.stdout


def test_help_needs_no_torch() -> None:
    code = "import sys, lianlu.cli; print(*(name in sys.modules for name in ('torch', 'daft')))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "none.yaml"], "no such recipe"),
        (["run", "none.yaml"], "no such recipe"),
        (["show", "none"], "no run 'none'"),
        (["diff", "one", "two"], "no run 'one'"),
        (["why", "none", "0"], "no run 'none'"),
        (["trace", "none", "words"], "no run 'none'"),
        (["chat", "none"], "neither a model directory"),
        (["serve", "./none"], "neither a model directory"),
        (["agent", "none"], "no run 'none'"),
        (["evaluate", "x", "--data", "none"], "no run 'none'"),
        (["compress", "x", "--data", "none", "--out", "y"], "neither a model directory"),
        (["export", "none", "--out", "y"], "neither a model directory"),
        (["export", "none", "--out", "y", "--to", "gguf"], "no format 'gguf'"),
        (["ui", "none"], "no run 'none'"),
    ],
)
def test_a_mistake_ends_with_code_two_and_no_traceback(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    told = lianlu(*arguments, cwd=tmp_path)
    assert told.returncode == 2
    assert said in told.stderr
    assert "Traceback" not in told.stderr


def test_an_unknown_verb_ends_with_code_two() -> None:
    assert lianlu("fly").returncode == 2


def test_new_writes_a_recipe_once(tmp_path: Path) -> None:
    assert lianlu("new", "mine", cwd=tmp_path).returncode == 0
    assert (tmp_path / "mine.yaml").read_text().startswith("# mine")
    again = lianlu("new", "mine", cwd=tmp_path)
    assert again.returncode == 2
    assert "exists" in again.stderr


def test_doctor_speaks_json() -> None:
    told = lianlu("doctor", "--json")
    assert told.returncode in (0, 1)
    assert {"name", "state", "found", "advice"} <= set(json.loads(told.stdout)[0])
