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


class PagedAttention:
    """The decoder's attention backend for one step: stores keys and values, then reads pages.

    The first `decodes` chunks are one token each and share one call; every other chunk attends
    causally to itself and to what came before it.
    """

    def __init__(self, cache: KVCache, chunks: Sequence[Chunk]) -> None:
        self.cache = cache
        self.slots = torch.tensor([slot for chunk in chunks for slot in _slots(chunk)])
        ones = itertools.takewhile(lambda chunk: chunk.count == 1, chunks)
        self.decodes = len(list(ones))
        if self.decodes:
            lengths = [chunk.start + 1 for chunk in chunks[: self.decodes]]
            width = -(-max(lengths) // PAGE)
            padded = [
                (pages := chunk.request.pages[:width]) + pages[-1:] * (width - len(pages))
                for chunk in chunks[: self.decodes]
            ]
            self.decode_pages = torch.tensor(padded).flatten()
            beyond = torch.arange(width * PAGE) >= torch.tensor(lengths)[:, None]
            self.decode_mask = _additive(beyond, cache.dtype)[:, None, None, :]
        self.chunks = [self._plan(chunk) for chunk in chunks[self.decodes :]]

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """`q` [T, H, D], `k` and `v` [T, KV, D] → [T, H, D]."""
        self.cache.write(layer, self.slots, k, v)
        parts = [self._decode(layer, q[: self.decodes])] if self.decodes else []
        start = self.decodes
        for count, pages, mask in self.chunks:
            rows = slice(start, start + count)
            start += count
            if pages is None:
                parts.append(_attend(q[rows], k[rows], v[rows], None))
            else:
                keys, values = self.cache.read(layer, pages)
                length = mask.shape[-1] if mask is not None else 0
                parts.append(_attend(q[rows], keys[:length], values[:length], mask))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _decode(self, layer: int, q: Tensor) -> Tensor:
        """`q` [B, H, D] → [B, H, D], all requests padded to the longest one's pages."""
        batch, heads, dim = q.shape
        k, v = self.cache.read(layer, self.decode_pages)
        groups = self.cache.heads
        # The query heads of a group become the rows of one attention: no key is repeated.
        out = F.scaled_dot_product_attention(
            q.view(batch, groups, heads // groups, dim),
            k.view(batch, -1, groups, dim).transpose(1, 2),
            v.view(batch, -1, groups, dim).transpose(1, 2),
            attn_mask=self.decode_mask,
        )
        return out.reshape(batch, heads, dim)

    def _plan(self, chunk: Chunk) -> tuple[int, Tensor | None, Tensor | None]:
        """(tokens, pages to read or None to use what was just computed, mask)."""
        if chunk.start == 0 and self.cache.exact:
            return chunk.count, None, None
        end = chunk.start + chunk.count
        pages = torch.tensor(chunk.request.pages[: -(-end // PAGE)])
        later = torch.arange(end) > torch.arange(chunk.start, end)[:, None]
        return chunk.count, pages, _additive(later, self.cache.dtype)


class Runner:
    """Turns chunks into logits."""

    def __init__(self, decoder: Decoder, cache: KVCache) -> None:
        self.decoder = decoder
        self.cache = cache

    @torch.inference_mode()
    def run(self, chunks: Sequence[Chunk]) -> Tensor:
        """Compute the chunks → logits [N, vocab] of the last token of those that sample."""
        tokens = torch.tensor(
            [t for c in chunks for t in c.request.tokens[c.start : c.start + c.count]]
        )
        positions = torch.tensor([p for c in chunks for p in range(c.start, c.start + c.count)])
        hidden = self.decoder(tokens, positions, PagedAttention(self.cache, chunks))
        ends = itertools.accumulate(chunk.count for chunk in chunks)
        last = [end - 1 for end, chunk in zip(ends, chunks, strict=True) if chunk.samples]
        if len(last) < len(hidden):
            hidden = hidden[torch.tensor(last, dtype=torch.int64)]
        return self.decoder.logits(hidden)


def _slots(chunk: Chunk) -> list[int]:
    """Where the chunk's keys and values go."""
    pages = chunk.request.pages
    span = range(chunk.start, chunk.start + chunk.count)
    return [pages[i // PAGE] * PAGE + i % PAGE for i in span]


def _additive(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, -torch.inf)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Causal attention of `q` [T, H, D] over `k`, `v` [L, KV, D] → [T, H, D]."""
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=q.shape[1] != k.shape[1]
    )
    return out[0].transpose(0, 1)
