import json
from pathlib import Path

import peft
import pytest
import torch
import transformers
from torch import Tensor

from lianlu.errors import UserError
from lianlu.model.adapters import (
    ALL_LINEAR,
    LoraLinear,
    add_lora,
    load_adapter,
    merge_lora,
    save_adapter,
)
from lianlu.model.attention import VarlenAttention
from lianlu.model.checkpoint import init_weights, load_model, save_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder

# peft asks transformers by a name that transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")

TOKENS = torch.arange(20)


def new() -> Decoder:
    decoder = Decoder(DecoderConfig.new(60, 2, 32, 4, 2, 64))
    init_weights(decoder, 0)
    return decoder


@torch.no_grad()
def logits(decoder: Decoder) -> Tensor:
    attend = VarlenAttention(torch.tensor([0, 20]))
    return decoder.logits(decoder(TOKENS, torch.arange(20), attend))


@torch.no_grad()
def stir(decoder: Decoder) -> None:
    for name, weight in decoder.named_parameters():
        if name.endswith("lora_B"):
            weight.normal_(0, 0.3)


@pytest.fixture
def tuned() -> Decoder:
    decoder = new()
    add_lora(decoder, rank=4, alpha=6, targets=("q_proj", "v_proj", "down_proj"))
    stir(decoder)
    return decoder


def test_a_fresh_lora_changes_nothing_and_only_it_trains():
    decoder = new()
    before = logits(decoder)
    add_lora(decoder, rank=4)
    assert torch.equal(logits(decoder), before)
    trained = {name for name, weight in decoder.named_parameters() if weight.requires_grad}
    assert len(trained) == 2 * len(ALL_LINEAR) * 2
    assert all("lora_" in name for name in trained)


@torch.no_grad()
def test_peft_loads_ours_with_the_same_logits(tuned: Decoder, tmp_path: Path):
    save_model(new(), tmp_path / "base")
    save_adapter(tuned, tmp_path / "adapter", base="base")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    untuned = model(TOKENS[None]).logits[0]
    model = peft.PeftModel.from_pretrained(model, tmp_path / "adapter").eval()
    want = model(TOKENS[None]).logits[0]
    assert (want - untuned).abs().max() > 0.1
    assert (logits(tuned) - want).abs().max() <= 2e-5


@pytest.mark.parametrize("rslora", [False, True])
@torch.no_grad()
def test_we_load_pefts_with_the_same_logits(rslora: bool, tmp_path: Path):
    save_model(new(), tmp_path / "base")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    config = peft.LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=["k_proj", "gate_proj"],
        use_rslora=rslora,
        task_type="CAUSAL_LM",
        init_lora_weights=False,
    )
    model = peft.get_peft_model(model, config).eval()
    model.save_pretrained(tmp_path / "adapter")
    decoder = load_model(tmp_path / "base")
    load_adapter(decoder, tmp_path / "adapter")
    assert (logits(decoder) - model(TOKENS[None]).logits[0]).abs().max() <= 2e-5


def test_merged_equals_unmerged(tuned: Decoder):
    before = logits(tuned)
    merge_lora(tuned)
    assert not any(isinstance(module, LoraLinear) for module in tuned.modules())
    assert tuned.state_dict().keys() == new().state_dict().keys()
    assert (logits(tuned) - before).abs().max() < 1e-5


def test_saved_and_loaded_is_the_same(tuned: Decoder, tmp_path: Path):
    save_adapter(tuned, tmp_path)
    decoder = new()
    load_adapter(decoder, tmp_path)
    assert torch.equal(logits(decoder), logits(tuned))


def damage(directory: Path, **change: object) -> None:
    config = json.loads((directory / "adapter_config.json").read_text())
    (directory / "adapter_config.json").write_text(json.dumps(config | change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"r": 8}, "is this its base model"),
    ],
)
def test_other_kinds_are_refused(
    change: dict[str, object], words: str, tuned: Decoder, tmp_path: Path
):
    save_adapter(tuned, tmp_path)
    damage(tmp_path, **change)
    with pytest.raises(UserError, match=words):
        load_adapter(new(), tmp_path)


def test_a_missing_adapter_is_a_clear_error(tmp_path: Path):
    with pytest.raises(UserError, match="not a readable PEFT adapter"):
        load_adapter(new(), tmp_path)


def test_an_unknown_target_is_a_clear_error():
    with pytest.raises(UserError, match="c_attn"):
        add_lora(new(), 4, targets=("q_proj", "c_attn"))


def test_a_second_lora_is_refused(tuned: Decoder):
    with pytest.raises(UserError, match="has a LoRA already"):
        add_lora(tuned, 4)


def test_nothing_to_save_is_a_clear_error(tmp_path: Path):
    with pytest.raises(UserError, match="no LoRA"):
        save_adapter(new(), tmp_path)
