"""Tuning: full and LoRA learn the dialogues; the adapter is PEFT's."""

from pathlib import Path

import pytest
import torch

from lianlu.errors import UserError
from lianlu.job import Job
from lianlu.lineage import digest_outputs
from lianlu.model.checkpoint import init_weights, load_model, save_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.progress import Progress
from lianlu.train.config import TuneConfig
from lianlu.train.tune import tune

CONFIG = TuneConfig(epochs=6, batch_tokens=256, exact=True, threads=1, save_every=5, lr=0.02)


@pytest.fixture(autouse=True)
def _as_before() -> object:
    threads = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def base(tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    decoder = Decoder(DecoderConfig.new(320, 2, 32, 2, 2, 64))
    init_weights(decoder, 0)
    save_model(decoder, folder, tokenizer_from=tokenizer_dir)
    return folder


def make(out: Path, base: Path, dialogues: Path) -> Job:
    out.mkdir(exist_ok=True)
    return Job(out, {"model": base, "dialogues": dialogues}, Progress(out))


@pytest.mark.parametrize("method", ["full", "lora"])
def test_both_methods_learn(method: str, base: Path, dialogues_dir: Path, tmp_path: Path) -> None:
    facts = tune(CONFIG, method, make(tmp_path, base, dialogues_dir))  # type: ignore[arg-type]
    assert facts["valid_loss"] < facts["valid_loss_before"] - 0.5
    assert facts["dialogues"] == 40
    assert load_model(tmp_path).config == load_model(base).config
    assert (tmp_path / "chat_template.jinja").read_text()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
def test_lora_leaves_an_adapter_that_peft_loads(
    base: Path, dialogues_dir: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    tune(CONFIG, "lora", make(tmp_path, base, dialogues_dir))
    ids = torch.arange(50, 70)[None]
    with torch.no_grad():
        adapted = PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapter"
        )
        merged = AutoModelForCausalLM.from_pretrained(tmp_path)
        torch.testing.assert_close(adapted(ids).logits, merged(ids).logits, rtol=0, atol=1e-4)
        untouched = AutoModelForCausalLM.from_pretrained(base)
        assert (merged(ids).logits - untouched(ids).logits).abs().max() > 0.1


def test_the_same_work_gives_the_same_bytes(
    base: Path, dialogues_dir: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        tune(CONFIG, "lora", make(tmp_path / name, base, dialogues_dir))
    assert digest_outputs(tmp_path / "a") == digest_outputs(tmp_path / "b")


def test_an_unknown_method(base: Path, dialogues_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="methods: full, lora"):
        tune(CONFIG, "qlora", make(tmp_path, base, dialogues_dir))  # type: ignore[arg-type]
