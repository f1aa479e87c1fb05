"""The application flow: which nodes are walked, and which decisions are written down."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from lianlu.chain import ORDER, run, walk
from lianlu.errors import UserError
from lianlu.forecast import Forecast
from lianlu.recipe import LoadedRecipe, load_recipe
from lianlu.record import Decision
from lianlu.steps import Artefact, Node
from lianlu.terminal import Terminal


def load(folder: Path, *overrides: str) -> LoadedRecipe:
    if not (folder / "papers").exists():
        (folder / "papers").mkdir()
        (folder / "papers" / "a.txt").write_text("A page.\n")
    path = folder / "recipe.yaml"
    path.write_text(
        "lianlu: 1\nname: flow\nsources: [{type: path, path: papers}]\n"
        "goal: {score: tool_call, at_least: 0.8}\n"
    )
    return load_recipe(path, [f"runs={folder / 'runs'}", *overrides])


class Full:
    """A forecast that says full training fits."""

    def method(self, base: Artefact) -> tuple[str, str]:
        return "full", "it fits"


def scores(value: float) -> dict[str, Any]:
    return {
        "scores": {"tool_call": {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 100}}
    }


def follow(
    loaded: LoadedRecipe, facts: Mapping[str, Mapping[str, Any]], pending: bool = False
) -> tuple[list[Node], dict[str, Decision], str]:
    """Walk the flow with nodes that cost nothing and tell `facts`."""
    nodes: list[Node] = []
    decisions: list[Decision] = []

    def do(node: Node) -> Artefact:
        nodes.append(node)
        path = None if pending else Path("made") / node.name
        return Artefact(node.name, f"digest of {node.name}", path, facts.get(node.name, {}))

    final = walk(loaded, cast(Forecast, Full()), do, decisions.append)
    return nodes, {decision.question: decision for decision in decisions}, final.node


FACTS = {
    "before": scores(0.1),
    "after": scores(0.9),
    "after-small": scores(0.9),
    "small": {"loss": 0.01, "allowed": 0.03, "accepted": True, "layers": []},
}


def test_the_whole_flow(tmp_path: Path) -> None:
    nodes, decisions, final = follow(load(tmp_path), FACTS)
    assert tuple(node.name for node in nodes) == ORDER
    assert final == "small"
    assert decisions["Good enough as it is?"].answer == "no"
    assert decisions["Full training, or an adapter?"].answer == "full"
    assert decisions["Good enough after tuning?"].answer == "yes"
    assert "rise by 1.00%, 3.00% are allowed" in decisions["Compress?"].reason
    assert decisions["Serve which model?"].reason.endswith("the goal is met")


def test_a_model_that_is_good_enough_is_not_tuned(tmp_path: Path) -> None:
    nodes, decisions, _ = follow(load(tmp_path), {**FACTS, "before": scores(0.85)})
    assert "model" not in [node.name for node in nodes]
    assert decisions["Tune?"].reason == "the goal is met without it"


def test_a_compression_that_loses_too_much_is_refused(tmp_path: Path) -> None:
    lossy = {"loss": 0.2, "allowed": 0.03, "accepted": False, "layers": ["layer 3", "layer 1"]}
    nodes, decisions, final = follow(load(tmp_path), {**FACTS, "small": lossy})
    assert final == "model"
    assert "after-small" not in [node.name for node in nodes]
    assert "leave out: layer 3, layer 1" in decisions["Compress?"].reason
    assert nodes[-1].inputs["model"].node == "model"


def test_a_compression_that_loses_the_goal_is_not_served(tmp_path: Path) -> None:
    nodes, decisions, final = follow(load(tmp_path), {**FACTS, "after-small": scores(0.3)})
    assert final == "model"
    assert decisions["Good enough after compressing?"].answer == "no"
    assert decisions["Keep it compressed?"].answer == "no"
    assert decisions["Serve which model?"].reason.endswith("the goal is met")
    assert nodes[-1].inputs["model"].node == "model"


def test_parts_can_be_left_out(tmp_path: Path) -> None:
    loaded = load(tmp_path, "agent=null", "compress=null", "tune=null")
    nodes, decisions, final = follow(loaded, FACTS)
    assert [node.name for node in nodes][-1] == "before"
    assert final == "base"
    assert decisions["Compress?"].answer == "no"


def test_a_missed_goal_is_said(tmp_path: Path) -> None:
    low = {"after": scores(0.3), "after-small": scores(0.3)}
    _, decisions, _ = follow(load(tmp_path), {**FACTS, **low})
    assert decisions["Serve which model?"].reason.endswith("the goal is not met")


def test_a_score_that_nobody_measured(tmp_path: Path) -> None:
    loaded = load(tmp_path, "goal.score=charm")
    _, decisions, _ = follow(loaded, FACTS)
    assert "charm was not measured" in decisions["Good enough as it is?"].reason


def test_a_plan_walks_on_without_scores(tmp_path: Path) -> None:
    nodes, decisions, _ = follow(load(tmp_path), {}, pending=True)
    assert tuple(node.name for node in nodes) == ORDER
    assert decisions["Good enough as it is?"].answer == "decided later"


def test_keys_hold_no_paths_and_follow_content(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    first, _, _ = follow(load(here), FACTS)
    second, _, _ = follow(load(there), FACTS)
    assert [node.key() for node in first] == [node.key() for node in second]
    moved = load(there, "sources=[{type: path, path: ../here/papers, include: ['*.txt']}]")
    assert first[0].key() == follow(moved, FACTS)[0][0].key()
    (there / "papers" / "a.txt").write_text("Another page.\n")
    third, _, _ = follow(load(there), FACTS)
    assert first[0].key() != third[0].key()


def test_run_fields_leave_the_keys_alone(tmp_path: Path) -> None:
    first, _, _ = follow(load(tmp_path), FACTS)
    loaded = load(tmp_path, "pretrain.threads=1", "refine.workers=2", "serve.port=9000")
    second, _, _ = follow(loaded, FACTS)
    assert [node.key() for node in first] == [node.key() for node in second]


@pytest.mark.parametrize("which", ["until", "start"])
def test_an_unknown_node_is_a_mistake(tmp_path: Path, which: str) -> None:
    watcher = Terminal(Console(quiet=True))
    with pytest.raises(UserError, match="no node 'tokens2'"):
        run(load(tmp_path), watcher, **{which: "tokens2"})
