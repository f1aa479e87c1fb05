"""The recipe's `compress` section."""

from typing import Literal

from pydantic import Field

from lianlu.section import Section


class CompressConfig(Section):
    """Weights to fewer bits."""

    method: Literal["rtn", "awq"] = "awq"
    """Round to nearest with clip search, or AWQ: activation-aware scales as well."""
    bits: Literal[4] = 4
    """Bits per weight of the linear layers."""
    group: Literal[32, 64, 128] = 32
    """Weights that share one scale, along the input dimension."""
    symmetric: bool = True
    """One scale a group; false stores a zero point beside it, better for small models."""
    leave: list[str] = Field(default_factory=list)
    """Layers that stay as they are, named as in the report: `model.layers.0.mlp.down_proj`."""
    kv_bits: Literal[8, 16] = 8
    """Bits per element of the KV cache when the compressed model is served."""
    calibration: int = Field(default=64, ge=1)
    """Training documents that show the activations; held-out ones are never used."""
    documents: int = Field(default=40, ge=1)
    """Held-out documents whose bits per byte are compared."""
    max_loss: float = Field(default=0.03, ge=0)
    """Largest allowed relative rise of bits per byte; beyond it the uncompressed model is kept."""
