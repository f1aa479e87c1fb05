"""Windows: kept while the batch stays, laid out again when it changes, always what pages say."""

import pytest
import torch

from lianlu.model.config import DecoderConfig
from lianlu.serve.kv import KVCache
from lianlu.serve.pages import PAGE
from lianlu.serve.request import Request, SamplingParams
from lianlu.serve.scheduler import Chunk
from lianlu.serve.text import TextStream
from lianlu.serve.window import MANY, ROOM, arrange

CONFIG = DecoderConfig.new(300, layers=2, width=64, heads=4, kv_heads=2, context=1024)


@pytest.fixture
def cache() -> KVCache:
    torch.manual_seed(0)
    cache = KVCache(CONFIG, pages=200, bits=32, dtype=torch.float32)
    for store in cache.store:
        store.normal_()
    return cache


def requests(lengths: list[int]) -> list[Request]:
    made, first = [], 0
    for length in lengths:
        request = Request([0] * length, SamplingParams(), TextStream(None))  # type: ignore[arg-type]
        pages = -(-(length + ROOM) // PAGE) + 1
        request.pages = list(range(first, first + pages))
        first += pages
        made.append(request)
    return made


def chunks(batch: list[Request], step: int = 0) -> list[Chunk]:
    return [Chunk(request, request.prompt_length + step, 1) for request in batch]


def step(windows, cache: KVCache, batch: list[Request], at: int):
    """One step of both layers with random queries; checks it against attention over the pages."""
    arranged = arrange(windows, cache, chunks(batch, at))
    assert sorted(id(c.request) for _, own in arranged for c in own) == sorted(map(id, batch))
    for layer in range(2):
        for window, own in arranged:
            k, v = torch.randn(2, len(own), 2, 16)
            q = torch.randn(len(own), 4, 16)
            slots = [c.request.pages[c.start // PAGE] * PAGE + c.start % PAGE for c in own]
            cache.write(layer, torch.tensor(slots), k, v)
            out = window.attend(layer, q, k, v)
            for row, chunk in enumerate(own):
                keys, values = cache.read(layer, torch.tensor(chunk.request.pages))
                keys, values = (
                    x[: chunk.start + 1].repeat_interleave(2, 1) for x in (keys, values)
                )
                weights = (torch.einsum("hd,lhd->hl", q[row], keys) / 4).softmax(-1)
                expected = torch.einsum("hl,lhd->hd", weights, values)
                torch.testing.assert_close(out[row], expected, atol=1e-5, rtol=0)
    return [window for window, _ in arranged]


def test_a_window_is_kept_until_its_batch_changes_or_it_is_full(cache) -> None:
    batch = requests([20, 30, 25])
    windows = step([], cache, batch, 0)
    assert len(windows) == 1
    capacity = windows[0].capacity
    for at in range(1, capacity - 30):
        assert step(windows, cache, batch, at) == windows
    longer = step(windows, cache, batch, capacity - 30)
    assert longer != windows
    assert longer[0].capacity > capacity
    fewer = step(longer, cache, batch[:2], capacity - 29)
    assert fewer != longer


def test_only_the_windows_that_a_change_touches_are_laid_out_again(cache) -> None:
    batch = requests([10, 12, 400, 380])
    windows = step([], cache, batch, 0)
    assert [len(window.requests) for window in windows] == [2, 2]
    after = step(windows, cache, batch[1:], 1)
    assert after[0] is windows[0]
    assert [len(window.requests) for window in after] == [2, 1]


def test_a_skipped_step_is_noticed(cache) -> None:
    batch = requests([10])
    windows = step([], cache, batch, 0)
    assert step(windows, cache, batch, 2) != windows


def test_windows_do_not_crumble(cache) -> None:
    batch = requests([5] * (MANY + 2))
    windows: list = []
    for at in range(MANY + 2):
        late = [r for i, r in enumerate(batch) if i <= at]
        arranged = arrange(
            windows, cache, [Chunk(r, r.prompt_length + at - batch.index(r), 1) for r in late]
        )
        windows = [window for window, _ in arranged]
        assert len(windows) <= MANY
