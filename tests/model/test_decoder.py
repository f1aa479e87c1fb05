"""Logits and greedy text equal those of transformers, family by family."""

from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from lianlu.model.attention import VarlenAttention
from lianlu.model.checkpoint import init_weights, load_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder

SHAPE = {
    "vocab_size": 97,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 80,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "head_dim": 12,
    "tie_word_embeddings": False,
}
CASES = {
    "llama": {},
    "llama, tied, biased": {
        "model_type": "llama",
        "tie_word_embeddings": True,
        "attention_bias": True,
        "mlp_bias": True,
    },
    "llama3 rope": {
        "model_type": "llama",
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 5e4,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    },
    "linear rope": {
        "model_type": "llama",
        "rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0},
    },
    "dynamic rope": {
        "model_type": "llama",
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0},
    },
    "yarn rope": {
        "model_type": "qwen3",
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 1e4,
            "factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    },
    "mistral": {"sliding_window": 64},
    "qwen2": {},
    "qwen3": {"tie_word_embeddings": True},
}


def oracle(case: str) -> transformers.PreTrainedModel:
    extra = dict(CASES[case])
    family = extra.pop("model_type", case)
    config = transformers.AutoConfig.for_model(family, **SHAPE | extra)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():  # biases and norms start at 0 and 1: a mix-up would not show
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.add_(torch.randn_like(weight) * 0.2)
    return model


def logits(decoder: Decoder, tokens: Tensor) -> Tensor:
    attend = VarlenAttention(torch.tensor([0, len(tokens)]))
    return decoder.logits(decoder(tokens, torch.arange(len(tokens)), attend))


def greedy(decoder: Decoder, tokens: Tensor, n: int) -> list[int]:
    for _ in range(n):
        tokens = torch.cat((tokens, logits(decoder, tokens)[-1:].argmax(-1)))
    return tokens.tolist()


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_equals_transformers(case: str, tmp_path: Path):
    model = oracle(case)
    model.save_pretrained(tmp_path)
    decoder = load_model(tmp_path)
    tokens = torch.randint(0, 97, (40,))
    want = model(tokens[None]).logits[0]
    assert want.std() > 0.1
    assert (logits(decoder, tokens) - want).abs().max() <= 2e-5
    seen = torch.ones(1, 40, dtype=torch.long)
    settings = {"max_new_tokens": 16, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    generated = model.generate(tokens[None], attention_mask=seen, **settings)
    assert greedy(decoder, tokens, 16) == generated[0].tolist()


@torch.no_grad()
def test_bfloat16_errs_no_more_than_transformers(tmp_path: Path):
    model = oracle("qwen3").bfloat16()
    model.save_pretrained(tmp_path)
    tokens = torch.randint(0, 97, (40,))
    ours, theirs = logits(load_model(tmp_path), tokens), model(tokens[None]).logits[0]
    assert ours.dtype == torch.bfloat16
    exact = model.float()(tokens[None]).logits[0]
    assert (ours - exact).abs().mean() <= 1.2 * (theirs - exact).abs().mean()


@torch.no_grad()
def test_packed_sequences_equal_each_alone():
    decoder = Decoder(DecoderConfig.new(50, 2, 32, 2, 1, 64))
    init_weights(decoder, seed=1)
    parts = [torch.randint(0, 50, (n,)) for n in (7, 1, 20)]
    positions = torch.cat([torch.arange(len(part)) for part in parts])
    attend = VarlenAttention(torch.tensor([0, 7, 8, 28]))
    together = decoder.logits(decoder(torch.cat(parts), positions, attend))
    alone = torch.cat([logits(decoder, part) for part in parts])
    assert (together - alone).abs().max() < 1e-5


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's tracer looks at every tensor
def test_blocks_compile_once_for_all_layers_and_batches():
    decoder = Decoder(DecoderConfig.new(50, 10, 32, 2, 1, 64))
    init_weights(decoder, seed=1)
    graphs = []

    def count(graph: torch.fx.GraphModule, _: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    for block in decoder.model.layers:
        block.compile(backend=count, fullgraph=True)
    for lengths in ([16], [3, 13], [1] * 16):
        positions = torch.cat([torch.arange(n) for n in lengths])
        attend = VarlenAttention(torch.tensor([0, *lengths]).cumsum(0))
        decoder(positions, positions, attend).sum().backward()
    assert len(graphs) == 1
