import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lianlu.errors import UserError
from lianlu.ui.pages import sections
from lianlu.ui.reader import fingerprint, read_run, run_names


def edit(runs: Path, **fields: Any) -> None:
    path = runs / "demo" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_finished_run(runs: Path) -> None:
    run = read_run(runs, "demo")
    assert (run.state, run.final, len(run.nodes), len(run.decisions)) == ("done", "small", 11, 6)
    base = run.node("base")
    assert base is not None
    assert base.directory is not None
    assert (base.state, base.seconds, base.inputs) == ("ran", 142.0, ("tokens", "tokenizer"))
    assert run.work_seconds == pytest.approx(sum(n.seconds or 0 for n in run.nodes) - 54.3)


def test_a_running_step_is_read_in_its_part(half_done: Path) -> None:
    run = read_run(half_done, "demo")
    base, trial = run.node("base"), run.node("trial")
    assert base is not None
    assert base.directory is not None
    assert trial is not None
    assert base.directory.suffix == ".part"
    assert (base.tasks[0].done, base.tasks[0].total, base.said) == (120, 245, "4.2 M parameters")
    assert (trial.state, trial.inputs, trial.directory) == ("waiting", ("small", "dialogues"), None)


def test_a_killed_run_is_told_apart_from_one_that_works(half_done: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    before = fingerprint(half_done, "demo")
    edit(half_done, pid=gone.pid)
    run = read_run(half_done, "demo")
    assert run.state == "interrupted"
    assert [node.state for node in run.nodes if node.name == "base"] == ["failed"]
    assert fingerprint(half_done, "demo") != before


def test_a_damaged_record_is_a_run_without_nodes(runs: Path) -> None:
    (runs / "demo" / "run.json").write_text('{"name": "demo", "nodes": [{"na')
    run = read_run(runs, "demo")
    assert (run.state, run.nodes) == ("unknown", [])


@pytest.mark.parametrize("name", ["nope", "..", "steps", "demo/../demo", "", "\x00", "é", ".git"])
def test_no_such_run_names_those_there_are(runs: Path, name: str) -> None:
    with pytest.raises(UserError, match="no run") as caught:
        read_run(runs, name)
    assert "demo" in (caught.value.hint or "")


def test_a_node_cannot_point_outside_the_steps(runs: Path) -> None:
    edit(runs, nodes=[{"name": "corpus", "state": "ran", "dir": "../demo"}])
    assert read_run(runs, "demo").nodes[0].directory is None


def test_runs_are_listed_newest_first(runs: Path) -> None:
    (runs / "later").mkdir()
    (runs / "later" / "run.json").write_text('{"started": 2e9}')
    assert run_names(runs) == ["later", "demo"]


def test_the_fingerprint_follows_the_files(half_done: Path) -> None:
    before = fingerprint(half_done, "demo")
    assert fingerprint(half_done, "demo") == before
    (metrics,) = (half_done / "steps").glob("base-*/metrics.jsonl")
    with metrics.open("a") as file:
        file.write('{"step": 999, "loss": 1}\n')
    assert fingerprint(half_done, "demo") != before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FILES = ("step.json", "card.json", "scores.json", "trial.json")
KEYS = {
    "step.json": ("facts", "seconds", "peak_rss_bytes"),
    "card.json": ("counts", "stages", "rules", "sources", "languages", "duplicates", "errors"),
    "scores.json": ("scores",),
    "trial.json": ("n", "right", "interval", "latency", "questions"),
}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_stands_in_a_file_the_page_is_rendered(runs: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(FILES))
    path = data.draw(st.sampled_from(sorted(runs.glob(f"steps/*/{file}"))))
    whole = path.read_bytes()
    content = json.loads(whole)
    if isinstance(content, dict) and data.draw(st.booleans()):
        content[data.draw(st.sampled_from(KEYS[file]))] = data.draw(JSON)
    else:
        content = data.draw(JSON)
    try:
        path.write_text(json.dumps(content))
        assert "<h2>" in sections(runs, "demo", "en")["scores"]
    finally:
        path.write_bytes(whole)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(("nodes", "decisions", "state", "pid", "final")), value=JSON)
def test_whatever_stands_in_the_record_the_page_is_rendered(
    runs: Path, field: str, value: Any
) -> None:
    path = runs / "demo" / "run.json"
    whole = path.read_bytes()
    try:
        edit(runs, **{field: value})
        assert "demo" in sections(runs, "demo", "zh")["summary"]
        edit(runs, nodes=[{"name": "base", "state": "running", "dir": value, "inputs": value}])
        assert "base" in sections(runs, "demo", "zh")["chain"]
    finally:
        path.write_bytes(whole)
