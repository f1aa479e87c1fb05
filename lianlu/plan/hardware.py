"""What this machine is, found without torch and in well under a second."""

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import psutil

from lianlu.cores import available_cores
from lianlu.hub.cache import home
from lianlu.lineage import write_json

JEMALLOC = (
    Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"),
    Path("/usr/lib/aarch64-linux-gnu/libjemalloc.so.2"),
    Path("/usr/lib64/libjemalloc.so.2"),
)
_CGROUPS = Path("/sys/fs/cgroup")
_NVIDIA = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Gpu:
    """An accelerator; `memory` in bytes, 0 where only the driver tells of it."""

    name: str
    memory: int


@dataclass(frozen=True)
class Rates:
    """Measured with numpy: bytes copied and fp32 operations of a matrix product, per second."""

    copy: float
    gemm: float


@dataclass(frozen=True)
class Hardware:
    """Memory and disk in bytes. `cores` and memory are what this process may use of them."""

    processor: str
    cores: int
    memory: int
    memory_available: int
    disk_free: int
    bfloat16: Literal["amx", "avx512", "none"]
    gpus: tuple[Gpu, ...]
    jemalloc: Path | None
    compiler: Path | None
    rates: Rates

    @property
    def trains_in(self) -> Literal["bfloat16", "float32"]:
        """The arithmetic that `dtype: auto` means: bfloat16 needs units that multiply it."""
        return "float32" if self.bfloat16 == "none" and not self.gpus else "bfloat16"


def inspect(folder: Path = Path()) -> Hardware:
    """This machine, its disk at `folder`; the measured rates are kept in lianlu's home."""
    processor, flags = _processor()
    cores = available_cores()
    virtual = psutil.virtual_memory()
    limit, used = cgroup_memory()
    return Hardware(
        processor=processor,
        cores=cores,
        memory=min(virtual.total, limit),
        memory_available=max(0, min(virtual.available, limit - used)),
        disk_free=disk_free(folder),
        bfloat16=_bfloat16(flags),
        gpus=gpus(),
        jemalloc=next((path for path in JEMALLOC if path.exists()), None),
        compiler=find_compiler(),
        rates=_kept_rates(f"{processor}, {cores} cores", home() / "rates.json"),
    )


def native_dtype() -> Literal["bfloat16", "float32"]:
    """What `dtype: auto` means on this machine's CPU."""
    return "bfloat16" if has_bf16_units() else "float32"


def has_bf16_units() -> bool:
    """Whether this CPU multiplies bfloat16; others emulate it, slower than fp32."""
    return _bfloat16(_processor()[1]) != "none"


def find_compiler() -> Path | None:
    """The C++ compiler that torch.compile would call."""
    for name in (os.environ.get("CXX"), "g++", "clang++"):
        if name and (found := shutil.which(name)):
            return Path(found)
    return None


def disk_free(folder: Path) -> int:
    """Free bytes where `folder` lies or will lie."""
    above = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    return shutil.disk_usage(above).free


def cgroup_memory(root: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> tuple[int, int]:
    """`(limit, used)` in bytes of the tightest cgroup (v2) above us; no limit is 2^63.

    Pages of files count as used there and yet are given back on demand, so they are left out.
    """
    tightest, used = 1 << 63, 0
    try:
        line = next(s for s in own.read_text().splitlines() if s.startswith("0::"))
    except (OSError, StopIteration):
        return tightest, used
    group = root / line[3:].lstrip("/")
    for folder in (group, *group.parents):
        if not folder.is_relative_to(root):
            break
        try:
            limit = int((folder / "memory.max").read_text())
            current = int((folder / "memory.current").read_text())
            stat = dict(s.split() for s in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # no limit is written "max"
            continue
        if limit < tightest:
            tightest, used = limit, current - int(stat.get("file", 0))
    return tightest, used


def gpus(driver: Path = _NVIDIA) -> tuple[Gpu, ...]:
    """NVIDIA devices by nvidia-smi, else by what the driver tells in /proc."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
        rows = [line.rsplit(", ", 1) for line in told.splitlines()]
        return tuple(Gpu(name, int(mib) << 20) for name, mib in rows)
    except (OSError, ValueError, subprocess.SubprocessError):
        notes = [path.read_text() for path in sorted(driver.glob("*/information"))]
    lines = [line for note in notes for line in note.splitlines() if line.startswith("Model:")]
    return tuple(Gpu(line.partition(":")[2].strip(), 0) for line in lines)


def measure() -> Rates:
    """Time a copy and a matrix product, about 0.1 s; the best of a few, since others may work."""
    source = np.ones(8 << 20)  # 64 MiB: larger than most caches
    target = np.empty_like(source)
    target[:] = 0  # the pages exist before the clock runs
    square = np.ones((1024, 1024), np.float32)
    return Rates(
        copy=2 * source.nbytes / _best(lambda: np.copyto(target, source)),
        gemm=2 * 1024**3 / _best(lambda: square @ square),
    )


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(4):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def _kept_rates(machine: str, note: Path) -> Rates:
    """The rates of `machine`, measured once."""
    try:
        kept = json.loads(note.read_text(encoding="utf-8"))
        return Rates(**kept[machine])
    except (OSError, ValueError, KeyError, TypeError):
        rates = measure()
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, {machine: vars(rates)})
    except OSError:
        pass  # a home that cannot be written costs a measurement each time
    return rates


def _processor() -> tuple[str, frozenset[str]]:
    """Its name, and the flags of its instruction sets (Linux on x86; elsewhere none)."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = {key.strip(): value.strip() for key, _, value in (s.partition(":") for s in lines)}
    name = told.get("model name") or platform.processor() or platform.machine()
    return name, frozenset(told.get("flags", "").split())


def _bfloat16(flags: frozenset[str]) -> Literal["amx", "avx512", "none"]:
    if "amx_bf16" in flags:
        return "amx"
    return "avx512" if "avx512_bf16" in flags else "none"
