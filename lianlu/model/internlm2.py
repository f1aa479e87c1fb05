"""InternLM2 checkpoints under Llama's names: the same arithmetic, packed another way."""

from collections.abc import Iterator

from torch import Tensor

NAMES = {
    "model.tok_embeddings": "model.embed_tokens",
    "output": "lm_head",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w3": "mlp.up_proj",
    "feed_forward.w2": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def internlm2_as_llama(
    tensors: Iterator[tuple[str, Tensor]], group: int, head_dim: int
) -> Iterator[tuple[str, Tensor]]:
    """Rename InternLM2's tensors and split `wqkv`.

    The rows of `wqkv` stand by key-value head: `group` query heads, one key, one value, each of
    `head_dim` rows.
    """
    for name, tensor in tensors:
        if ".attention.wqkv." in name:
            packed = tensor.unflatten(0, (-1, group + 2, head_dim))
            parts = packed[:, :group], packed[:, group], packed[:, group + 1]
            for kind, part in zip("qkv", parts, strict=True):
                new = name.replace("attention.wqkv", f"self_attn.{kind}_proj")
                yield new, part.reshape(-1, *tensor.shape[1:])
            continue
        for old, new in NAMES.items():
            if f".{old}." in f".{name}":
                name = f".{name}".replace(f".{old}.", f".{new}.")[1:]
                break
        yield name, tensor
