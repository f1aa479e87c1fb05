"""The KV cache: what is written is read back, exactly or within half a quantisation step."""

import pytest
import torch

from lianlu.model.config import DecoderConfig
from lianlu.serve.kv import KVCache, bytes_per_token
from lianlu.serve.pages import PAGE

CONFIG = DecoderConfig.new(vocab_size=300, layers=2, width=64, heads=4, kv_heads=2, context=64)


@pytest.mark.parametrize(("bits", "tolerance"), [(32, 0.0), (16, 0.02), (8, 0.03)])
def test_pages_come_back_in_any_order(bits, tolerance: float) -> None:
    cache = KVCache(CONFIG, pages=4, bits=bits, dtype=torch.float32)
    k, v = torch.randn(2, 3 * PAGE, 2, 16).unbind()
    slots = torch.cat([torch.arange(PAGE) + page * PAGE for page in (3, 0, 2)])
    kept = cache.write(1, slots, k, v)
    keys, values = cache.read(1, torch.tensor([2, 3, 0]))
    order = torch.arange(3 * PAGE).view(3, PAGE)[[2, 0, 1]].flatten()
    assert keys.dtype == torch.float32
    torch.testing.assert_close(keys, k[order], atol=tolerance, rtol=0)
    torch.testing.assert_close(values, v[order], atol=tolerance, rtol=0)
    keys, values = (x.clone() for x in cache.read(1, torch.tensor([3, 0, 2])))
    assert torch.equal(keys, kept[0]), "what write gives back is not what read gives"
    assert torch.equal(values, kept[1])
    assert not cache.read(0, torch.tensor([2]))[0].any(), "another layer was written"


def test_memory_of_a_token() -> None:
    assert bytes_per_token(CONFIG, 32) == 2 * 2 * 2 * 16 * 4
    assert bytes_per_token(CONFIG, 8) == 2 * 2 * 2 * (16 + 8)
