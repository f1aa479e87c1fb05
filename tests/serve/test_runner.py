"""Attention over pages against one dense fp32 attention."""

import pytest
import torch

from lianlu.model.attention import reference_attention
from lianlu.model.config import DecoderConfig
from lianlu.serve.kv import KVCache
from lianlu.serve.pages import PAGE
from lianlu.serve.request import Request, SamplingParams
from lianlu.serve.runner import PagedAttention
from lianlu.serve.scheduler import Chunk
from lianlu.serve.text import TextStream
from lianlu.serve.window import arrange

LENGTHS = [1, 15, 16, 17, 50]


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize(("bits", "tolerance"), [(32, 1e-5), (16, 0.03), (8, 0.03)])
@pytest.mark.parametrize("cuts", [[], [0.5], [0.3, 0.6], [0.999]])
def test_chunks_and_decodes_equal_dense_attention(kv_heads, bits, tolerance, cuts) -> None:
    torch.manual_seed(0)
    config = DecoderConfig.new(300, 1, 64, 4, kv_heads, 64)
    cache = KVCache(config, pages=20, bits=bits, dtype=torch.float32)
    free = iter(torch.randperm(20).tolist())
    requests = []
    for length in LENGTHS:
        request = Request([0] * length, SamplingParams(), TextStream(None))  # type: ignore[arg-type]
        request.pages = [next(free) for _ in range(-(-length // PAGE))]
        requests.append(request)
    total = sum(LENGTHS)
    q, k, v = torch.randn(total, 4, 16), *torch.randn(2, total, kv_heads, 16)
    starts = torch.tensor([0, *LENGTHS]).cumsum(0).tolist()
    out = torch.zeros_like(q)
    for low, high in zip([0.0, *cuts], [*cuts, 1.0], strict=True):
        chunks = []
        for request, length in zip(requests, LENGTHS, strict=True):
            a, b = int(low * length), int(high * length)
            if b > a:
                chunks.append((Chunk(request, a, b - a), starts[requests.index(request)]))
        ones = [chunk for chunk, _ in chunks if chunk.count == 1]
        decodes = arrange([], cache, ones)
        place = {id(c): i for i, c in enumerate(c for _, own in decodes for c in own)}
        chunks.sort(key=lambda pair: place.get(id(pair[0]), len(place)))
        rows = torch.tensor([at + c.start + i for c, at in chunks for i in range(c.count)])
        attend = PagedAttention(cache, decodes, [c for c, _ in chunks if c.count > 1])
        out[rows] = attend(0, q[rows], k[rows], v[rows])
    expected = reference_attention(q, k, v, torch.tensor(starts))
    torch.testing.assert_close(out, expected, atol=tolerance, rtol=0)
