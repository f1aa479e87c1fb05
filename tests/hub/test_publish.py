import json
from dataclasses import asdict
from pathlib import Path

import pytest

from lianlu.errors import StepFailed, UserError
from lianlu.hub.publish import export_hf
from lianlu.lineage import RECORD, StepRecord, digest_outputs


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "metrics.jsonl").write_text("")
    return folder


def record(model: Path) -> None:
    step = StepRecord(
        name="model",
        link="tune",
        version=1,
        key="0" * 64,
        identity={},
        inputs={"dialogues": {"key": "", "digest": "d" * 64}},
        outputs=digest_outputs(model),
        digest="a" * 64,
        facts={"steps": 12},
    )
    (model / RECORD).write_text(json.dumps(asdict(step)))


def test_a_card_tells_the_origin(model: Path, tmp_path: Path) -> None:
    record(model)
    told = list(export_hf(model, tmp_path / "out"))
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }
    assert len(told) == 3
    card = (tmp_path / "out/README.md").read_text()
    assert "| dialogues | `dddddddddddddddd` |" in card
    assert "| steps | 12 |" in card


def test_other_bytes_than_recorded_are_not_exported(model: Path, tmp_path: Path) -> None:
    record(model)
    (model / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(StepFailed, match="damaged"):
        list(export_hf(model, tmp_path / "out"))


def test_a_directory_without_a_record(model: Path, tmp_path: Path) -> None:
    list(export_hf(model, tmp_path / "out"))
    assert "without a step record" in (tmp_path / "out/README.md").read_text()


def test_nothing_is_written_over(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not empty"):
        list(export_hf(model, model))
