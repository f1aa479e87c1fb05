"""Cross-entropy of packed tokens, in pieces, so that the logits are never all in memory."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lianlu.model.decoder import Decoder
from lianlu.train.batch import IGNORE, Batch

# Rows of logits at once. Their fp32 copy is what a training of a small model needs most memory for.
CHUNK = 2048


def summed_loss(decoder: Decoder, batch: Batch) -> Tensor:
    """The sum, in nats and fp32, over all predicted tokens; divide by their global number."""
    hidden = decoder(batch.tokens, batch.positions, batch.attention())
    rows = (batch.targets != IGNORE).nonzero().flatten()
    if len(rows) < len(batch.targets):
        hidden = hidden.index_select(0, rows)
    targets = batch.targets.index_select(0, rows)
    total = hidden.new_zeros((), dtype=torch.float32)
    for piece, wanted in zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True):
        total = total + _chunk_loss(decoder, piece, wanted)
    return total


def _chunk_loss(decoder: Decoder, hidden: Tensor, targets: Tensor) -> Tensor:
    """The logits of a chunk are made again in the backward pass instead of being kept."""

    def run(hidden: Tensor) -> Tensor:
        return F.cross_entropy(decoder.logits(hidden).float(), targets, reduction="sum")

    if not torch.is_grad_enabled():
        return run(hidden)
    loss: Tensor = checkpoint(run, hidden, use_reentrant=False, preserve_rng_state=False)
    return loss
