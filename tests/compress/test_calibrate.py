"""Moments against the plain product of recorded inputs."""

import torch

from lianlu.compress.calibrate import Activations
from lianlu.model.attention import VarlenAttention
from lianlu.model.decoder import Decoder

DOCUMENTS = [[5, 6, 7, 8], [], [9] * 100, [3, 1, 4, 1, 5, 9, 2, 6]]


def recorded(decoder: Decoder, name: str) -> torch.Tensor:
    """The inputs of one linear in one plain forward over all documents."""
    seen: list[torch.Tensor] = []
    linear = decoder.get_submodule(name)
    hook = linear.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    lengths = [min(len(document), 64) for document in DOCUMENTS if document]
    tokens = torch.tensor([t for document in DOCUMENTS for t in document[:64]])
    positions = torch.cat([torch.arange(n) for n in lengths])
    decoder(tokens, positions, VarlenAttention(torch.tensor([0, *lengths]).cumsum(0)))
    hook.remove()
    return seen[0]


def test_moments_are_the_mean_outer_product(decoder: Decoder) -> None:
    activations = Activations(decoder, DOCUMENTS, pack=40)
    assert len(activations.batches) == 3
    first = activations.observe(decoder.model.layers[0])
    activations.advance(decoder.model.layers[0])
    second = activations.observe(decoder.model.layers[1])
    for index, found in enumerate((first, second)):
        for name, moments in found.items():
            x = recorded(decoder, f"model.layers.{index}.{name}")
            torch.testing.assert_close(moments, x.T @ x / len(x), rtol=1e-3, atol=1e-4)


def test_linears_with_one_input_share_their_moments(decoder: Decoder) -> None:
    found = Activations(decoder, DOCUMENTS).observe(decoder.model.layers[0])
    assert len(found) == 7
    assert found["self_attn.q_proj"] is found["self_attn.v_proj"]
    assert found["mlp.gate_proj"] is found["mlp.up_proj"]
    assert len({id(moments) for moments in found.values()}) == 4


def test_observing_leaves_no_hooks(decoder: Decoder) -> None:
    block = decoder.model.layers[0]
    Activations(decoder, DOCUMENTS).observe(block)
    assert not any(module._forward_pre_hooks for module in block.modules())
