"""4-bit linear layers on CPU: time of one product, ours against torch's dense bfloat16 linear.

    python bench/compress_int4.py

Rows 1 and 4 are what decoding one and four sequences costs. Prints the fastest of many rounds, both
sides in turn, and writes bench/results/compress_int4.json.
"""

import datetime
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lianlu.compress.rtn import quantise
from lianlu.kernels.int4 import Int4Linear

RESULTS = Path(__file__).parent / "results" / "compress_int4.json"
SIZES = (256, 1024, 4096)
ROWS = (1, 4)
TARGET = 1.0  # never slower than what it replaces
ROUNDS = 12
CALLS = 20


def fastest(sides: list[Callable[[], object]]) -> list[float]:
    """Microseconds of one call of each side."""
    times = [float("inf")] * len(sides)
    for _ in range(ROUNDS):
        for i, side in enumerate(sides):
            start = time.perf_counter()
            for _ in range(CALLS):
                side()
            times[i] = min(times[i], (time.perf_counter() - start) / CALLS * 1e6)
    return times


@torch.inference_mode()
def measure(size: int, rows: int) -> dict[str, Any]:
    """One square layer."""
    weight = torch.randn(size, size) / size**0.5
    found = quantise(weight, 32, shrinks=[1.0])
    small = Int4Linear.from_quantised(found.values, found.scale)
    dense = weight.to(torch.bfloat16)
    x = torch.randn(rows, size, dtype=torch.bfloat16)
    ours, theirs = fastest([lambda: small(x), lambda: nn.functional.linear(x, dense)])
    ratio = theirs / ours
    print(f"{size:5} x {size:<5} rows {rows}  {ours:8.1f}  dense {theirs:8.1f}  x{ratio:.2f}")
    return {
        "name": f"int4_linear_{size}_rows_{rows}",
        "unit": "µs",
        "ours": round(ours, 1),
        "peers": {"torch bfloat16": round(theirs, 1)},
        "ratio": round(ratio, 2),
        "target": TARGET,
        "met": ratio >= TARGET,
    }


def main() -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    common = {
        "machine": f"{os.cpu_count()} x {platform.machine()}",
        "commit": commit,
        "date": datetime.date.today().isoformat(),
    }
    rows = [measure(size, count) | common for size in SIZES for count in ROWS]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {RESULTS}")


if __name__ == "__main__":
    main()
