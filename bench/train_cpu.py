"""Training speed on CPU against the Trainer of transformers.

    python bench/train_cpu.py [--rounds 3]

The same decoder (4 million weights), windows, batch, AdamW, clipping and bf16 autocast, in turn,
each in a process of its own. Ours runs as a step of a recipe does. The Trainer runs twice: as it
is, and with the same allocator as ours. Speeds are medians of steps after the first ones; compiling
and loading are left out. Writes bench/results/train_cpu.json.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lianlu.errors import StepFailed
from lianlu.job import Job
from lianlu.lineage import write_json
from lianlu.model.config import DecoderConfig
from lianlu.model.section import ModelConfig, TokenizerConfig
from lianlu.model.tokenizer import Tokenizer, train_tokenizer
from lianlu.progress import Progress
from lianlu.steps import worker_environment
from lianlu.train.config import PretrainConfig
from lianlu.train.pretrain import pretrain

RESULTS = Path(__file__).parent / "results" / "train_cpu.json"
TARGET = 1.5
CONTEXT, BATCH, VOCAB = 256, 4096, 2048
STEPS, PEER_STEPS, WARM = 100, 35, 15
SHAPE = ModelConfig(layers=4, width=256, heads=4, kv_heads=4, context=CONTEXT, dtype="bfloat16")
PEERS = {
    "transformers Trainer": {"LD_PRELOAD": "", "MALLOC_CONF": ""},
    "transformers Trainer, jemalloc": {},
}


def make_data(folder: Path) -> None:
    """Documents of 100 to 600 random tokens, and a tokenizer of the right size."""
    (folder / "corpus").mkdir()
    draw = np.random.default_rng(0)
    texts = [" ".join(f"{n:x}" for n in draw.integers(0, 1 << 24, 200)) for _ in range(400)]
    pq.write_table(pa.table({"text": texts}), folder / "corpus" / "part-00000.parquet")
    (folder / "tokenizer").mkdir()
    job = Job(folder / "tokenizer", {"corpus": folder / "corpus"})
    train_tokenizer(TokenizerConfig(vocab_size=VOCAB), job)
    tokenizer = Tokenizer.load(folder / "tokenizer")
    (folder / "tokens").mkdir()
    for split, count in (("train", 2000), ("valid", 40)):
        lengths = draw.integers(100, 600, count)
        draw.integers(8, VOCAB, lengths.sum()).astype("<u2").tofile(
            folder / "tokens" / f"{split}.bin"
        )
        np.save(folder / "tokens" / f"{split}.offsets.npy", np.cumsum([0, *lengths]))
    facts = {"dtype": "uint16", "tokenizer_digest": tokenizer.digest, "bytes_per_token": 2.5}
    write_json(folder / "tokens" / "tokens.json", facts)


def ours(folder: Path) -> float:
    """Tokens a second of `pretrain`."""
    config = PretrainConfig(tokens=STEPS * BATCH, batch_tokens=BATCH, optimizer="adamw", lr=1e-3)
    inputs = {name: folder / name for name in ("tokens", "tokenizer")}
    with tempfile.TemporaryDirectory() as out:
        pretrain(config, SHAPE, Job(Path(out), inputs, Progress(Path(out))))
        rows = [json.loads(row) for row in (Path(out) / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(
        row["tokens_per_second"] for row in rows if "loss" in row and row["step"] > WARM
    )


def peer(folder: Path) -> float:
    """Tokens a second of the Trainer, on a decoder of the same shape."""
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    shape = DecoderConfig.new(
        VOCAB, SHAPE.layers, SHAPE.width, SHAPE.heads, SHAPE.kv_heads, CONTEXT
    )
    hf = shape.to_hf()
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(hf.pop("model_type"), **hf))
    tokens = np.fromfile(folder / "tokens" / "train.bin", "<u2").astype(np.int64)
    windows = torch.from_numpy(tokens[: len(tokens) // CONTEXT * CONTEXT].reshape(-1, CONTEXT))
    ends: list[float] = []

    class Watch(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out,
            max_steps=PEER_STEPS,
            per_device_train_batch_size=BATCH // CONTEXT,
            bf16=True,
            use_cpu=True,
            learning_rate=1e-3,
            max_grad_norm=1.0,
            optim="adamw_torch_fused",
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        )
        data = [{"input_ids": window, "labels": window} for window in windows]
        Trainer(model, arguments, train_dataset=data, callbacks=[Watch()]).train()
    return BATCH / statistics.median(np.diff(ends)[WARM:])


def in_child(who: str, folder: Path, changes: dict[str, str]) -> float:
    child = subprocess.run(
        [sys.executable, __file__, "--run", who, "--folder", str(folder)],
        env=worker_environment() | changes,
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode:
        raise StepFailed(f"{who}: {child.stderr[-2000:]}")
    return float(child.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=("ours", "peer"))
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.run:
        print({"ours": ours, "peer": peer}[arguments.run](arguments.folder))
        return
    speeds: dict[str, list[float]] = {"ours": [], **{name: [] for name in PEERS}}
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder))
        for number in range(arguments.rounds):
            speeds["ours"].append(in_child("ours", Path(folder), {}))
            for name, changes in PEERS.items():
                speeds[name].append(in_child("peer", Path(folder), changes))
            print(number, {name: round(found[-1]) for name, found in speeds.items()}, flush=True)
    rows = results(speeds)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(rows, indent=1))


def results(speeds: dict[str, list[float]]) -> list[dict[str, Any]]:
    """A row for each way to run the peer, from the speeds of every round."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    about = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "commit": subprocess.run(
            git, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        ).stdout.strip(),
        "date": datetime.date.today().isoformat(),
    }
    mine, *theirs = (statistics.median(found) for found in speeds.values())
    return [
        {
            "name": f"pretraining, 4M weights, batch {BATCH}, bf16, AdamW: {against}",
            "unit": "tokens/s",
            "ours": round(mine),
            "peers": {name: round(speed)},
            "ratio": round(mine / speed, 2),
            "target": TARGET,
            "met": mine >= TARGET * speed,
            **about,
        }
        for name, against, speed in zip(
            PEERS, ("as installed", "same allocator"), theirs, strict=True
        )
    ]


if __name__ == "__main__":
    main()
