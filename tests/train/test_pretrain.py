"""Pretraining writes a model that transformers loads; kill -9 changes nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lianlu.errors import UserError
from lianlu.job import Job
from lianlu.lineage import digest_outputs, write_json
from lianlu.model.checkpoint import load_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.model.section import ModelConfig
from lianlu.progress import Progress
from lianlu.train.config import PretrainConfig
from lianlu.train.pretrain import flops_per_token, pretrain

MODEL = ModelConfig(layers=2, width=32, heads=2, kv_heads=2, context=64, dtype="float32")
CONFIG = PretrainConfig(tokens=4096, batch_tokens=256, exact=True, threads=1, save_every=4)

CHILD = """
import sys
from pathlib import Path
from lianlu.job import Job
from lianlu.model.section import ModelConfig
from lianlu.progress import Progress
from lianlu.train.config import PretrainConfig
from lianlu.train.pretrain import pretrain
out, tokens, tokenizer = map(Path, sys.argv[1:4])
job = Job(out, {"tokens": tokens, "tokenizer": tokenizer}, Progress(out))
pretrain(PretrainConfig.model_validate_json(sys.argv[4]),
         ModelConfig.model_validate_json(sys.argv[5]), job)
"""


@pytest.fixture(autouse=True)
def _as_before() -> object:
    threads = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def make(out: Path, tokens: Path, tokenizer: Path) -> Job:
    out.mkdir(exist_ok=True)
    return Job(out, {"tokens": tokens, "tokenizer": tokenizer}, Progress(out))


def test_the_result_is_an_ordinary_model(
    tokens_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    facts = pretrain(CONFIG, MODEL, make(tmp_path, tokens_dir, tokenizer_dir))
    assert facts["steps"] == 16
    assert facts["tokens"] == 4096
    assert facts["valid_loss"] < 5.5
    assert facts["skipped_steps"] == []
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    ours = load_model(tmp_path)
    assert sum(p.numel() for p in theirs.parameters()) == facts["parameters"]
    assert sum(p.numel() for p in ours.parameters()) == facts["parameters"]
    assert (tmp_path / "tokenizer.json").exists()
    assert not (tmp_path / "checkpoint").exists()


def test_operations_are_counted_as_torch_counts_them() -> None:
    shape = DecoderConfig.new(320, 2, 32, 2, 2, 64)
    decoder = Decoder(shape)
    tokens = torch.zeros(64, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        attend = ByMatrices(torch.ones(64, 64).tril().bool())
        hidden = decoder(tokens, torch.arange(64), attend)
        decoder.logits(hidden).sum().backward()
    # Dense attention computes the half that the mask hides, and norms multiply no matrices.
    hidden_half = 6 * shape.layers * shape.heads * shape.head_dim * shape.context
    counted = counter.get_total_flops() / 64 - hidden_half
    assert flops_per_token(shape) == pytest.approx(counted, rel=0.03)


class ByMatrices:
    """Attention by plain matrix products, which the counter knows."""

    def __init__(self, seen: torch.Tensor) -> None:
        self.seen = seen

    def __call__(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
    ) -> torch.Tensor:
        scores = torch.einsum("qhd,khd->hqk", q, k).masked_fill(~self.seen, float("-inf"))
        return torch.einsum("hqk,khd->qhd", scores.softmax(-1), v)


def test_kill_and_resume_give_the_same_bytes(
    tokens_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    undisturbed, killed = tmp_path / "a", tmp_path / "b"
    pretrain(CONFIG, MODEL, make(undisturbed, tokens_dir, tokenizer_dir))
    killed.mkdir()
    command = [
        sys.executable, "-c", CHILD, str(killed), str(tokens_dir), str(tokenizer_dir),
        CONFIG.model_dump_json(), MODEL.model_dump_json(),
    ]  # fmt: skip
    child = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while child.poll() is None and not list(killed.glob("checkpoint/*.json")):
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    facts = pretrain(CONFIG, MODEL, make(killed, tokens_dir, tokenizer_dir))
    assert digest_outputs(killed) == digest_outputs(undisturbed)
    assert facts["steps"] == 16


def test_exact_bytes_do_not_depend_on_the_cores(
    tokens_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    short = CONFIG.model_copy(update={"tokens": 1024})
    for name, threads in (("a", 1), ("b", 2)):
        config = short.model_copy(update={"threads": threads, "save_every": threads})
        pretrain(config, MODEL, make(tmp_path / name, tokens_dir, tokenizer_dir))
    assert digest_outputs(tmp_path / "a") == digest_outputs(tmp_path / "b")


def test_tokens_of_another_tokenizer_are_refused(
    tokens_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    other = tmp_path / "tokens"
    other.mkdir()
    for path in tokens_dir.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    facts = {"dtype": "uint16", "tokenizer_digest": "another", "bytes_per_token": 2.0}
    write_json(other / "tokens.json", facts)
    with pytest.raises(UserError, match="another tokenizer"):
        pretrain(CONFIG, MODEL, make(tmp_path / "out", other, tokenizer_dir))
