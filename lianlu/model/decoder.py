"""The decoder: one forward over packed tokens for training, prefill and decoding."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lianlu.model.config import DecoderConfig
from lianlu.model.rope import rotary_table, rotate


class Attend(Protocol):
    """An attention backend: packed training, a paged KV cache, or the reference."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """`q` [T, H, D], `k` and `v` [T, KV, D] with RoPE applied → [T, H, D]."""
        ...


class RMSNorm(nn.Module):
    """Root mean square norm, summed in fp32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # Under autocast `x` may be bf16 while the weight is fp32: torch fuses equal types only.
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class Attention(nn.Module):
    """Grouped-query attention around a backend that owns keys and values."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = config.head_dim
        q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.q_proj = nn.Linear(config.width, q, bias=config.qkv_bias)
        self.k_proj = nn.Linear(config.width, kv, bias=config.qkv_bias)
        self.v_proj = nn.Linear(config.width, kv, bias=config.qkv_bias)
        self.o_proj = nn.Linear(q, config.width, bias=config.o_bias)
        if config.qk_norm:
            self.q_norm = RMSNorm(config.head_dim, config.norm_eps)
            self.k_norm = RMSNorm(config.head_dim, config.norm_eps)
        self.qk_norm = config.qk_norm

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend) -> Tensor:
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim))
        k = self.k_proj(x).unflatten(-1, (-1, self.head_dim))
        v = self.v_proj(x).unflatten(-1, (-1, self.head_dim))
        if self.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        mixed = attend(self.layer, rotate(q, cos, sin), rotate(k, cos, sin), v)
        return self.o_proj(mixed.flatten(-2))


class MLP(nn.Module):
    """SwiGLU (Shazeer 2020)."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.ffn, bias=config.mlp_bias)
        self.up_proj = nn.Linear(config.width, config.ffn, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.ffn, config.width, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """Attention and MLP, each behind a norm and added to the residual stream."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.width, config.norm_eps)
        self.post_attention_layernorm = RMSNorm(config.width, config.norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, attend)
        return x + self.mlp(self.post_attention_layernorm(x))


class Trunk(nn.Module):
    """Embeddings, blocks and the last norm; called `model` in Hugging Face's names."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.width)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)


class Decoder(nn.Module):
    """A decoder with the parameter names of Hugging Face's Llama.

    Weights are uninitialised noise until `load_model` or `init_weights` has filled them.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Trunk(config)
        if not config.tie:
            self.lm_head = nn.Linear(config.width, config.vocab_size, bias=False)

    def forward(self, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """`tokens` and `positions` int64 [T], any number of sequences packed → hidden [T, width].

        Which token sees which is the business of `attend`.
        """
        cos, sin = rotary_table(self.config, positions)
        x = self.model.embed_tokens(tokens)
        for block in self.model.layers:
            x = block(x, cos, sin, attend)
        return self.model.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """`hidden` [N, width] → [N, vocab] in the dtype of the weights."""
        tied = self.config.tie
        return F.linear(hidden, (self.model.embed_tokens if tied else self.lm_head).weight)
