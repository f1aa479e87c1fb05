"""Our Muon is torch's, and its updates are nearly orthogonal."""

import pytest
import torch
from torch import nn

from lianlu.train.muon import Muon, orthogonalise

SHAPES = [(8, 8), (24, 8), (8, 24), (8, 8), (24, 8)]


def matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_it_steps_as_torch_does(dtype: torch.dtype) -> None:
    ours, theirs = matrices(), matrices()
    mine = Muon(ours, weight_decay=0.1, momentum=0.9, dtype=dtype)
    oracle = torch.optim.Muon(
        theirs, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    for step in range(4):
        for one, other in zip(ours, theirs, strict=True):
            generator = torch.Generator().manual_seed(step)
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        for optimizer in (mine, oracle):
            for group in optimizer.param_groups:
                group["lr"] = 0.02
            optimizer.step()
    # torch orthogonalises in bf16, so that fp32 can only come near.
    tolerance = 1e-3 if dtype == torch.bfloat16 else 5e-3
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 40, 16), (2, 16, 40)])
def test_singular_values_come_near_one(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalise(x))
    assert values.max() < 1.3
    assert values.median() > 0.6


def test_matrices_without_gradient_stay() -> None:
    made = matrices()
    made[0].grad = torch.ones_like(made[0])
    before = [m.detach().clone() for m in made]
    optimizer = Muon(made, weight_decay=0.1, momentum=0.9, dtype=torch.float32)
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step()
    assert [torch.equal(a, b) for a, b in zip(made, before, strict=True)] == [False] + [True] * 4
