"""The keys and values of a decode batch, laid side by side and kept from step to step."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lianlu.serve.kv import KVCache
from lianlu.serve.pages import PAGE
from lianlu.serve.scheduler import Chunk

# Requests share a window while the shortest has at least this share of the longest one's tokens.
SIMILAR = 0.6
# Below this length one more call costs more than the padding.
SHORT = 64
# Tokens a window can grow before it is laid out again.
ROOM = 64
# More windows than this are dealt anew when requests come or go.
MANY = 8


class Window:
    """Some requests that decode together, copied out of their pages once.

    Gathering pages at every step costs more than attention itself; here a step adds one token. The
    pages stay the truth: whenever the batch changes, the windows it touches are laid out again.
    """

    def __init__(self, cache: KVCache, chunks: Sequence[Chunk]) -> None:
        self.cache = cache
        self.requests = [chunk.request for chunk in chunks]
        self.lengths = [chunk.start for chunk in chunks]
        width = -(-(max(self.lengths) + 1 + ROOM) // PAGE)
        self.capacity = width * PAGE
        # A request with fewer pages has its last one repeated, and masked.
        lists = [request.pages[:width] for request in self.requests]
        pages = torch.tensor([own + own[-1:] * (width - len(own)) for own in lists]).flatten()
        shape = (len(chunks), self.capacity, cache.heads, cache.dim)
        # By layer: keys and values, each [B, KV, capacity, D]. Clones: what is read is a buffer.
        self.layers = [
            tuple(
                x.view(shape).transpose(1, 2).clone(memory_format=torch.contiguous_format)
                for x in cache.read(layer, pages)
            )
            for layer in range(cache.layers)
        ]
        self.rows = torch.arange(len(chunks))
        self.places = torch.arange(self.capacity)

    def begin(self, chunks: Sequence[Chunk]) -> bool:
        """Make ready for one token more of each request; false where these are not its chunks."""
        starts = [chunk.start for chunk in chunks]
        if starts != self.lengths or max(starts) >= self.capacity:
            return False
        self.at = torch.tensor(starts)
        self.lengths = [start + 1 for start in starts]
        self.longest = max(self.lengths)
        beyond = self.places[: self.longest] > self.at[:, None]
        mask = torch.zeros(beyond.shape, dtype=self.cache.dtype)
        self.mask = mask.masked_fill_(beyond, -torch.inf)[:, None, None, :]
        return True

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Add `k`, `v` [B, KV, D] and attend with `q` [B, H, D] → [B, H, D]."""
        keys, values = self.layers[layer]
        keys[self.rows, :, self.at] = k
        values[self.rows, :, self.at] = v
        # The query heads of a group become the rows of one attention: no key is repeated.
        grouped = q.reshape(len(q), self.cache.heads, -1, self.cache.dim)
        out = F.scaled_dot_product_attention(
            grouped,
            keys[:, :, : self.longest],
            values[:, :, : self.longest],
            attn_mask=self.mask,
        )
        return out.reshape(q.shape)


def arrange(
    windows: Sequence[Window], cache: KVCache, chunks: Sequence[Chunk]
) -> list[tuple[Window, list[Chunk]]]:
    """The windows for a step's decodes, each with its chunks in its order.

    A window of the step before is kept if all its requests decode again.
    """
    left = {chunk.request: chunk for chunk in chunks}
    kept = []
    for window in windows:
        if all(request in left for request in window.requests):
            own = [left[request] for request in window.requests]
            if window.begin(own):
                kept.append((window, own))
                for chunk in own:
                    del left[chunk.request]
    if left and len(kept) >= MANY:
        return arrange([], cache, chunks)
    for group in _similar(sorted(left.values(), key=lambda chunk: -chunk.start)):
        window = Window(cache, group)
        window.begin(group)
        kept.append((window, group))
    return kept


def _similar(chunks: Sequence[Chunk]) -> list[list[Chunk]]:
    """Cut chunks, longest first, into groups of similar length."""
    groups: list[list[Chunk]] = []
    for chunk in chunks:
        if groups and chunk.start >= min(
            groups[-1][0].start * SIMILAR, groups[-1][0].start - SHORT
        ):
            groups[-1].append(chunk)
        else:
            groups.append([chunk])
    return groups
