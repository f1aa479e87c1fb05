"""How much of a test the training data gave away."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

# A run of this many tokens (about 25 English words) is no coincidence.
RUN = 32
# A document counts as seen when this share of it lies in such runs: a licence header does not.
SEEN = 0.5
CHUNK = 1 << 22


def names_seen(dialogues: Path, names: Sequence[str]) -> float | None:
    """Share of `names` that occur anywhere in the training dialogues; None without any."""
    path = dialogues / "train.jsonl"
    if not path.is_file() or not names:
        return None
    text = path.read_text(encoding="utf-8")
    # As it stands in JSON: a quote or a backslash is escaped there.
    written = [json.dumps(name, ensure_ascii=False)[1:-1] for name in names]
    return sum(name in text for name in written) / len(names)


def documents_seen(tokens: Path, rows: Sequence[int]) -> float | None:
    """Share of held-out documents that training has largely seen; None without token files.

    `rows` are places among the held-out documents. One is seen when half of its tokens lie in runs
    of `RUN` tokens that occur in training too. Memory is that of the held-out documents and one
    chunk of the training file.
    """
    try:
        dtype = json.loads((tokens / "tokens.json").read_text(encoding="utf-8"))["dtype"]
        valid = np.fromfile(tokens / "valid.bin", dtype=dtype)
        offsets = np.load(tokens / "valid.offsets.npy", allow_pickle=False)
        train = np.memmap(tokens / "train.bin", dtype=dtype, mode="r")
    except (OSError, ValueError, KeyError):
        return None
    # Without its end token, which every document shares.
    documents = [valid[offsets[row] : offsets[row + 1] - 1] for row in rows]
    hashes = [run_hashes(document) for document in documents]
    known = np.unique(np.concatenate(hashes))
    found = np.zeros(len(known), dtype=bool)
    for start in range(0, len(train) if len(known) else 0, CHUNK):
        windows = run_hashes(train[start : start + CHUNK + RUN - 1])
        place = np.searchsorted(known, windows).clip(max=len(known) - 1)
        found[place[known[place] == windows]] = True
    shares = [
        _covered(found[np.searchsorted(known, windows)], len(document))
        for windows, document in zip(hashes, documents, strict=True)
    ]
    return float(np.mean([share >= SEEN for share in shares]))


def run_hashes(tokens: np.ndarray) -> np.ndarray:
    """A 64-bit hash of every run of `RUN` tokens: `[n]` → `[n - RUN + 1]`, empty when shorter.

    Polynomial modulo 2^64, by doubling: the hash of 2k tokens from those of k and the next k.
    """
    if len(tokens) < RUN:
        return np.empty(0, dtype=np.uint64)
    base = 0x9E3779B97F4A7C15
    hashes = (tokens.astype(np.uint64) + np.uint64(1)) * np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(29)  # ids are small: spread them before they are summed
    length = 1
    while length < RUN:
        hashes = hashes[:-length] * np.uint64(base) + hashes[length:]
        # In Python: numpy warns when a single number overflows, though not when an array does.
        base, length = base * base % 2**64, 2 * length
    return hashes


def _covered(matches: np.ndarray, length: int) -> float:
    """Share of `length` tokens that lie in a matching run; `matches` is by the run's start."""
    edges = np.zeros(length + 1, dtype=np.int64)
    starts = np.flatnonzero(matches)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + RUN, -1)
    return float((edges.cumsum()[:length] > 0).mean()) if length else 0.0
