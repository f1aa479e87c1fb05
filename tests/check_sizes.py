"""Fails when a file is longer than 400 lines: one noun a file, read in one sitting."""

import sys
from pathlib import Path

LIMIT = 400

root = Path(__file__).resolve().parents[1]
lengths = {
    path.relative_to(root): len(path.read_text(encoding="utf-8").splitlines())
    for folder in ("lianlu", "tests", "bench")
    for path in (root / folder).rglob("*.py")
    if ".envs" not in path.parts
}
long = {path: length for path, length in lengths.items() if length > LIMIT}
for path, length in sorted(long.items()):
    print(f"{path}: {length} lines, {LIMIT} are allowed")
sys.exit(1 if long else 0)
