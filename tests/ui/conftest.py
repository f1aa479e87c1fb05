"""A folder of runs as the chain would leave it, made up: the console needs nothing but files."""

import json
import math
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from lianlu.ui.serve import listen

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> \u202egpj.exe'
LINKS = {
    "corpus": ("refine", []),
    "tokenizer": ("tokenizer", ["corpus"]),
    "tokens": ("tokenize", ["corpus", "tokenizer"]),
    "base": ("pretrain", ["tokens", "tokenizer"]),
    "dialogues": ("dialogues", ["corpus"]),
    "before": ("evaluate", ["base", "tokens", "dialogues"]),
    "model": ("tune", ["base", "dialogues"]),
    "after": ("evaluate", ["model", "tokens", "dialogues"]),
    "small": ("compress", ["model", "tokens"]),
    "after-small": ("evaluate", ["small", "tokens", "dialogues"]),
    "trial": ("agent", ["small", "dialogues"]),
}
SECONDS = (48.2, 6.1, 7.9, 142.0, 3.3, 21.4, 88.6, 19.2, 12.5, 17.8, 26.0)
DECISIONS = (
    ("Which model?", "a new decoder", "the recipe names no base"),
    ("Good enough as it is?", "no", "tool_call is 0 [0, 0.0188], wanted ≥ 0.8"),
    ("Full training, or an adapter?", "full", "needs 0.9 GiB, 5.1 GiB are free"),
    ("Good enough after tuning?", "yes", "tool_call is 0.93 [0.886, 0.958], wanted ≥ 0.8"),
    ("Compress?", "yes", "bits per byte rise by 1.20%, 3.00% are allowed"),
    ("Serve which model?", "small", "compressed within the allowed loss; the goal is met"),
)


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def build_run(runs: Path, name: str = "demo", running: str | None = None) -> Path:
    """A finished run, or one that works on node `running`; returns the folder of its steps."""
    steps = runs / "steps"
    nodes: list[dict[str, Any]] = []
    reached = True
    for (node, (link, inputs)), seconds in zip(LINKS.items(), SECONDS, strict=True):
        key = f"{sum(node.encode()) * 7919:06x}".ljust(64, "0")
        place = f"{node}-{key[:16]}"
        if not reached:
            nodes.append({"name": node, "state": "waiting"})
            continue
        memory = int(seconds * 7e6) + 300_000_000
        entry = {
            "name": node,
            "link": link,
            "key": key,
            "dir": place,
            "state": "kept" if node in ("corpus", "tokenizer") else "ran",
            "reason": "same work as before" if node in ("corpus", "tokenizer") else "new",
            "inputs": inputs,
            "predicted": {"memory_bytes": int(memory * 0.94), "seconds": seconds},
        }
        if node == running:
            reached = False
            entry["state"] = "running"
            folder = steps / f"{place}.part"
            tasks = [{"t": 1, "task": "train", "done": 120.0, "total": 245.0, "unit": "steps"}]
            write_rows(folder / "progress.jsonl", [*tasks, {"t": 2, "say": "4.2 M parameters"}])
        else:
            folder = steps / place
            measured = {"peak_rss_bytes": memory, "seconds": seconds, "disk_bytes": memory // 40}
            entry |= {"seconds": seconds, "measured": measured}
            write(folder / "step.json", {"name": node, "key": key, "facts": facts(node)})
        nodes.append(entry)
        write_results(folder, node)
    record = {
        "name": name,
        "started": 1_790_000_000.0,
        "finished": None if running else 1_790_000_400.0,
        "state": "running" if running else "done",
        "pid": os.getpid(),
        "final": None if running else "small",
        "decisions": [
            dict(zip(("question", "answer", "reason"), told, strict=True)) for told in DECISIONS
        ],
        "nodes": nodes,
    }
    write(runs / name / "run.json", record)
    return steps


def facts(node: str) -> dict[str, Any]:
    if node != "small":
        return {"n": 1}
    return {
        "loss": 0.012,
        "allowed": 0.03,
        "accepted": True,
        "loss_low": 0.009,
        "loss_high": 0.015,
        "layer_errors": {
            "model.layers.0.mlp.up_proj": 0.004,
            "model.layers.0.mlp.down_proj": 0.0083,
        },
        "bits_per_byte": {"before": {"value": 2.113}, "after": {"value": 2.138}},
        "bytes": {"before": 17_301_504, "after": 5_242_880},
    }


def write_results(folder: Path, node: str) -> None:
    if node == "corpus":
        write(folder / "card.json", card())
    elif node in ("base", "model"):
        write_rows(folder / "metrics.jsonl", losses(245, 7.6 if node == "base" else 2.6))
    elif node == "small":
        speeds = {"decode_tokens_per_second": 301.5, "decode_before": 212.0}
        write_rows(folder / "metrics.jsonl", [{"t": 1, **speeds}])
    elif node in ("before", "after", "after-small"):
        write(folder / "scores.json", scores(node))
    elif node == "trial":
        write_trial(folder)


def card() -> dict[str, Any]:
    def samples(*excerpts: str) -> list[dict[str, Any]]:
        return [
            {"id": f"{i:016x}", "uri": f"pydoc:mod{i}", "value": 0.41 + i / 100, "excerpt": excerpt}
            for i, excerpt in enumerate(excerpts)
        ]

    short = samples("See also.", "Deprecated since 3.9.", HOSTILE)
    repeated = samples("x = 1\nx = 1\nx = 1\nx = 1", "------------------\n------------------")
    return {
        "counts": {"input": 5210, "kept": 3911, "dropped": 1297, "quarantined": 2},
        "stages": [
            {"name": "read", "in": 5210, "out": 5208, "dropped": {"quarantined": 2}},
            {"name": "length", "in": 5208, "out": 4790, "dropped": {"min_chars": 418}},
            {
                "name": "rules",
                "in": 4790,
                "out": 4322,
                "dropped": {"top_2_gram": 231, "alpha_words": 140, "symbol_ratio": 97},
            },
            {"name": "exact", "in": 4322, "out": 4180, "dropped": {"exact_duplicate": 142}},
            {"name": "near", "in": 4180, "out": 3911, "dropped": {"near_duplicate": 269}},
        ],
        "sources": {"python-docs": {"input": 5210, "kept": 3911, "bytes": 41_943_040}},
        "languages": {"en": 3874, "de": 21, "zh": 16},
        "rules": {
            "min_chars": {"n": 418, "threshold": 64, "samples": short},
            "top_2_gram": {"n": 231, "threshold": 0.2, "samples": repeated},
            "alpha_words": {"n": 140, "threshold": 0.8, "samples": samples("0x00 0x01 0x02 …")},
            "near_duplicate": {"n": 269, "threshold": 0.8, "samples": samples("Return str(self).")},
        },
        "errors": [{"id": "e0", "uri": "a.html", "value": None, "error": "not UTF-8"}],
        "bytes_raw": 41_943_040,
        "chars_kept": 18_220_104,
        "duplicates": {"exact": 142, "near": 269},
    }


def losses(steps: int, start: float) -> list[dict[str, Any]]:
    noise = random.Random(1)
    rows: list[dict[str, Any]] = []
    for step in range(0, steps + 1, 5):
        loss = start * (0.32 + 0.68 * math.exp(-step / 60)) + noise.gauss(0, 0.03)
        rows.append({"t": step, "step": step, "loss": loss, "lr": 3e-3, "tokens_per_second": 9200})
        if step % 50 == 0:
            rows.append({"t": step, "step": step, "valid_loss": loss + 0.08})
    return rows


def scores(node: str) -> list[dict[str, Any]]:
    values = {"before": (2.31, 0.0, 0.02), "after": (2.11, 0.93, 0.88)}
    bits, tool, answer = values.get(node, (2.14, 0.92, 0.86))
    return [
        score("bits_per_byte", bits, 0.06, "bits", "lower"),
        score("tool_call", tool, 0.04, "share", "higher"),
        score("answer", answer, 0.05, "share", "higher"),
    ]


def score(name: str, value: float, half: float, unit: str, better: str) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "low": max(0, value - half),
        "high": value + half if unit == "bits" else min(1, value + half),
        "n": 200,
        "confidence": 0.95,
        "unit": unit,
        "better": better,
        "contamination": 0.0,
    }


def write_trial(folder: Path) -> None:
    latency = {"ttft_p50": 0.021, "ttft_p99": 0.064, "tpot_p50": 0.0034, "tpot_p99": None}
    told = []
    for i, name in enumerate(("os.path.join", "shutil.rmtree", "json.dumps")):
        right = i != 2
        call = {"id": "0.0", "name": "python_docs", "arguments": json.dumps({"name": name})}
        page = f"{name}(path, *paths)\n\nJoin two or more path components."
        answer = "Join two or more path components." if right else HOSTILE
        told.append({"id": f"q{i:03}", "right": right, "expected": "Serialize obj to JSON."})
        model = {"type": "assistant", "token_ids": [1, 2], "logprobs": [0, 0], "ttft": 0.02}
        write_rows(
            folder / "trajectories" / f"q{i:03}.jsonl",
            [
                {"type": "user", "content": f"What does {name} do?", "tools": []},
                model | {"content": "", "tool_calls": [{"id": "call_0", "function": call}]},
                {"type": "tool_call", **call},
                {"type": "tool_result", "id": "0.0", "content": page, "failed": False},
                model | {"content": answer, "tool_calls": []},
                {"type": "answer", "content": answer},
            ],
        )
    trial = {"n": 3, "right": 2, "called_right": 3, "interval": [0.208, 0.939]}
    write(folder / "trial.json", trial | {"latency": latency, "questions": told})


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs with one finished run, `demo`."""
    build_run(tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def half_done(tmp_path: Path) -> Path:
    """A folder of runs whose run `demo` pretrains just now."""
    build_run(tmp_path / "runs", running="base")
    return tmp_path / "runs"


@contextmanager
def running(app: Starlette) -> Iterator[str]:
    """A real server on a free port of loopback; gives its URL."""
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture
def served() -> Iterator[Callable[[Starlette], str]]:
    """Serves applications until the test ends; gives their URLs."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(running(app))
