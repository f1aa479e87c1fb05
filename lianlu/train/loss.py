"""Cross-entropy of packed tokens, in pieces, so that the logits are never all in memory."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lianlu.model.decoder import Decoder
from lianlu.train.batch import IGNORE, Batch

# Rows of logits at once. Their fp32 copy is what a training of a small model needs most memory for.
CHUNK = 2048
# Rows go through the head in multiples of this, some of them for nothing: oneDNN keeps the code of
# every shape it has met, and a training that meets a new shape in each step grows by 3 MB a step.
ROWS = 256


def summed_loss(decoder: Decoder, batch: Batch) -> Tensor:
    """The sum, in nats and fp32, over all predicted tokens; divide by their global number.

    Logits are multiplied in autocast's dtype where it is on.
    """
    hidden = decoder(batch.tokens, batch.positions, batch.attention())
    targets = batch.targets
    wanted = -(-batch.predicted // ROWS) * ROWS
    if wanted < len(targets):
        rows = (targets == IGNORE).to(torch.int8).argsort(stable=True)[:wanted]
        hidden, targets = hidden.index_select(0, rows), targets.index_select(0, rows)
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    head = (decoder.model.embed_tokens if decoder.config.tie else decoder.lm_head).weight
    with torch.autocast(device, enabled=False):
        if torch.is_grad_enabled():
            total: Tensor = _HeadLoss.apply(hidden.to(dtype), head, targets)
            return total
        pieces = zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True)
        return torch.stack([_log_probs(h.to(dtype), head, t)[1] for h, t in pieces]).sum()


def _log_probs(hidden: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities fp32 [N, vocab] of a chunk, and its summed loss."""
    logp = F.log_softmax(hidden @ head.to(hidden.dtype).T, -1, dtype=torch.float32)
    chosen = logp.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return logp, -(chosen * (targets != IGNORE)).sum()


class _HeadLoss(torch.autograd.Function):
    """The head and its cross-entropy. A chunk's gradient is made while its logits are at hand:
    they are neither kept for the backward pass nor made again in it."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        """`hidden` [N, width] in the dtype to multiply in, `head` [vocab, width], `targets` [N]."""
        total = hidden.new_zeros((), dtype=torch.float32)
        weight = head.to(hidden.dtype)
        d_hidden = torch.empty_like(hidden)
        d_head = torch.zeros_like(head) if ctx.needs_input_grad[1] else None
        for h, t, d in zip(*(x.split(CHUNK) for x in (hidden, targets, d_hidden)), strict=True):
            logp, loss = _log_probs(h, weight, t)
            total += loss
            error = logp.exp_()  # softmax, and soon softmax minus the one-hot target
            error[torch.arange(len(t), device=t.device), t.clamp(min=0)] -= 1
            error *= (t != IGNORE)[:, None]
            error = error.to(h.dtype)
            torch.mm(error, weight, out=d)
            if d_head is not None:
                d_head += error.T @ h
        ctx.save_for_backward(d_hidden, d_head)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        (upstream,) = gradients
        d_hidden, d_head = ctx.saved_tensors
        return d_hidden * upstream, None if d_head is None else d_head * upstream, None
