"""A decoder with 4-bit linears as a compressed-tensors "pack-quantized" directory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lianlu.kernels.int4 import Int4Linear
from lianlu.lineage import write_json
from lianlu.model.checkpoint import read_config, save_model
from lianlu.model.decoder import Decoder


def save_packed(decoder: Decoder, path: Path, tokenizer_from: Path, kv_bits: int) -> None:
    """Write a directory that `load_model`, transformers and vLLM read.

    Every linear that is no `Int4Linear` is listed under `ignore`. `lianlu.json` carries what the
    format has no place for: the bits of the KV cache.

    Raises:
        ValueError: the decoder holds no 4-bit linear, or they differ in group or symmetry.
    """
    packed = [m for m in decoder.modules() if isinstance(m, Int4Linear)]
    shapes = {(layer.group, layer.weight_zero_point is None) for layer in packed}
    if len(shapes) != 1:
        raise ValueError(f"one group size and symmetry expected, found {sorted(shapes)}")
    group, symmetric = shapes.pop()
    plain = [name for name, m in decoder.named_modules() if isinstance(m, nn.Linear)]
    save_model(decoder, path, tokenizer_from)
    config = read_config(path)
    # Tied embeddings have no lm_head of their own here, but other readers make one.
    ignore = sorted({*plain, "lm_head"})
    config["quantization_config"] = quantization_config(group, symmetric, ignore)
    write_json(path / "config.json", config)
    write_json(path / "lianlu.json", {"kv_bits": kv_bits})


def quantization_config(group: int, symmetric: bool, ignore: Sequence[str]) -> dict[str, Any]:
    """The `quantization_config` of `config.json` (compressed-tensors 0.9 and later)."""
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {
                    "num_bits": 4,
                    "type": "int",
                    "symmetric": symmetric,
                    "strategy": "group",
                    "group_size": group,
                },
            }
        },
        "ignore": list(ignore),
    }
