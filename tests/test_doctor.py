import importlib.metadata
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lianlu import doctor
from lianlu.plan.hardware import Gpu, Hardware, Rates

MACHINE = Hardware(
    processor="a processor",
    cores=2,
    memory=24 << 30,
    memory_available=20 << 30,
    disk_free=50 << 30,
    bfloat16="amx",
    gpus=(),
    jemalloc=None,
    compiler=None,
    rates=Rates(copy=2e10, gemm=1.5e11),
)


def test_every_check_speaks_in_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIANLU_HOME", str(tmp_path))
    checks = doctor.diagnose(tmp_path / "runs")
    assert len({check.name for check in checks}) == len(checks) >= 12
    for check in checks:
        assert check.state in ("ok", "warn", "fail")
        assert check.found
        assert check.advice or check.state == "ok"


def test_torch_is_not_imported() -> None:
    code = "import sys, lianlu.doctor as d; d.diagnose(); print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_an_old_python_fails() -> None:
    assert doctor.python((3, 10, 12)).state == "fail"
    assert doctor.python((3, 11, 0)).state == "ok"


@pytest.mark.parametrize(
    ("version", "state"),
    [("2.10.0", "fail"), ("2.11.0+cu130", "ok"), ("2.13.0", "ok"), ("2.15.0", "warn")]
    + [("3.0.0", "warn"), ("main", "warn")],
)
def test_the_range_of_torch(monkeypatch: pytest.MonkeyPatch, version: str, state: str) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    assert doctor.torch().state == state


def test_no_torch_is_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert doctor.torch().state == "warn"
    assert "pip install" in doctor.torch().advice


def test_a_poor_machine_is_told() -> None:
    poor = replace(MACHINE, memory_available=1 << 30, disk_free=1 << 30, bfloat16="none")
    states = {check.name: check.state for check in doctor.machine(poor)}
    assert states == {"cores": "ok", "bfloat16": "warn", "memory": "warn", "disk": "warn"}
    assert all(check.state == "ok" for check in doctor.machine(MACHINE))


def test_what_would_make_it_faster(tmp_path: Path) -> None:
    assert "libjemalloc2" in doctor.allocator(None).advice
    assert doctor.allocator(tmp_path).state == "ok"
    assert "torch.compile" in doctor.compiler(None).advice
    assert doctor.compiler(tmp_path).state == "ok"


def test_accelerators_are_named() -> None:
    assert "CPU" in doctor.accelerator(MACHINE).found
    found = doctor.accelerator(replace(MACHINE, gpus=(Gpu("NVIDIA H200", 139 << 30),))).found
    assert found == "NVIDIA H200 139 GiB"


def test_programs_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.sandbox().state == "warn"
    assert doctor.browser().state == "warn"
    bwrap = tmp_path / "bwrap"
    bwrap.write_text("#!/bin/sh\nexit 1\n")
    bwrap.chmod(0o755)
    assert "user namespaces" in doctor.sandbox().advice


def test_telemetry_that_someone_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in doctor._REPORTING:
        monkeypatch.delenv(name, raising=False)
    assert doctor.telemetry().state == "ok"
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    assert "RAY_USAGE_STATS_ENABLED" in doctor.telemetry().advice


def test_runs_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert doctor.writable(tmp_path / "file" / "runs").state == "fail"
    assert doctor.writable(tmp_path / "deep" / "runs").state == "ok"
