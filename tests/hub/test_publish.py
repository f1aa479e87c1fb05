"""An export holds what other tools read and a card of its origin, and no damaged bytes."""

from dataclasses import asdict
from pathlib import Path

import pytest

from lianlu.errors import StepFailed, UserError
from lianlu.hub.publish import export_hf
from lianlu.lineage import StepRecord, digest_of, digest_outputs, write_json


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "adapter").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors", "report.json"):
        (folder / name).write_text(f"the {name}")
    outputs = digest_outputs(folder)
    inputs = {"tokens": {"key": "k", "digest": "d" * 64}}
    record = StepRecord(
        "base", "pretrain", 1, "k", {}, inputs, outputs, digest_of(outputs), {"parameters": 7}
    )
    write_json(folder / "step.json", asdict(record))
    return folder


def test_an_export_with_its_card(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = list(export_hf(model, out))
    names = {path.name for path in out.iterdir()}
    assert names == {"config.json", "tokenizer.json", "model.safetensors", "README.md"}
    assert (out / "config.json").read_text() == "the config.json"
    card = (out / "README.md").read_text()
    assert "| tokens | `dddddddddddddddd` |" in card
    assert "| parameters | 7 |" in card
    assert len(said) == 4


def test_a_full_directory_is_left_alone(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not empty"):
        list(export_hf(model, tmp_path))


def test_damaged_weights_are_not_exported(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").write_text("THE model.safetensors")
    with pytest.raises(StepFailed, match="damaged"):
        list(export_hf(model, tmp_path / "out"))


def test_a_directory_without_a_record(model: Path, tmp_path: Path) -> None:
    (model / "step.json").unlink()
    list(export_hf(model, tmp_path / "out"))
    assert "without a step record" in (tmp_path / "out" / "README.md").read_text()
