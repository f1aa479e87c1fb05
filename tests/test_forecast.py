"""Predictions: from the formulas, from earlier runs, else typical."""

from pathlib import Path

import pytest

import lianlu.forecast as forecast_module
from lianlu.errors import UserError
from lianlu.forecast import Forecast
from lianlu.lineage import StepRecord, StepStore, digest_of, digest_outputs
from lianlu.recipe import load_recipe
from lianlu.steps import Artefact, Node
from lianlu.train import precision

PENDING = Artefact("base", "", None)


def forecast(folder: Path, *overrides: str) -> Forecast:
    path = folder / "recipe.yaml"
    path.write_text("lianlu: 1\nname: f\nsources: [{type: python-docs, limit_mb: 20}]\n")
    return Forecast(load_recipe(path, [f"runs={folder / 'runs'}", *overrides]))


def pretrain(made: Forecast) -> Node:
    return Node("base", "pretrain", made.recipe.pretrain.model_dump(mode="json"), {})


def test_a_training_is_predicted_by_formula(tmp_path: Path) -> None:
    made = forecast(tmp_path)
    told = made.add(pretrain(made)).predicted
    assert told["parameters"] == made.new_shape().parameters()
    assert told["tokens"] == made.recipe.pretrain.tokens
    assert told["seconds"] > 10
    assert told["disk_bytes"] > 4 * told["parameters"]
    wider = forecast(tmp_path, "model.width=512")
    assert wider.add(pretrain(wider)).predicted["memory_bytes"] > told["memory_bytes"]
    pieces = forecast(tmp_path, "pretrain.micro_tokens=1024")
    assert pieces.add(pretrain(pieces)).predicted["memory_bytes"] < told["memory_bytes"]


def test_a_tuning_is_as_long_as_its_dialogues(tmp_path: Path) -> None:
    made = forecast(tmp_path)
    assert made.recipe.tune is not None
    config = made.recipe.tune.model_dump(mode="json")
    (tmp_path / "train.jsonl").write_bytes(b"x" * 650_000)
    inputs = {"model": PENDING, "dialogues": Artefact("dialogues", "d", tmp_path)}
    told = made.add(Node("model", "tune", config, {"method": "lora"}, inputs)).predicted
    assert told["tokens"] == 100_000 * config["epochs"]
    unknown = {"model": PENDING, "dialogues": PENDING}
    told = made.add(Node("model", "tune", config, {"method": "full"}, unknown)).predicted
    assert told["tokens"] > 0


def test_compiling_is_worth_as_many_steps_as_training_says() -> None:
    assert forecast_module.WORTH_COMPILING == precision.WORTH_COMPILING


def test_data_steps_are_typical_then_measured(tmp_path: Path) -> None:
    node = Node("corpus", "refine", {}, {})
    small, large = forecast(tmp_path), forecast(tmp_path, "sources=[{type: python-docs}]")
    assert small.add(node).predicted["seconds"] < large.add(node).predicted["seconds"]
    store = StepStore(tmp_path / "runs")
    part = store.part("corpus", "k" * 64)
    part.mkdir(parents=True)
    (part / "out").write_text("x" * 10)
    outputs = digest_outputs(part)
    store.commit(
        StepRecord(
            "corpus",
            "refine",
            1,
            "k" * 64,
            {},
            {},
            outputs,
            digest_of(outputs),
            {},
            seconds=7.0,
            peak_rss_bytes=9,
        )
    )
    told = forecast(tmp_path).add(node).predicted
    assert told == {"memory_bytes": 9, "seconds": 7.0, "disk_bytes": 10}


def test_serving_is_smaller_when_compressed(tmp_path: Path) -> None:
    made = forecast(tmp_path)
    plain = made.add(Node("trial", "agent", {}, {}, {"model": Artefact("model", "", None)}))
    small = made.add(Node("trial", "agent", {}, {}, {"model": Artefact("small", "", None)}))
    assert small.predicted["memory_bytes"] < plain.predicted["memory_bytes"]


def test_the_method_is_what_the_recipe_says_or_what_fits(tmp_path: Path) -> None:
    assert forecast(tmp_path, "tune.method=lora").method(PENDING) == ("lora", "the recipe says so")
    method, reason = forecast(tmp_path).method(PENDING)
    assert method == "full"
    assert "GB" in reason
    huge = forecast(
        tmp_path, "model.width=65536", "model.layers=200", "model.heads=64", "model.kv_heads=64"
    )
    with pytest.raises(UserError, match="does not fit"):
        huge.method(PENDING)


def test_the_size_of_a_folder_counts(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "a.txt").write_bytes(b"x" * 1234)
    made = forecast(tmp_path, "sources=[{type: path, path: papers}]")
    assert made.raw_bytes == 1234
