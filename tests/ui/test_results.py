import json
from pathlib import Path

import pytest

from lianlu.ui.reader import RunState, read_run
from lianlu.ui.results import compression_of, corpus_of, curves_of, scores_of, trial_of


@pytest.fixture
def run(runs: Path) -> RunState:
    return read_run(runs, "demo")


def test_the_funnel_and_its_samples(run: RunState) -> None:
    corpus = corpus_of(run)
    assert corpus is not None
    assert [stage.name for stage in corpus.stages] == ["read", "length", "rules", "exact", "near"]
    rule = corpus.stages[1].rules[0]
    assert (rule.name, rule.dropped, rule.threshold) == ("min_chars", 418, "64")
    assert (rule.samples[0].uri, rule.samples[0].value) == ("pydoc:mod0", "0.41")
    assert corpus.sources["python-docs"]["kept"] == 3911
    quarantined = corpus.stages[0].rules[0]
    assert (quarantined.name, quarantined.samples[0].value) == ("quarantined", "not UTF-8")


def test_curves_leave_out_damaged_rows(run: RunState, runs: Path) -> None:
    (metrics,) = runs.glob("steps/base-*/metrics.jsonl")
    with metrics.open("a") as file:
        file.write('{"step": 250, "loss": NaN}\n{"step": 255, "loss": "2"}\n{"step": 260, "lo')
    base, model = curves_of(run)
    assert (base.node, model.node) == ("base", "model")
    assert base.train[-1][0] == 245
    assert [step for step, _ in base.valid] == [0, 50, 100, 150, 200]
    assert base.last["tokens_per_second"] == 9200


def test_scores_by_node(run: RunState) -> None:
    scores = scores_of(run)
    assert list(scores) == ["before", "after", "after-small"]
    tool_call = scores["after"]["tool_call"]
    assert (tool_call.value, tool_call.low, tool_call.n) == (0.93, pytest.approx(0.89), 200)
    assert (scores["after"]["bits_per_byte"].better, tool_call.better) == ("lower", "higher")


def test_compression_in_pairs(run: RunState) -> None:
    told = compression_of(run)
    assert told is not None
    assert told.accepted
    assert (told.sizes, told.bits) == ((17_301_504, 5_242_880), (2.113, 2.138))
    assert told.speeds == (212.0, 301.5)
    assert told.worst[0] == ("model.layers.0.mlp.down_proj", 0.0083)


def test_the_trial_with_its_verdicts(run: RunState) -> None:
    trial = trial_of(run)
    assert trial is not None
    assert (trial.n, trial.right, trial.interval) == (3, 2, (0.208, 0.939))
    assert trial.latency == {"ttft_p50": 0.021, "ttft_p99": 0.064, "tpot_p50": 0.0034}
    assert [trajectory.right for trajectory in trial.trajectories] == [True, True, False]
    kinds = [event.type for event in trial.trajectories[0].events]
    assert kinds == ["user", "tool_call", "tool_result", "answer"]


def test_a_trial_that_goes_on_has_trajectories_without_verdicts(run: RunState, runs: Path) -> None:
    (path,) = runs.glob("steps/trial-*/trial.json")
    path.unlink()
    trial = trial_of(run)
    assert trial is not None
    assert trial.n is None
    assert [trajectory.right for trajectory in trial.trajectories] == [None] * 3


def test_a_trajectory_that_is_a_link_is_left_out(run: RunState, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_text(json.dumps({"type": "user", "content": "secret"}) + "\n")
    (folder,) = runs.glob("steps/trial-*/trajectories")
    (folder / "q9.jsonl").symlink_to(tmp_path / "secret.jsonl")
    trial = trial_of(run)
    assert trial is not None
    assert len(trial.trajectories) == 3
