"""The whole step on a tiny model, and the mistakes that can be made with it."""

import shutil
from pathlib import Path

import pytest

from lianlu.compress.config import CompressConfig
from lianlu.compress.run import compress, training_documents
from lianlu.errors import UserError
from lianlu.job import Job
from lianlu.kernels.int4 import Int4Linear
from lianlu.lineage import digest_outputs
from lianlu.model.checkpoint import load_model


def job(workplace: Path, out: Path, **inputs: Path) -> Job:
    out.mkdir(exist_ok=True)
    return Job(out, {"model": workplace / "model", "tokens": workplace / "tokens", **inputs})


def test_compress_writes_a_model_and_says_what_it_cost(workplace: Path, tmp_path: Path) -> None:
    config = CompressConfig(documents=20, calibration=10)
    facts = compress(config, job(workplace, tmp_path / "a"))
    small = load_model(tmp_path / "a")
    assert sum(isinstance(module, Int4Linear) for module in small.modules()) == 14
    assert facts["bytes"]["after"] < 0.6 * facts["bytes"]["before"]
    assert facts["documents"] == 20
    assert facts["accepted"] == (facts["loss"] <= facts["allowed"])
    errors = [facts["layer_errors"][name] for name in facts["layers"]]
    assert len(errors) == 14
    assert errors == sorted(errors, reverse=True)
    assert 0 < errors[0] < 0.1


def test_the_same_input_gives_the_same_bytes(workplace: Path, tmp_path: Path) -> None:
    config = CompressConfig(documents=5, calibration=5)
    first = compress(config, job(workplace, tmp_path / "a"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "config.json").write_text("half a file of an earlier attempt")
    assert compress(config, job(workplace, tmp_path / "b")) == first
    assert digest_outputs(tmp_path / "a") == digest_outputs(tmp_path / "b")


def test_a_loss_beyond_the_allowed_is_not_accepted(workplace: Path, tmp_path: Path) -> None:
    config = CompressConfig(method="rtn", group=64, documents=20, calibration=2, max_loss=0)
    facts = compress(config, job(workplace, tmp_path / "a"))
    assert facts["loss"] > 0
    assert facts["accepted"] is False


def test_layers_that_are_left_stay_linear(workplace: Path, tmp_path: Path) -> None:
    left = "model.layers.1.mlp.down_proj"
    config = CompressConfig(leave=[left], documents=2, calibration=2)
    facts = compress(config, job(workplace, tmp_path / "a"))
    assert left not in facts["layers"]
    assert not isinstance(load_model(tmp_path / "a").get_submodule(left), Int4Linear)


def test_an_unknown_layer_is_named(workplace: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no layer is called 'mlp\.down'"):
        compress(CompressConfig(leave=["mlp.down"]), job(workplace, tmp_path / "a"))


def test_a_compressed_model_is_not_compressed_again(workplace: Path, tmp_path: Path) -> None:
    config = CompressConfig(documents=2, calibration=2)
    compress(config, job(workplace, tmp_path / "a"))
    with pytest.raises(UserError, match="compressed already"):
        compress(config, job(workplace, tmp_path / "b", model=tmp_path / "a"))


def test_no_layer_fits_the_group(workplace: Path, tmp_path: Path) -> None:
    config = CompressConfig(group=128, leave=[f"model.layers.{i}.mlp.down_proj" for i in range(2)])
    with pytest.raises(UserError, match="multiple of 128"):
        compress(config, job(workplace, tmp_path / "a"))


@pytest.mark.parametrize("missing", ["train.bin", "train.offsets.npy", "tokens.json"])
def test_half_a_tokens_directory(workplace: Path, tmp_path: Path, missing: str) -> None:
    shutil.copytree(workplace / "tokens", tmp_path / "tokens")
    (tmp_path / "tokens" / missing).unlink()
    with pytest.raises(UserError, match="not a tokens directory"):
        compress(CompressConfig(), job(workplace, tmp_path / "a", tokens=tmp_path / "tokens"))


def test_no_held_out_documents(workplace: Path, tmp_path: Path) -> None:
    shutil.copytree(workplace / "tokens", tmp_path / "tokens")
    (tmp_path / "tokens" / "valid.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(UserError, match="no held-out documents"):
        compress(CompressConfig(), job(workplace, tmp_path / "a", tokens=tmp_path / "tokens"))


def test_training_documents_are_spread_evenly(workplace: Path) -> None:
    assert len(training_documents(workplace / "tokens", 7)) == 7
    assert len(training_documents(workplace / "tokens", 1000)) == 100
