import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file

from lianlu.model.attention import VarlenAttention
from lianlu.model.checkpoint import load_model, save_model

HEADS, KV, DIM, FFN = 4, 2, 8, 40
OLD = {
    "model.embed_tokens": "model.tok_embeddings",
    "lm_head": "output",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}


@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_equals_a_llama_packed_as_internlm2_describes(bias: bool, tmp_path: Path):
    """wqkv holds, for each key-value head, its query heads, then its key, then its value."""
    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=HEADS * DIM,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KV,
        intermediate_size=FFN,
        max_position_embeddings=64,
        attention_bias=bias,
        initializer_range=0.2,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    state = {name: torch.randn_like(weight) * 0.2 for name, weight in model.state_dict().items()}
    model.load_state_dict(state)
    tensors = {}
    for part in ("weight", "bias") if bias else ("weight",):
        for layer in range(2):
            prefix = f"model.layers.{layer}"
            q, k, v = (state.pop(f"{prefix}.self_attn.{x}_proj.{part}") for x in "qkv")
            rows = []
            for head in range(KV):
                group = HEADS // KV * DIM
                rows += [q[head * group : (head + 1) * group]]
                rows += [x[head * DIM : (head + 1) * DIM] for x in (k, v)]
            tensors[f"{prefix}.attention.wqkv.{part}"] = torch.cat(rows)
    for name, weight in state.items():
        for new, old in OLD.items():
            name = name.replace(new, old)
        tensors[name] = weight
    save_file(tensors, tmp_path / "model.safetensors")
    hf = config.to_dict() | {"model_type": "internlm2", "bias": bias}
    (tmp_path / "config.json").write_text(json.dumps(hf))

    decoder = load_model(tmp_path)
    tokens = torch.randint(0, 50, (20,))
    attend = VarlenAttention(torch.tensor([0, 20]))
    got = decoder.logits(decoder(tokens, torch.arange(20), attend))
    want = model(tokens[None]).logits[0]
    assert (got - want).abs().max() <= 2e-5

    save_model(decoder, tmp_path / "out")  # written as Llama: no remote code is needed to read it
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(again(tokens[None]).logits[0], want)
