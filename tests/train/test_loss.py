"""The chunked loss is the plain one, with its gradient, at a fraction of the memory."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lianlu.model.checkpoint import init_weights
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.train import loss as module
from lianlu.train.batch import IGNORE
from lianlu.train.windows import Windows


def test_chunks_change_neither_loss_nor_gradient(
    tokens_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 7)
    windows = Windows(tokens_dir, "train", 64)
    batch = windows.gather(torch.arange(3).numpy())
    decoder = Decoder(DecoderConfig.new(320, 2, 32, 2, 2, 64))
    init_weights(decoder, 0)

    module.summed_loss(decoder, batch).backward()
    chunked = [p.grad.clone() for p in decoder.parameters() if p.grad is not None]
    decoder.zero_grad()
    hidden = decoder(batch.tokens, batch.positions, batch.attention())
    plain = F.cross_entropy(decoder.logits(hidden), batch.targets, reduction="sum")
    plain.backward()
    with torch.no_grad():
        torch.testing.assert_close(module.summed_loss(decoder, batch), plain)
    for one, other in zip(chunked, (p.grad for p in decoder.parameters()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert (batch.targets == IGNORE).any()


def test_in_bf16_the_loss_is_nearly_the_same(tokens_dir: Path) -> None:
    batch = Windows(tokens_dir, "train", 64).gather(torch.arange(3).numpy())
    decoder = Decoder(DecoderConfig.new(320, 2, 32, 2, 2, 64))
    init_weights(decoder, 0)
    exact = module.summed_loss(decoder, batch)
    exact.backward()
    wanted = decoder.model.embed_tokens.weight.grad
    decoder.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = module.summed_loss(decoder, batch)
    rounded.backward()
    found = decoder.model.embed_tokens.weight.grad
    assert wanted is not None
    assert found is not None
    assert found.dtype == rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=1e-2, atol=0)
    assert (found - wanted).norm() < 0.03 * wanted.norm()
