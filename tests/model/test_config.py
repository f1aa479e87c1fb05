import dataclasses

import pytest
import torch
import transformers

from lianlu.errors import UserError
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder

LLAMA = {
    "model_type": "llama",
    "vocab_size": 100,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "max_position_embeddings": 128,
}


@pytest.mark.parametrize(
    "hf",
    [
        LLAMA,
        LLAMA | {"model_type": "qwen2", "tie_word_embeddings": True},
        LLAMA | {"model_type": "qwen3", "head_dim": 24, "attention_bias": True},
        LLAMA | {"model_type": "mistral", "sliding_window": 32},
        LLAMA | {"model_type": "internlm3", "qkv_bias": True, "bias": False, "head_dim": 16},
        LLAMA | {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}},
        LLAMA | {"eos_token_id": [1, 2], "bos_token_id": 0, "pad_token_id": 3},
        LLAMA
        | {
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 32,
                "attention_factor": 1.2,
            }
        },
    ],
)
def test_reading_what_was_written_gives_the_same(hf: dict[str, object]):
    config = DecoderConfig.from_hf(hf)
    assert DecoderConfig.from_hf(config.to_hf()) == config


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral"])
def test_transformers_reads_the_same_from_ours(family: str):
    ours = DecoderConfig.from_hf(LLAMA | {"model_type": family, "rope_theta": 123.0})
    theirs = transformers.AutoConfig.for_model(**ours.to_hf())
    assert DecoderConfig.from_hf(theirs.to_dict()) == ours
    assert theirs.rope_parameters["rope_theta"] == 123.0


def test_older_and_newer_rope_keys_mean_the_same():
    older = LLAMA | {"rope_theta": 7.0, "rope_scaling": {"type": "linear", "factor": 2.0}}
    newer = LLAMA | {"rope_parameters": {"rope_theta": 7.0, "rope_type": "linear", "factor": 2.0}}
    assert DecoderConfig.from_hf(older) == DecoderConfig.from_hf(newer)


def test_a_window_limits_the_context_only_where_it_is_on():
    window = {"model_type": "qwen2", "sliding_window": 32}
    assert DecoderConfig.from_hf(LLAMA | window).context == 128
    assert DecoderConfig.from_hf(LLAMA | window | {"use_sliding_window": True}).context == 32


@pytest.mark.parametrize(
    "config",
    [
        DecoderConfig.new(100, 2, 64, 4, 2, 128),
        DecoderConfig.from_hf(LLAMA | {"attention_bias": True, "mlp_bias": True}),
        DecoderConfig.from_hf(LLAMA | {"model_type": "qwen2"}),
    ],
)
def test_parameters_are_counted(config: DecoderConfig):
    with torch.device("meta"):
        decoder = Decoder(config)
    assert config.parameters() == sum(weight.numel() for weight in decoder.parameters())


def test_new_is_qwen3_and_hashable():
    config = DecoderConfig.new(100, 2, 64, 4, 2, 128)
    assert config.to_hf()["architectures"] == ["Qwen3ForCausalLM"]
    assert config.ffn == 192
    assert len({config, dataclasses.replace(config)}) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "qwen4"}, "nearest one is 'qwen3'"),
        ({"model_type": None}, "no model_type"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}}, "'longrope'"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "no factor"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "mscale": 1.0}}, "mscale"),
    ],
)
def test_what_we_do_not_have_is_refused(change: dict[str, object], words: str):
    with pytest.raises(UserError, match=words):
        DecoderConfig.from_hf(LLAMA | change)


def test_a_missing_key_is_named():
    with pytest.raises(UserError, match="'hidden_size' is missing"):
        DecoderConfig.from_hf({key: LLAMA[key] for key in LLAMA if key != "hidden_size"})


@pytest.mark.parametrize("shape", [(100, 2, 66, 4, 2, 128), (100, 2, 64, 4, 3, 128)])
def test_heads_must_fit(shape: tuple[int, ...]):
    with pytest.raises(UserError, match="heads"):
        DecoderConfig.new(*shape)
