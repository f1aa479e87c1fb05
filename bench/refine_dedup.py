"""Near-duplicate search: documents a CPU second and recall, ours against rensa and datasketch.

    python bench/refine_dedup.py [--documents 5000] [--rounds 3]

A seeded corpus of recombined sentences with planted near-duplicates of known Jaccard similarity.
Every side reads the same JSONL and names the documents to remove: MinHash of 5-word shingles, 112
hashes. Peers take every LSH candidate as a duplicate, ours verifies each. Peers install into
environments of their own under bench/.envs. Writes bench/results/refine_dedup.json.
"""

import argparse
import datetime
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import venv
from itertools import chain
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parent
RESULTS = BENCH / "results" / "refine_dedup.json"
TARGET = 5000
PEERS = {"rensa": "rensa==0.5.0", "datasketch": "datasketch==2.0.0"}

# Each program prints {"seconds": CPU seconds of reading and searching, "removed": [row numbers]}.
OURS = """
import json, sys, time
from pyarrow import json as arrow
from lianlu.refine.dedup import near_duplicates
near_duplicates(arrow.read_json(sys.argv[1])["text"].slice(0, 20), 0.8)  # compile or load kernels
start = time.process_time()
head = near_duplicates(arrow.read_json(sys.argv[1])["text"], 0.8).head.tolist()
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "removed": [i for i, h in enumerate(head) if h != i]}))
"""
_PEER = """
import json, re, sys, time
{imports}
start = time.process_time()
index, removed = {index}, []
for i, line in enumerate(open(sys.argv[1], encoding="utf-8")):
    words = re.findall(r"\\w+", json.loads(line)["text"].lower())
    shingles = [" ".join(words[k : k + 5]) for k in range(max(1, len(words) - 4))]
    {sign}
    if {found}:
        removed.append(i)
    else:
        {insert}
print(json.dumps({{"seconds": time.process_time() - start, "removed": removed}}))
"""
PROGRAMS = {
    "rensa": _PEER.format(
        imports="from rensa import RMinHash, RMinHashLSH",
        index="RMinHashLSH(threshold=0.8, num_perm=112, num_bands=14)",
        sign="m = RMinHash(num_perm=112, seed=1); m.update(shingles)",
        found="index.query(m)",
        insert="index.insert(i, m)",
    ),
    "datasketch": _PEER.format(
        imports="from datasketch import MinHash, MinHashLSH",
        index="MinHashLSH(num_perm=112, params=(14, 8))",
        sign="m = MinHash(num_perm=112); m.update_batch([s.encode() for s in shingles])",
        found="index.query(m)",
        insert="index.insert(i, m)",
    ),
}


def generate(path: Path, documents: int) -> list[tuple[int, float]]:
    """Write the corpus; returns `(row of the copy, Jaccard similarity to its original)`."""
    draw = random.Random(7)
    letters = "bcdfghjklmnprstvwz"
    lexicon = [
        "".join(draw.choice(letters) + draw.choice("aeiou") for _ in range(draw.randint(1, 4)))
        for _ in range(8000)
    ]
    weights = [1 / (rank + 3) for rank in range(len(lexicon))]
    sentences = [
        draw.choices(lexicon, weights, k=draw.randint(6, 24)) for _ in range(4 * documents)
    ]
    rows: list[list[str]] = []
    planted = []
    for _ in range(documents):
        if rows and draw.random() < 0.12:
            original = rows[draw.randrange(len(rows))]
            copy = list(original)
            for _ in range(draw.randint(0, max(1, len(copy) // 40))):
                copy[draw.randrange(len(copy))] = draw.choice(lexicon)
            planted.append((len(rows), jaccard(original, copy)))
            rows.append(copy)
        else:
            rows.append(list(chain.from_iterable(draw.sample(sentences, draw.randint(8, 40)))))
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({"text": " ".join(row)}) + "\n")
    return planted


def jaccard(a: list[str], b: list[str]) -> float:
    """Exact similarity of the 5-word shingles."""
    first, second = ({tuple(t[i : i + 5]) for i in range(len(t) - 4)} for t in (a, b))
    return len(first & second) / len(first | second)


def environment(name: str) -> Path:
    """The Python of a peer's own environment, made where it is missing."""
    folder = BENCH / ".envs" / name
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", PEERS[name]], check=True)
    return python


def run(python: Path | str, program: str, corpus: Path) -> dict[str, Any]:
    """One program in a fresh process, on one thread."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, "-c", program, corpus], check=True, capture_output=True, env=variables, cwd="."
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.jsonl"
        planted = generate(corpus, options.documents)
        size = corpus.stat().st_size
        sides: dict[str, tuple[Path | str, str]] = {"ours": (sys.executable, OURS)}
        sides |= {name: (environment(name), program) for name, program in PROGRAMS.items()}
        speeds: dict[str, list[float]] = {name: [] for name in sides}
        recalls: dict[str, float] = {}
        wrong: dict[str, float] = {}
        for _ in range(options.rounds):
            for name, (python, program) in sides.items():
                result = run(python, program, corpus)
                removed = set(result["removed"])
                speeds[name].append(options.documents / result["seconds"])
                near = [row in removed for row, value in planted if value >= 0.8]
                recalls[name] = sum(near) / len(near)
                copies = {row for row, _ in planted}
                wrong[name] = len(removed - copies) / max(1, len(removed))
    median = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"{options.documents} documents, {size / 1e6:.1f} MB, {len(planted)} planted copies")
    print(f"{'':12}{'docs/CPU-s':>12}{'ratio':>8}{'recall J>=.8':>14}{'originals removed':>19}")
    for name in sides:
        ratio = median["ours"] / median[name]
        print(f"{name:12}{median[name]:12.0f}{ratio:8.1f}{recalls[name]:14.3f}{wrong[name]:19.3f}")
    write(median, recalls)


def write(median: dict[str, float], recalls: dict[str, float]) -> None:
    """The rows of bench/results/refine_dedup.json."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    common = {
        "machine": f"{os.cpu_count()} x {platform.machine()}",
        "commit": commit,
        "date": datetime.date.today().isoformat(),
    }
    rows = [
        _row("minhash_dedup", "documents/CPU-s", median, float(TARGET), 0) | common,
        _row("minhash_dedup_recall", "share of pairs at J >= .8", recalls, 0.99, 4) | common,
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {RESULTS}")


def _row(
    name: str, unit: str, values: dict[str, float], target: float, digits: int
) -> dict[str, Any]:
    peers = {peer: round(value, digits) for peer, value in values.items() if peer != "ours"}
    return {
        "name": name,
        "unit": unit,
        "ours": round(values["ours"], digits),
        "peers": peers,
        "ratio": round(values["ours"] / max(peers.values()), 2),
        "target": target,
        "met": values["ours"] >= target,
    }


if __name__ == "__main__":
    main()
