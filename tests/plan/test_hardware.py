import json
import os
import stat
from pathlib import Path

import pytest

from lianlu.plan import hardware
from lianlu.plan.hardware import Gpu, cgroup_memory, disk_free, gpus, inspect


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LIANLU_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_this_machine_as_the_system_tells_it() -> None:
    found = inspect()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found.memory <= pages
    assert 0 < found.memory_available <= found.memory
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert 1e8 < found.rates.copy < 1e13
    assert 1e8 < found.rates.gemm < 1e15
    assert found.trains_in == ("float32" if found.bfloat16 == "none" else "bfloat16") or found.gpus


def test_rates_are_measured_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = inspect().rates
    monkeypatch.setattr(hardware, "measure", lambda: pytest.fail("measured again"))
    assert inspect().rates == first
    assert len(json.loads((home / "rates.json").read_text())) == 1


@pytest.mark.parametrize("note", ["", "[]", '{"other machine": {"copy": 1, "gemm": 1}}'])
def test_a_damaged_or_foreign_note_is_replaced(home: Path, note: str) -> None:
    home.mkdir()
    (home / "rates.json").write_text(note)
    assert inspect().rates.gemm > 1e8
    assert inspect().processor in (home / "rates.json").read_text()


def test_a_home_that_cannot_be_made_costs_a_measurement(home: Path) -> None:
    home.write_text("a file where the folder should be")
    assert inspect().rates.gemm > 1e8


def test_disk_of_a_folder_that_will_be(tmp_path: Path) -> None:
    assert disk_free(tmp_path / "not" / "yet") > 0


def cgroup(root: Path, group: str, limit: str, current: int, files: int) -> None:
    folder = root / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(limit)
    (folder / "memory.current").write_text(str(current))
    (folder / "memory.stat").write_text(f"anon {current - files}\nfile {files}\n")


def test_the_tightest_cgroup_counts(tmp_path: Path) -> None:
    own, root = tmp_path / "own", tmp_path / "root"
    own.write_text("1:name=systemd:/\n0::/pod/box\n")
    cgroup(root, "pod", "4000000000\n", 900, 500)
    cgroup(root, "pod/box", "max\n", 100, 0)
    assert cgroup_memory(root, own) == (4_000_000_000, 400)
    cgroup(root, "pod/box", "1000000000\n", 100, 30)
    assert cgroup_memory(root, own) == (1_000_000_000, 70)


@pytest.mark.parametrize("text", [None, "", "1:name=systemd:/\n", "0::/\n", "0::/gone\n"])
def test_no_cgroup_no_limit(tmp_path: Path, text: str | None) -> None:
    own = tmp_path / "own"
    if text is not None:
        own.write_text(text)
    assert cgroup_memory(tmp_path / "root", own) == (1 << 63, 0)


def fake_smi(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_gpus_by_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_smi(tmp_path, "echo 'NVIDIA H200, 143771'; echo 'NVIDIA A10, 23028'", monkeypatch)
    assert gpus(tmp_path) == (Gpu("NVIDIA H200", 143771 << 20), Gpu("NVIDIA A10", 23028 << 20))


@pytest.mark.parametrize("script", ["exit 9", "echo 'No devices were found'"])
def test_gpus_by_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    fake_smi(tmp_path, script, monkeypatch)
    assert gpus(tmp_path / "none") == ()
    note = tmp_path / "driver" / "0000:01:00.0" / "information"
    note.parent.mkdir(parents=True)
    note.write_text("Model: \t\t NVIDIA H200\nIRQ:   16\n")
    assert gpus(tmp_path / "driver") == (Gpu("NVIDIA H200", 0),)


@pytest.mark.parametrize(
    ("flags", "units"),
    [("sse avx512_bf16 amx_bf16", "amx"), ("avx512_bf16", "avx512"), ("avx2", "none")],
)
def test_what_multiplies_bfloat16(flags: str, units: str) -> None:
    assert hardware._bfloat16(frozenset(flags.split())) == units


@pytest.mark.parametrize(("flags", "dtype"), [("amx_bf16", "bfloat16"), ("avx2", "float32")])
def test_arithmetic_of_this_machine(
    flags: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "_processor", lambda: ("CPU", frozenset([flags])))
    assert hardware.has_bf16_units() == (dtype == "bfloat16")
    assert hardware.native_dtype() == dtype


def test_cores_that_a_container_is_not_given_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "available_cores", lambda: 3)
    assert inspect().cores == 3


def test_the_compiler_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert hardware.find_compiler() is None
    own = tmp_path / "own-c++"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("CXX", "own-c++")
    assert hardware.find_compiler() == own
