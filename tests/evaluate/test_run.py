"""The whole step on a tiny model, and what happens when parts of its input are missing."""

import shutil
from pathlib import Path

import pytest

from lianlu.errors import UserError
from lianlu.evaluate.config import EvaluateConfig
from lianlu.evaluate.run import evaluate
from lianlu.evaluate.store import read_items, read_scores
from lianlu.job import Job
from lianlu.lineage import digest_outputs
from lianlu.progress import Event, Progress

CONFIG = EvaluateConfig(documents=5, questions=4)


def job(workplace: Path, out: Path, *names: str, said: list[Event] | None = None) -> Job:
    out.mkdir(exist_ok=True)
    listen = None if said is None else said.append
    return Job(out, {name: workplace / name for name in names}, Progress(listen=listen))


def test_scores_have_n_an_interval_and_a_contamination(workplace: Path, tmp_path: Path) -> None:
    facts = evaluate(CONFIG, job(workplace, tmp_path, "model", "tokens", "dialogues"))
    assert list(facts["scores"]) == ["bits_per_byte", "tool_call", "answer"]
    for score in facts["scores"].values():
        assert score["low"] <= score["value"] <= score["high"]
        assert score["contamination"] == 0
    assert [score["n"] for score in facts["scores"].values()] == [5, 4, 4]
    # Random weights know nothing: about one token of the vocabulary's size a token.
    assert 2 < facts["scores"]["bits_per_byte"]["value"] < 10
    assert facts["left_out"] == {}
    assert [score.name for score in read_scores(tmp_path)] == list(facts["scores"])
    assert [len(items) for items in read_items(tmp_path).values()] == [5, 4, 4]


def test_twice_the_same_bytes(workplace: Path, tmp_path: Path) -> None:
    names = ("model", "tokens", "dialogues")
    first = evaluate(CONFIG, job(workplace, tmp_path / "a", *names))
    again = evaluate(CONFIG, job(workplace, tmp_path / "a", *names))
    other = evaluate(CONFIG, job(workplace, tmp_path / "b", *names))
    assert first == again == other
    assert digest_outputs(tmp_path / "a") == digest_outputs(tmp_path / "b")


def test_what_is_missing_is_left_out_and_said(workplace: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    facts = evaluate(CONFIG, job(workplace, tmp_path, "model", "tokens", said=said))
    assert list(facts["scores"]) == ["bits_per_byte"]
    assert facts["left_out"] == dict.fromkeys(("tool_call", "answer"), "no dialogues were given")
    assert any("tool_call is left out" in event.get("say", "") for event in said)


def test_a_model_without_a_template_has_its_bits_measured(workplace: Path, tmp_path: Path) -> None:
    shutil.copytree(workplace / "model", tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink()
    inputs = {name: workplace / name for name in ("tokens", "dialogues")}
    out = tmp_path / "out"
    out.mkdir()
    facts = evaluate(CONFIG, Job(out, {"model": tmp_path / "model", **inputs}))
    assert facts["left_out"]["answer"] == "the model has no chat template"


def test_fewer_than_asked_is_said(workplace: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    evaluate(EvaluateConfig(), job(workplace, tmp_path, "model", "tokens", said=said))
    assert any(e.get("say") == "6 held-out documents, 200 were asked for" for e in said)


def test_nothing_to_score_on(workplace: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to score the model on"):
        evaluate(CONFIG, job(workplace, tmp_path, "model"))


def test_no_model(workplace: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs a model"):
        evaluate(CONFIG, job(workplace, tmp_path, "tokens"))
    with pytest.raises(UserError, match=r"config\.json"):
        evaluate(CONFIG, Job(tmp_path, {"model": tmp_path / "nowhere"}))


def test_a_broken_row_is_named(workplace: Path, tmp_path: Path) -> None:
    (tmp_path / "dialogues").mkdir()
    good = (workplace / "dialogues" / "test.jsonl").read_text(encoding="utf-8").splitlines()[0]
    (tmp_path / "dialogues" / "test.jsonl").write_text(f"{good}\n{{half", encoding="utf-8")
    inputs = {"model": workplace / "model", "dialogues": tmp_path / "dialogues"}
    with pytest.raises(UserError, match=r"test\.jsonl:2: not a dialogue"):
        evaluate(CONFIG, Job(tmp_path, inputs))
