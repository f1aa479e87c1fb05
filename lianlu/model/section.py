"""The recipe's `tokenizer` and `model` sections."""

from typing import Literal

from pydantic import Field

from lianlu.section import Section


class TokenizerConfig(Section):
    """A byte-level BPE trained on the corpus."""

    vocab_size: int = Field(default=4096, ge=300)
    """Ids, special tokens included."""
    sample_mb: float = Field(default=16, gt=0)
    """Text it is trained on, drawn evenly over the corpus."""


class ModelConfig(Section):
    """Where the weights come from: a base by path or hub id, or a new decoder of a given shape."""

    base: str | None = None
    """A model directory, `hf:owner/name` or `ms:owner/name`; empty pretrains a new decoder."""
    layers: int = Field(default=4, ge=1)
    """Decoder blocks."""
    width: int = Field(default=256, ge=32)
    """Size of the residual stream; the MLP is 8/3 as wide, rounded up to 64."""
    heads: int = Field(default=4, ge=1)
    """Query heads."""
    kv_heads: int = Field(default=4, ge=1)
    """Key and value heads; must divide `heads`."""
    context: int = Field(default=512, ge=64)
    """Longest sequence, in tokens."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of training; auto takes bfloat16 where the machine is faster in it."""
