import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lianlu.lineage import RECORD, StepRecord
from lianlu.model.config import DecoderConfig
from lianlu.plan.hardware import Hardware, Rates
from lianlu.plan.time import COMPILING, START, earlier_speed, training_flops, training_seconds
from lianlu.progress import METRICS

SHAPE = DecoderConfig.new(2048, layers=4, width=256, heads=4, kv_heads=4, context=512)
MACHINE = Hardware(
    "a processor",
    2,
    1 << 34,
    1 << 34,
    10**11,
    "amx",
    (),
    Path("/jemalloc"),
    None,
    Rates(2e10, 3e11),
)


def finished(runs: Path, name: str, config: DecoderConfig, speeds: list[float]) -> Path:
    place = runs / "steps" / name
    place.mkdir(parents=True)
    record = StepRecord(name, "pretrain", 1, name, {}, {}, {}, "", {}, finished=float(len(name)))
    (place / RECORD).write_text(json.dumps(asdict(record)))
    (place / "config.json").write_text(json.dumps(config.to_hf()))
    rows = [{"step": 0, "valid_loss": 1.0}, *({"tokens_per_second": s} for s in speeds)]
    (place / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def test_flops_are_six_a_weight_and_attention() -> None:
    norms = SHAPE.parameters() - 4 * (4 * 256 * 256 + 3 * 256 * SHAPE.ffn) - 2048 * 256
    assert training_flops(SHAPE, context=0) == 6 * (SHAPE.parameters() - norms)
    assert training_flops(SHAPE) - training_flops(SHAPE, context=0) == 12 * 4 * 256 * 256


def test_time_by_the_machines_rates() -> None:
    short = training_seconds(SHAPE, tokens=0, hardware=MACHINE)
    assert short == START + COMPILING
    half = replace(MACHINE, rates=Rates(2e10, 1.5e11))
    long = [training_seconds(SHAPE, tokens=1e7, hardware=m) - short for m in (MACHINE, half)]
    assert long[1] == pytest.approx(2 * long[0])
    slower = training_seconds(SHAPE, tokens=1e7, hardware=replace(MACHINE, jemalloc=None))
    assert slower > long[0] + short
    assert training_seconds(SHAPE, tokens=1e7, hardware=MACHINE, dtype="float32") > long[0] + short


def test_time_by_an_earlier_training(tmp_path: Path) -> None:
    assert earlier_speed(tmp_path, SHAPE) is None
    finished(tmp_path, "one", SHAPE, [1.0, 1000.0, 3000.0, 2000.0])
    finished(tmp_path, "other", replace(SHAPE, layers=2), [1.0, 9.0, 9.0])
    finished(tmp_path, "without", SHAPE, [])
    assert earlier_speed(tmp_path, SHAPE) == 2000
    told = training_seconds(SHAPE, tokens=1e6, hardware=MACHINE, compiled=False, runs=tmp_path)
    assert told == START + 500


def test_damaged_metrics_are_no_speed(tmp_path: Path) -> None:
    place = finished(tmp_path, "one", SHAPE, [1.0, 2.0])
    (place / METRICS).write_text('{"tokens_per')
    assert earlier_speed(tmp_path, SHAPE) is None
    (place / "config.json").write_text("no JSON")
    assert earlier_speed(tmp_path, SHAPE) is None
