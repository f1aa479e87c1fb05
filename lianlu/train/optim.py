"""The optimizers: Muon for the matrices inside the blocks, AdamW for the rest."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lianlu.train.muon import Muon

BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.01
MOMENTUM = 0.95


class Optimizer:
    """One or two torch optimizers that step together at one rate."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = parts

    def step(self, rate: float) -> None:
        """Update the weights at learning rate `rate`, and drop the gradients."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad(set_to_none=True)

    def drop(self) -> None:
        """Forget the gradients of a step that is not taken."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load(self, states: Iterable[dict[str, Any]]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def make_optimizer(
    model: nn.Module, kind: Literal["muon", "adamw"], dtype: torch.dtype
) -> Optimizer:
    """Over the parameters that want gradients; `dtype` is the arithmetic that this machine is fast
    in. Embeddings, the head and vectors stay with AdamW whatever the kind.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in named if kind == "muon" and _is_inner_matrix(name, p)]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    parts: list[torch.optim.Optimizer] = []
    if matrices:
        parts.append(Muon(matrices, WEIGHT_DECAY, MOMENTUM, dtype))
    if rest:
        groups = [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ]
        parts.append(torch.optim.AdamW([g for g in groups if g["params"]], betas=BETAS, fused=True))
    return Optimizer(parts)


def _is_inner_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.ndim == 2 and "embed_tokens" not in name and "lm_head" not in name
