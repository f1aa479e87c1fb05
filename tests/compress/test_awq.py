"""AWQ: the fold changes nothing, and the search lowers the error of loud channels."""

import copy

import torch

from lianlu.compress.awq import group_moments, output_error, rescale
from lianlu.compress.calibrate import Activations
from lianlu.compress.rtn import quantise
from lianlu.model.attention import VarlenAttention
from lianlu.model.checkpoint import init_weights
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder

DOCUMENTS = torch.randint(0, 400, (8, 60), generator=torch.Generator().manual_seed(3)).tolist()


def hidden(decoder: Decoder) -> torch.Tensor:
    tokens, positions = torch.arange(50), torch.arange(50)
    return decoder(tokens, positions, VarlenAttention(torch.tensor([0, 50])))


def test_folding_leaves_the_function_as_it_was(decoder: Decoder) -> None:
    before = hidden(decoder)
    activations = Activations(decoder, DOCUMENTS)
    for block in decoder.model.layers:
        norm = block.input_layernorm.weight.clone()
        rescale(block, activations.observe(block), 32)
        assert not torch.equal(norm, block.input_layernorm.weight)
        activations.advance(block)
    torch.testing.assert_close(hidden(decoder), before, rtol=1e-4, atol=1e-4)


def test_folding_with_grouped_queries_and_biases() -> None:
    config = DecoderConfig.new(400, 1, 64, 4, 2, 64)
    config = DecoderConfig(**{**config.__dict__, "qkv_bias": True, "mlp_bias": True})
    decoder = Decoder(config)
    init_weights(decoder, seed=1)
    decoder.eval().requires_grad_(False)
    for parameter in decoder.parameters():
        if parameter.dim() == 1:
            parameter.uniform_(0.5, 3)
    before = hidden(decoder)
    block = decoder.model.layers[0]
    rescale(block, Activations(decoder, DOCUMENTS).observe(block), 32)
    torch.testing.assert_close(hidden(decoder), before, rtol=1e-4, atol=1e-4)


def test_the_returned_moments_are_those_after_folding(decoder: Decoder) -> None:
    block = decoder.model.layers[0]
    activations = Activations(decoder, DOCUMENTS)
    returned = rescale(block, activations.observe(block), 32)
    for name, fresh in activations.observe(block).items():
        torch.testing.assert_close(returned[name], fresh, rtol=1e-3, atol=1e-4)


def test_the_search_lowers_the_output_error(decoder: Decoder) -> None:
    block = decoder.model.layers[0]
    plain = copy.deepcopy(block)
    moments = Activations(decoder, DOCUMENTS).observe(block)
    scaled = rescale(block, moments, 32)
    # Not v and up: their rows are rescaled too, so their outputs have another size.
    for name in ("self_attn.q_proj", "mlp.gate_proj"):
        weight = plain.get_submodule(name).weight
        rounded = quantise(weight, 32).dequantise()
        before = output_error(rounded - weight, moments[name])
        weight = block.get_submodule(name).weight
        aware = quantise(weight, 32, group_moments(scaled[name], 32)).dequantise()
        assert output_error(aware - weight, scaled[name]) < 0.5 * before


def test_widths_that_do_not_split_are_left_alone(decoder: Decoder) -> None:
    block = decoder.model.layers[0]
    before = copy.deepcopy(block.state_dict())
    rescale(block, Activations(decoder, DOCUMENTS).observe(block), 128)
    untouched = ["self_attn.q_proj.weight", "input_layernorm.weight", "self_attn.o_proj.weight"]
    assert all(torch.equal(before[name], block.state_dict()[name]) for name in untouched)


def test_group_moments_are_the_diagonal_blocks() -> None:
    moments = torch.arange(36.0).view(6, 6)
    found = group_moments(moments, 3)
    assert torch.equal(found[0], moments[:3, :3])
    assert torch.equal(found[1], moments[3:, 3:])
