"""Who is trained by what, and that the state of both parts travels."""

import copy

import torch

from lianlu.model.checkpoint import init_weights
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.train.muon import Muon
from lianlu.train.optim import make_optimizer

FP32 = torch.float32


def decoder() -> Decoder:
    made = Decoder(DecoderConfig.new(320, 2, 32, 2, 2, 64))
    init_weights(made, 0)
    return made


def push(model: Decoder) -> None:
    for p in model.parameters():
        p.grad = torch.sin(torch.arange(p.numel(), dtype=torch.float32)).view_as(p)


def test_muon_takes_the_inner_matrices_alone() -> None:
    muon, adamw = make_optimizer(decoder(), "muon", FP32).parts
    assert isinstance(muon, Muon)
    shapes = {tuple(p.shape) for group in muon.param_groups for p in group["params"]}
    assert (320, 32) not in shapes
    assert all(len(shape) == 2 for shape in shapes)
    count = sum(len(g["params"]) for part in (muon, adamw) for g in part.param_groups)
    assert count == len(list(decoder().parameters()))
    assert len(make_optimizer(decoder(), "adamw", FP32).parts) == 1


def test_frozen_weights_stay() -> None:
    model = decoder()
    model.model.embed_tokens.weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    optimizer = make_optimizer(model, "muon", FP32)
    push(model)
    optimizer.step(0.01)
    after = model.state_dict()
    assert torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(before[name], after[name])
    assert model.model.norm.weight.grad is None


def test_a_state_travels_bit_for_bit() -> None:
    one, other = decoder(), decoder()
    first, second = make_optimizer(one, "muon", FP32), make_optimizer(other, "muon", FP32)
    push(one)
    first.step(0.01)
    other.load_state_dict(one.state_dict())
    second.load(copy.deepcopy(first.state()))
    for model, optimizer in ((one, first), (other, second)):
        push(model)
        optimizer.step(0.005)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
