"""The written directory: read back by load_model, and by transformers as the oracle."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from lianlu.compress.pack import quantization_config, save_packed
from lianlu.compress.rtn import quantise
from lianlu.kernels.int4 import Int4Linear
from lianlu.model.attention import VarlenAttention
from lianlu.model.checkpoint import load_model
from lianlu.model.decoder import Decoder


def packed(decoder: Decoder, symmetric: bool, leave: str = "") -> Decoder:
    for name, module in list(decoder.model.layers.named_modules()):
        if isinstance(module, nn.Linear) and name != leave:
            found = quantise(module.weight, 32, symmetric=symmetric)
            layer = Int4Linear.from_quantised(found.values, found.scale, found.zero)
            decoder.model.layers.set_submodule(name, layer)
    return decoder.to(torch.bfloat16)


def logits(decoder: Decoder) -> torch.Tensor:
    tokens = torch.arange(5, 35)
    attend = VarlenAttention(torch.tensor([0, len(tokens)]))
    return decoder.logits(decoder(tokens, torch.arange(len(tokens)), attend))


@pytest.mark.parametrize("symmetric", [True, False])
def test_round_trip(decoder: Decoder, workplace: Path, tmp_path: Path, symmetric: bool) -> None:
    small = packed(decoder, symmetric, leave="1.mlp.down_proj")
    save_packed(small, tmp_path, workplace / "model", kv_bits=8)
    loaded = load_model(tmp_path)
    assert torch.equal(logits(loaded), logits(small))
    assert isinstance(loaded.model.layers[1].mlp.down_proj, nn.Linear)
    assert isinstance(loaded.model.layers[0].mlp.down_proj, Int4Linear)
    config = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert config["ignore"] == ["lm_head", "model.layers.1.mlp.down_proj"]
    assert json.loads((tmp_path / "lianlu.json").read_text()) == {"kv_bits": 8}
    assert (tmp_path / "tokenizer.json").is_file()


def test_transformers_reads_it_and_agrees(
    decoder: Decoder, workplace: Path, tmp_path: Path
) -> None:
    pytest.importorskip("compressed_tensors")
    from transformers import AutoModelForCausalLM

    save_packed(packed(decoder, symmetric=True), tmp_path, workplace / "model", kv_bits=8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
        with torch.inference_mode():
            expected = theirs(torch.arange(5, 35)[None]).logits[0]
    ours = logits(load_model(tmp_path, dtype=torch.float32))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("symmetric", [True, False])
def test_compressed_tensors_reads_each_tensor_as_we_do(symmetric: bool) -> None:
    pytest.importorskip("compressed_tensors")
    from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationScheme

    found = quantise(torch.randn(20, 96), 32, symmetric=symmetric)
    layer = Int4Linear.from_quantised(found.values, found.scale, found.zero)
    group = quantization_config(32, symmetric, [])["config_groups"]["group_0"]
    scheme = QuantizationScheme(**group)
    theirs = PackedQuantizationCompressor.decompress(layer.state_dict(), scheme)["weight"]
    torch.testing.assert_close(theirs, layer.weight(), rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(theirs.float(), found.dequantise(), rtol=1e-2, atol=1e-3)


def test_a_decoder_without_packed_layers_is_refused(decoder: Decoder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one group size"):
        save_packed(decoder, tmp_path, tmp_path, kv_bits=8)
