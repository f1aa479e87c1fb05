"""What this machine has, lacks, and what would make it faster."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lianlu.plan.hardware import Hardware, inspect

State = Literal["ok", "warn", "fail"]

_GIB = 2**30
_TORCH = ((2, 11), (2, 13))
# Variables by which a dependency may be told to report home, and the value that tells it to.
_REPORTING = {
    "DO_NOT_TRACK": "0",
    "DAFT_ANALYTICS_ENABLED": "1",
    "RAY_USAGE_STATS_ENABLED": "1",
    "HF_HUB_DISABLE_TELEMETRY": "0",
}


@dataclass(frozen=True)
class Check:
    """One thing looked at: its state, what was found, and what to do about it (or nothing)."""

    name: str
    state: State
    found: str
    advice: str = ""


def diagnose(runs: Path = Path("runs")) -> list[Check]:
    """Every check, in the order a person cares; torch is not imported."""
    hardware = inspect(runs)
    return [
        python(sys.version_info[:3]),
        torch(),
        *machine(hardware),
        allocator(hardware.jemalloc),
        compiler(hardware.compiler),
        accelerator(hardware),
        sandbox(),
        browser(),
        telemetry(),
        writable(runs),
    ]


def python(version: tuple[int, ...]) -> Check:
    found = ".".join(map(str, version))
    if version < (3, 11):
        return Check("python", "fail", found, "lianlu needs Python 3.11 or newer")
    return Check("python", "ok", f"{found}, {platform.system()} {platform.machine()}")


def torch() -> Check:
    try:
        found = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return Check(
            "torch", "warn", "none", "pip install 'lianlu[all]' to train, evaluate and serve"
        )
    try:
        major, minor = (int(part) for part in found.split(".")[:2])
    except ValueError:  # a build of one's own
        return Check("torch", "warn", found, "tested with torch 2.11 to 2.13")
    if (major, minor) < _TORCH[0]:
        return Check("torch", "fail", found, "lianlu needs torch 2.11 or newer")
    if (major, minor) > _TORCH[1]:
        return Check("torch", "warn", found, "tested with torch 2.11 to 2.13")
    return Check("torch", "ok", found)


def machine(hardware: Hardware) -> Iterator[Check]:
    """Cores, arithmetic, memory and disk."""
    speed = f"{hardware.rates.gemm / 1e9:,.0f} GFLOP/s, copies {hardware.rates.copy / 1e9:.0f} GB/s"
    yield Check("cores", "ok", f"{hardware.cores} × {hardware.processor}, {speed}")
    if hardware.bfloat16 == "amx":
        yield Check("bfloat16", "ok", "AMX: matrix products several times as fast as in float32")
    elif hardware.bfloat16 == "avx512":
        yield Check("bfloat16", "ok", "AVX-512")
    else:
        yield Check("bfloat16", "warn", "not multiplied by this processor", "training uses float32")
    told = f"{hardware.memory_available / _GIB:.1f} of {hardware.memory / _GIB:.1f} GiB free"
    scarce = hardware.memory_available < 6e9
    advice = "the demo needs 6 GB; smaller ones run: `lianlu plan` tells" if scarce else ""
    yield Check("memory", "warn" if scarce else "ok", told, advice)
    full = hardware.disk_free < 5e9
    advice = "less than 5 GB; `runs:` in the recipe may name another disk" if full else ""
    told = f"{hardware.disk_free / _GIB:.1f} GiB free"
    yield Check("disk", "warn" if full else "ok", told, advice)


def allocator(jemalloc: Path | None) -> Check:
    if jemalloc is not None:
        return Check("jemalloc", "ok", f"{jemalloc}, used by every step")
    advice = "`apt-get install libjemalloc2` makes training on CPU 1.4 to 1.8 times as fast"
    return Check("jemalloc", "warn", "none", advice)


def compiler(found: Path | None) -> Check:
    if found is not None:
        return Check("compiler", "ok", str(found))
    advice = "`apt-get install g++`: torch.compile makes training about 1.4 times as fast"
    return Check("compiler", "warn", "none", advice)


def accelerator(hardware: Hardware) -> Check:
    if not hardware.gpus:
        return Check("gpu", "ok", "none: everything runs on the CPU")
    told = ", ".join(f"{gpu.name} {gpu.memory / _GIB:.0f} GiB" for gpu in hardware.gpus)
    return Check("gpu", "ok", told)


def sandbox() -> Check:
    """Bubblewrap is of use only where it may open a namespace; containers often forbid it."""
    found = shutil.which("bwrap")
    if found is None:
        return Check("bubblewrap", "warn", "none", "`apt-get install bubblewrap` for code tools")
    probe = [found, "--unshare-all", "--ro-bind", "/", "/", "true"]
    try:
        works = subprocess.run(probe, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        works = False
    if works:
        return Check("bubblewrap", "ok", found)
    advice = "user namespaces are off here; tools that run code will refuse to"
    return Check("bubblewrap", "warn", f"{found}, which may not work", advice)


def browser() -> Check:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found:
        return Check("chromium", "ok", found)
    return Check("chromium", "warn", "none", "only the console's own tests need it")


def telemetry() -> Check:
    asked = [name for name, value in _REPORTING.items() if os.environ.get(name) == value]
    if not asked:
        return Check("telemetry", "ok", "off in every step")
    advice = f"unset {', '.join(asked)}: steps ignore it, programs of your own may report home"
    return Check("telemetry", "warn", "asked for by the environment", advice)


def writable(runs: Path) -> Check:
    above = next(path for path in (runs.resolve(), *runs.resolve().parents) if path.exists())
    if above.is_dir() and os.access(above, os.W_OK):
        return Check("runs", "ok", f"{runs.resolve()} can be written")
    advice = "work in another folder, or name one by `runs:` in the recipe"
    return Check("runs", "fail", f"{above} cannot be written", advice)
