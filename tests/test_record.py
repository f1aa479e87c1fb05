"""run.json: what a run did, readable while it goes on and after it ended badly."""

import json
from pathlib import Path

import pytest

from lianlu.errors import StepFailed, UserError
from lianlu.lineage import StepRecord, StepStore, digest_of, digest_outputs
from lianlu.recipe import LoadedRecipe, load_recipe
from lianlu.record import Decision, RunRecord, Watchers, read_run, unreached
from lianlu.steps import Artefact, Node

ORDER = ("corpus", "tokens", "base")


def load(folder: Path, name: str = "r") -> LoadedRecipe:
    path = folder / "recipe.yaml"
    path.write_text("lianlu: 1\nname: r\nsources: [{type: python-docs}]\n")
    return load_recipe(path, [f"runs={folder / 'runs'}", f"name={name}"])


def node(name: str, **inputs: Artefact) -> Node:
    return Node(name, "refine", {}, {"n": name}, inputs, predicted={"memory_bytes": 5.0})


def finish(store: StepStore, made: Node) -> StepRecord:
    part = store.part(made.name, made.key())
    part.mkdir(parents=True)
    (part / "out").write_text(made.name)
    outputs = digest_outputs(part)
    record = StepRecord(
        made.name, made.link, 1, made.key(), {}, {}, outputs, digest_of(outputs), {},
        seconds=2.0, peak_rss_bytes=7,
    )  # fmt: skip
    store.commit(record)
    return record


def test_a_run_is_recorded_step_by_step(tmp_path: Path) -> None:
    record = RunRecord(load(tmp_path), ORDER)
    corpus = node("corpus")
    record.started(corpus, corpus.key(), "new")
    assert read_run(tmp_path / "runs", "r").state["nodes"][0]["state"] == "running"
    record.done(corpus, finish(record.store, corpus))
    record.decided(Decision("Tune?", "no", "because"))
    tokens = node("tokens", corpus=Artefact("corpus", "d", Path("x")))
    record.kept(tokens, finish(record.store, tokens))
    record.finish("done", "tokens")
    run = read_run(tmp_path / "runs", "r")
    states = {entry["name"]: entry["state"] for entry in run.state["nodes"]}
    assert states == {"corpus": "ran", "tokens": "kept", "base": "skipped"}
    first = run.state["nodes"][0]
    assert first["predicted"] == {"memory_bytes": 5.0}
    assert first["measured"]["peak_rss_bytes"] == 7
    assert run.state["nodes"][1]["inputs"] == ["corpus"]
    assert run.state["decisions"] == [{"question": "Tune?", "answer": "no", "reason": "because"}]
    assert run.step("corpus").name == first["dir"]


def test_a_run_that_failed_says_where(tmp_path: Path) -> None:
    record = RunRecord(load(tmp_path), ORDER)
    record.started(node("corpus"), "k" * 64, "new")
    record.failed(node("corpus"), "the disk is full")
    record.finish("failed")
    state = read_run(tmp_path / "runs", "r").state
    assert state["state"] == "failed"
    assert state["nodes"][0]["error"] == "the disk is full"


def test_what_a_run_lacks_is_said(tmp_path: Path) -> None:
    RunRecord(load(tmp_path), ORDER).finish("stopped")
    run = read_run(tmp_path / "runs", "r")
    with pytest.raises(UserError, match="no finished step 'corpus'"):
        run.step("corpus")
    with pytest.raises(UserError, match="made no model yet"):
        run.model()
    with pytest.raises(UserError, match="runs there: r"):
        read_run(tmp_path / "runs", "q")


def test_a_damaged_record_is_said(tmp_path: Path) -> None:
    RunRecord(load(tmp_path), ORDER)
    path = tmp_path / "runs" / "r" / "run.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(UserError, match="damaged"):
        read_run(tmp_path / "runs", "r")


def test_the_resolved_recipe_lies_beside(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    RunRecord(loaded, ORDER)
    assert load_recipe(tmp_path / "runs" / "r" / "recipe.yaml").recipe == loaded.recipe


def test_watchers_all_hear(tmp_path: Path) -> None:
    first, second = (RunRecord(load(tmp_path, name), ORDER) for name in ("r", "s"))
    both = Watchers(first, second)
    both.started(node("corpus"), "k" * 64, "new")
    both.event(node("corpus"), {"say": "x"})
    both.failed(node("corpus"), "broken")
    for record in (first, second):
        assert record.nodes["corpus"]["state"] == "failed"
    assert json.loads((tmp_path / "runs" / "r" / "run.json").read_text())["state"] == "running"


def test_what_no_run_reaches_can_go(tmp_path: Path) -> None:
    record = RunRecord(load(tmp_path), ORDER)
    record.started(node("corpus"), node("corpus").key(), "new")
    record.done(node("corpus"), finish(record.store, node("corpus")))
    finish(record.store, node("tokens"))
    runs = tmp_path / "runs"
    with pytest.raises(UserError, match="is going on"):
        unreached(runs, delete=True)
    record.finish("stopped")
    [(dead, size)] = unreached(runs, delete=False)
    assert dead.name.startswith("tokens-")
    assert size == len("tokens")
    assert dead.exists()
    unreached(runs, delete=True)
    assert not dead.exists()
    assert read_run(runs, "r").step("corpus").exists()


def test_one_name_runs_once_at_a_time(tmp_path: Path) -> None:
    record = RunRecord(load(tmp_path), ORDER)
    with pytest.raises(UserError, match="name=other"):
        RunRecord(load(tmp_path), ORDER)
    record.finish("stopped")
    RunRecord(load(tmp_path), ORDER).finish("stopped")


def test_steps_of_earlier_runs_are_remembered_until_one_is_done(tmp_path: Path) -> None:
    first = RunRecord(load(tmp_path), ORDER)
    first.started(node("corpus"), node("corpus").key(), "new")
    first.done(node("corpus"), finish(first.store, node("corpus")))
    first.finish("done")
    second = RunRecord(load(tmp_path), ORDER)
    run = read_run(tmp_path / "runs", "r")
    assert list(run.earlier) == ["corpus"]
    assert run.steps == {}
    assert unreached(tmp_path / "runs", delete=False) == []
    second.finish("done")
    assert read_run(tmp_path / "runs", "r").earlier == {}


def test_bytes_that_changed_in_place_are_found(tmp_path: Path) -> None:
    record = RunRecord(load(tmp_path), ORDER)
    record.started(node("corpus"), node("corpus").key(), "new")
    record.done(node("corpus"), finish(record.store, node("corpus")))
    record.finish("done")
    run = read_run(tmp_path / "runs", "r")
    run.require_intact()
    (run.step("corpus") / "out").write_text("CORPUS")
    with pytest.raises(StepFailed, match="out has other bytes"):
        run.require_intact()
