import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from lianlu.errors import UserError
from lianlu.kernels.int4 import Int4Linear
from lianlu.model.attention import VarlenAttention
from lianlu.model.checkpoint import init_weights, load_config, load_model, save_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.model.tokenizer import Tokenizer

CONFIG = DecoderConfig.new(60, 2, 32, 4, 2, 64)


def new(seed: int = 0, config: DecoderConfig = CONFIG) -> Decoder:
    decoder = Decoder(config)
    init_weights(decoder, seed)
    return decoder


@pytest.fixture
def saved(tmp_path: Path, tokenizer_dir: Path) -> Path:
    save_model(new(), tmp_path / "model", tokenizer_dir)
    return tmp_path / "model"


@torch.no_grad()
def test_transformers_loads_what_we_write(saved: Path):
    model = transformers.AutoModelForCausalLM.from_pretrained(saved)
    assert type(model).__name__ == "Qwen3ForCausalLM"
    assert model.dtype == torch.float32
    tokens = torch.randint(0, 60, (30,))
    decoder = load_model(saved)
    attend = VarlenAttention(torch.tensor([0, 30]))
    ours = decoder.logits(decoder(tokens, torch.arange(30), attend))
    assert (ours - model(tokens[None]).logits[0]).abs().max() <= 2e-5
    assert transformers.AutoTokenizer.from_pretrained(saved).chat_template


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral"])
def test_round_trip_is_byte_equal(family: str, tmp_path: Path):
    config = transformers.AutoConfig.for_model(
        family,
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        head_dim=8,
    )
    model = transformers.AutoModelForCausalLM.from_config(config).bfloat16()
    model.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    assert len(list((tmp_path / "theirs").glob("*.safetensors"))) > 1
    save_model(load_model(tmp_path / "theirs"), tmp_path / "ours")
    back = load_file(tmp_path / "ours" / "model.safetensors")
    state = {name: tensor for name, tensor in model.state_dict().items() if name in back}
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in back)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert again.dtype == torch.bfloat16


def test_same_weights_give_the_same_bytes(tmp_path: Path):
    for name in ("a", "b"):
        save_model(new(), tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_weights_depend_on_seed_and_name_only():
    one, other = new(3).state_dict(), new(4).state_dict()
    deeper = new(3, DecoderConfig.new(60, 3, 32, 4, 2, 64)).state_dict()
    name = "model.layers.1.self_attn.q_proj.weight"
    assert torch.equal(one[name], new(3).state_dict()[name])
    assert torch.equal(one[name], deeper[name])
    assert not torch.equal(one[name], other[name])
    assert not torch.equal(one[name], one[name.replace("1", "0", 1)])


def test_dtype_can_be_chosen(saved: Path):
    assert next(load_model(saved, dtype=torch.bfloat16).parameters()).dtype == torch.bfloat16


def rewrite(directory: Path, change) -> None:  # type: ignore[no-untyped-def]
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")


def missing_tensor(saved: Path) -> None:
    rewrite(saved, lambda tensors: tensors.pop("model.norm.weight"))


def wrong_shape(saved: Path) -> None:
    rewrite(saved, lambda tensors: tensors.update({"model.norm.weight": torch.ones(31)}))


def extra_tensor(saved: Path) -> None:
    rewrite(saved, lambda tensors: tensors.update({"vision.weight": torch.ones(3)}))


def truncated(saved: Path) -> None:
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def corrupt(saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"\xff" * 1000)


def no_weights(saved: Path) -> None:
    (saved / "model.safetensors").unlink()


def missing_shard(saved: Path) -> None:
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (saved / "model.safetensors.index.json").write_text(json.dumps(index))


def broken_config(saved: Path) -> None:
    (saved / "config.json").write_text("{")


def listed_config(saved: Path) -> None:
    (saved / "config.json").write_text("[]")


def no_config(saved: Path) -> None:
    (saved / "config.json").unlink()


def strange_quantization(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq"}
    (saved / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (missing_tensor, "missing, the first is model.norm.weight"),
        (wrong_shape, r"shape \[31\], the config asks for \[32\]"),
        (extra_tensor, "no place in the decoder"),
        (truncated, "truncated or corrupt"),
        (corrupt, "truncated or corrupt"),
        (no_weights, "no weights"),
        (missing_shard, "model-00001-of-00002.safetensors"),
        (broken_config, "not JSON"),
        (listed_config, "not a JSON object"),
        (no_config, "no such file"),
        (strange_quantization, "quantized as 'gptq'"),
    ],
)
def test_damage_is_a_clear_error(damage, words: str, saved: Path):  # type: ignore[no-untyped-def]
    damage(saved)
    with pytest.raises(UserError, match=words):
        load_model(saved)


def test_a_new_model_learns_its_ends_from_the_tokenizer(saved: Path, tokenizer_dir: Path):
    specials = Tokenizer.load(tokenizer_dir).special_ids
    ends = (specials["<|im_end|>"], specials["<|endoftext|>"])
    assert load_config(saved) == replace(CONFIG, eos_ids=ends, pad_id=ends[1])
    generation = transformers.GenerationConfig.from_pretrained(saved)
    assert generation.eos_token_id == list(ends)


@torch.no_grad()
def test_a_packed_directory_computes_with_its_four_bits(tmp_path: Path):
    plain = new()
    name = "model.layers.1.mlp.up_proj"
    values = torch.randint(-8, 8, (CONFIG.ffn, CONFIG.width))
    scale = torch.rand(CONFIG.ffn, CONFIG.width // 16) * 0.1
    plain.get_submodule(name).weight.copy_(values * scale.repeat_interleave(16, 1))
    packed = new()
    packed.set_submodule(name, Int4Linear.from_quantised(values, scale))
    save_model(packed, tmp_path)
    with pytest.raises(UserError, match="are missing"):  # nothing says yet that it is packed
        load_model(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"format": "pack-quantized"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = load_model(tmp_path)
    assert isinstance(loaded.get_submodule(name), Int4Linear)
    tokens = torch.arange(30)
    attend = VarlenAttention(torch.tensor([0, 30]))
    got, want = (model(tokens, tokens, attend) for model in (loaded, plain))
    assert (got - want).abs().max() < 1e-5
    rewrite(tmp_path, lambda tensors: tensors.pop(f"{name}.weight_scale"))
    with pytest.raises(UserError, match="weight_scale is missing"):
        load_model(tmp_path)
