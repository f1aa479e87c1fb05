"""The keys and values of every page, in the model's precision or in 8 bits."""

from typing import Literal

import torch
from torch import Tensor

from lianlu.kernels.kv import dequantize, quantize
from lianlu.model.config import DecoderConfig
from lianlu.serve.pages import PAGE

KVBits = Literal[8, 16, 32]


def bytes_per_token(config: DecoderConfig, bits: KVBits) -> int:
    """Memory of one token's keys and values over all layers, scales included."""
    per_head = config.head_dim * bits // 8 + (8 if bits == 8 else 0)
    return 2 * config.layers * config.kv_heads * per_head


class KVCache:
    """Keys and values by layer and slot; slot = page · PAGE + offset.

    Per layer two tensors [slots, KV, D] in `dtype`, or uint8 with a scale and minimum per token
    and head.
    """

    def __init__(self, config: DecoderConfig, pages: int, bits: KVBits, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.bits = bits
        self.layers, self.heads, self.dim = config.layers, config.kv_heads, config.head_dim
        stored = {8: torch.uint8, 16: torch.bfloat16, 32: torch.float32}[bits]
        shape = (pages * PAGE, self.heads, self.dim)
        both = range(2 * config.layers)
        # Zeros, not empty: a padded slot is masked, but 0 · NaN would still be NaN.
        self.store = [torch.zeros(shape, dtype=stored) for _ in both]
        self.ranges = [torch.zeros(*shape[:2], 2) for _ in both] if bits == 8 else []
        # Gathered pages land in one buffer for keys and one for values, reused by every layer:
        # fresh memory costs more than the copy itself.
        self.buffers = [torch.empty(0, dtype=stored) for _ in range(2)]

    def write(self, layer: int, slots: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store `k` and `v` [T, KV, D] at `slots` int64 [T]; returns them as `read` would."""
        return self._put(2 * layer, slots, k), self._put(2 * layer + 1, slots, v)

    def read(self, layer: int, pages: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of `pages` int64 [N], each [N · PAGE, KV, D].

        They lie in shared buffers: valid until the next read.
        """
        return self._gather(2 * layer, pages), self._gather(2 * layer + 1, pages)

    def _put(self, i: int, slots: Tensor, x: Tensor) -> Tensor:
        if self.bits == 8:
            codes, range_ = quantize(x)
            self.ranges[i].index_copy_(0, slots, range_)
            self.store[i].index_copy_(0, slots, codes)
            return dequantize(codes, range_, self.dtype)
        stored = x.to(self.store[i].dtype)
        self.store[i].index_copy_(0, slots, stored)
        return stored.to(self.dtype)

    def _gather(self, i: int, pages: Tensor) -> Tensor:
        count, row = len(pages), PAGE * self.heads * self.dim
        if self.buffers[i % 2].numel() < count * row:
            self.buffers[i % 2] = torch.empty(2 * count * row, dtype=self.store[i].dtype)
        out = self.buffers[i % 2][: count * row].view(count, row)
        torch.index_select(self.store[i].view(-1, row), 0, pages, out=out)
        codes = out.view(count * PAGE, self.heads, self.dim)
        if self.bits != 8:
            return codes if codes.dtype == self.dtype else codes.to(self.dtype)
        ranges = self.ranges[i].view(-1, PAGE * self.heads * 2).index_select(0, pages)
        return dequantize(codes, ranges.view(-1, self.heads, 2), self.dtype)
