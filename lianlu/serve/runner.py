"""One forward over the tokens of a step, with attention over pages."""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lianlu.model.decoder import Decoder
from lianlu.serve.kv import KVCache
from lianlu.serve.pages import PAGE
from lianlu.serve.scheduler import Chunk
from lianlu.serve.window import Window, arrange


class PagedAttention:
    """The decoder's attention backend for one step: stores keys and values, then attends.

    The first tokens are decodes, window by window, one token a request; every chunk after them
    attends causally to itself and to what came before it.
    """

    def __init__(
        self,
        cache: KVCache,
        decodes: Sequence[tuple[Window, Sequence[Chunk]]],
        chunks: Sequence[Chunk],
    ) -> None:
        self.cache = cache
        self.windows = [window for window, _ in decodes]
        ones = [chunk for _, own in decodes for chunk in own]
        self.slots = torch.tensor([slot for chunk in (*ones, *chunks) for slot in _slots(chunk)])
        self.chunks = [self._plan(chunk) for chunk in chunks]

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """`q` [T, H, D], `k` and `v` [T, KV, D] → [T, H, D]."""
        k, v = self.cache.write(layer, self.slots, k, v)
        parts = []
        start = 0
        for window in self.windows:
            rows = slice(start, start := start + len(window.requests))
            parts.append(window.attend(layer, q[rows], k[rows], v[rows]))
        for count, pages, mask in self.chunks:
            rows = slice(start, start := start + count)
            if pages is None or mask is None:
                parts.append(_attend(q[rows], k[rows], v[rows], None))
            else:
                length = mask.shape[-1]
                keys, values = self.cache.read(layer, pages)
                parts.append(_attend(q[rows], keys[:length], values[:length], mask))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _plan(self, chunk: Chunk) -> tuple[int, Tensor | None, Tensor | None]:
        """(tokens, pages to read or None to use what was just computed, mask)."""
        if chunk.start == 0:
            return chunk.count, None, None
        end = chunk.start + chunk.count
        pages = torch.tensor(chunk.request.pages[: -(-end // PAGE)])
        later = torch.arange(end) > torch.arange(chunk.start, end)[:, None]
        mask = torch.zeros(later.shape, dtype=self.cache.dtype)
        return chunk.count, pages, mask.masked_fill_(later, -torch.inf)


class Runner:
    """Turns chunks into logits."""

    def __init__(self, decoder: Decoder, cache: KVCache) -> None:
        self.decoder = decoder
        self.cache = cache
        self.windows: list[Window] = []

    @torch.inference_mode()
    def run(self, chunks: Sequence[Chunk]) -> Tensor:
        """Compute the chunks → logits [N, vocab] of the last token of those that sample."""
        ones = [chunk for chunk in chunks if chunk.count == 1]
        decodes = arrange(self.windows, self.cache, ones)
        self.windows = [window for window, _ in decodes]
        rest = [chunk for chunk in chunks if chunk.count > 1]
        order = [chunk for _, own in decodes for chunk in own] + rest
        tokens = torch.tensor(
            [t for c in order for t in c.request.tokens[c.start : c.start + c.count]]
        )
        positions = torch.tensor([p for c in order for p in range(c.start, c.start + c.count)])
        hidden = self.decoder(tokens, positions, PagedAttention(self.cache, decodes, rest))
        ends = itertools.accumulate(chunk.count for chunk in order)
        last = {chunk.request: end - 1 for chunk, end in zip(order, ends, strict=True)}
        wanted = [last[chunk.request] for chunk in chunks if chunk.samples]
        return self.decoder.logits(hidden[torch.tensor(wanted, dtype=torch.int64)])


def _slots(chunk: Chunk) -> list[int]:
    """Where the chunk's keys and values go."""
    pages = chunk.request.pages
    span = range(chunk.start, chunk.start + chunk.count)
    return [pages[i // PAGE] * PAGE + i % PAGE for i in span]


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Causal attention of `q` [T, H, D] over `k`, `v` [L, KV, D] → [T, H, D]."""
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=q.shape[1] != k.shape[1]
    )
    return out[0].transpose(0, 1)
