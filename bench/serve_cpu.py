"""Throughput of the serving engine on CPU against transformers' continuous batching.

    OMP_WAIT_POLICY=PASSIVE python bench/serve_cpu.py [--rounds 5] [--threads 1]

32 requests (prompts of 16 to 256 tokens, 64 new tokens each, greedy) over random-weight models made
on the spot, ours and the peer in turn. Writes bench/results/serve_cpu.json.
"""

import argparse
import datetime
import json
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM
from transformers.generation import ContinuousBatchingConfig, GenerationConfig

from lianlu.model.checkpoint import init_weights, save_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.serve.config import ServeConfig
from lianlu.serve.engine import Engine
from lianlu.serve.request import SamplingParams

RESULTS = Path(__file__).parent / "results" / "serve_cpu.json"
REQUESTS, NEW_TOKENS, TARGET = 32, 64, 3.0
SHAPES = {
    "4M": DecoderConfig.new(4096, layers=4, width=256, heads=4, kv_heads=4, context=512),
    "11M": DecoderConfig.new(4096, layers=6, width=384, heads=6, kv_heads=2, context=512),
}


def make_model(config: DecoderConfig, path: Path) -> None:
    """A Qwen3 directory with random weights and a tokenizer of one token an id."""
    decoder = Decoder(config)
    init_weights(decoder, seed=0)
    save_model(decoder, path)
    vocabulary = {f"t{i} ": i for i in range(config.vocab_size)}
    Tokenizer(models.WordLevel(vocabulary, unk_token="t0 ")).save(str(path / "tokenizer.json"))


def ours(path: Path, dtype: str, prompts: list[list[int]], threads: int) -> Callable[[], Any]:
    """Serve the workload with a cache that is emptied each time."""
    config = ServeConfig.model_validate(
        {"dtype": dtype, "threads": threads, "kv_tokens": REQUESTS * 512}
    )
    engine = Engine.load(path, config)
    params = SamplingParams(max_tokens=NEW_TOKENS, ignore_eos=True)
    call = iter(range(10**9))

    def run() -> list[list[int]]:
        # Another first token each time: no page of the round before is a prefix of this one's.
        first = next(call) % 1000
        done = engine.generate([[first, *prompt[1:]] for prompt in prompts], params)
        return [completion.token_ids for completion in done]

    return run


def peer(path: Path, dtype: str, prompts: list[list[int]], threads: int) -> Callable[[], Any]:
    """The same through `generate_batch`."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
    generation = GenerationConfig(
        max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=-1, pad_token_id=0
    )
    batching = ContinuousBatchingConfig(
        num_blocks=REQUESTS * 512 // 16, block_size=16, max_batch_tokens=1024
    )
    call = iter(range(10**9))

    def run() -> list[list[int]]:
        torch.set_num_threads(threads)
        first = next(call) % 1000
        done = model.generate_batch(
            inputs=[[first, *prompt[1:]] for prompt in prompts],
            generation_config=generation,
            continuous_batching_config=batching,
            progress_bar=False,
        )
        in_order = sorted(done.values(), key=lambda output: int(output.request_id.split("_")[-1]))
        return [output.generated_tokens for output in in_order]

    return run


def timed(run: Callable[[], Any]) -> tuple[float, list[list[int]]]:
    start = time.perf_counter()
    tokens = run()
    return time.perf_counter() - start, tokens


def measure(name: str, dtype: str, rounds: int, threads: int) -> dict[str, Any]:
    """One row: output tokens a second, the median of `rounds` runs in turn."""
    config = SHAPES[name]
    draw = random.Random(0)
    prompts = [
        [draw.randrange(1, config.vocab_size) for _ in range(draw.randint(16, 256))]
        for _ in range(REQUESTS)
    ]
    with tempfile.TemporaryDirectory() as folder:
        make_model(config, Path(folder))
        runs = [make(Path(folder), dtype, prompts, threads) for make in (ours, peer)]
        seconds: list[list[float]] = [[], []]
        for i in range(rounds + 1):
            results = [timed(run) for run in runs]
            if i == 0:  # warms up, and shows that both do the same work
                same = sum(a == b for a, b in zip(results[0][1], results[1][1], strict=True))
                print(f"{name} {dtype}: {same} of {REQUESTS} outputs are equal")
                continue
            for times, (taken, _) in zip(seconds, results, strict=True):
                times.append(taken)
    mine, theirs = (REQUESTS * NEW_TOKENS / statistics.median(times) for times in seconds)
    return {
        "name": f"{REQUESTS} requests, {name} {dtype}, {threads} thread(s)",
        "unit": "output tokens/s",
        "ours": round(mine, 1),
        "peers": {"transformers generate_batch": round(theirs, 1)},
        "ratio": round(mine / theirs, 2),
        "target": TARGET,
        "met": mine / theirs >= TARGET,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    ).stdout.strip()
    about = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "commit": commit,
        "date": datetime.date.today().isoformat(),
    }
    rows = []
    for name in SHAPES:
        for dtype in ("float32", "bfloat16"):
            rows.append(measure(name, dtype, arguments.rounds, arguments.threads) | about)
            print(json.dumps(rows[-1]))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
