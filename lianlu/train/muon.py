"""Muon: momentum, orthogonalised, as the update of a matrix."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

# The quintic of Jordan (2024), "Muon": it pushes every singular value to about one in five turns.
A, B, C = 3.4445, -4.7750, 2.0315
TURNS = 5


class Muon(torch.optim.Optimizer):
    """What `torch.optim.Muon` computes with `match_rms_adamw`, matrices of one shape at a time.

    Updates are as large as AdamW's (Liu et al. 2025, "Muon is scalable"), so that one rate serves
    both. `dtype` is that of the orthogonalisation: bf16 where the machine is fast in it.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        weight_decay: float,
        momentum: float,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(matrices, {"lr": 0.0})
        self.weight_decay, self.momentum, self.dtype = weight_decay, momentum, dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient; a closure is not supported."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike.setdefault(matrix.shape, []).append(matrix)
            for matrices in alike.values():
                self._update(matrices, group["lr"])

    def _update(self, matrices: list[Tensor], rate: float) -> None:
        """Matrices of one shape [R, C]: their few small products run as one batched one."""
        for matrix in matrices:
            self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        momenta = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - self.momentum)
        ahead = torch._foreach_lerp(gradients, momenta, self.momentum)  # Nesterov
        updates = orthogonalise(torch.stack(ahead).to(self.dtype)).to(matrices[0].dtype)
        size = 0.2 * math.sqrt(max(matrices[0].shape))
        torch._foreach_mul_(matrices, 1 - rate * self.weight_decay)
        torch._foreach_add_(matrices, updates.unbind(), alpha=-rate * size)


def orthogonalise(x: Tensor) -> Tensor:
    """`x` [N, R, C] with every singular value brought near one, by Newton–Schulz."""
    if x.shape[-2] > x.shape[-1]:
        return orthogonalise(x.mT).mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(TURNS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return x
