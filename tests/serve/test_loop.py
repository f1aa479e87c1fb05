"""The engine's thread as coroutines see it."""

import asyncio

import pytest

from lianlu.serve.loop import EngineLoop
from lianlu.serve.request import SamplingParams, Task
from lianlu.serve.scheduler import Overloaded

PARAMS = SamplingParams(max_tokens=20, ignore_eos=True)


def task(i: int, **changes: object) -> Task:
    return Task([20 + i, 30, 40], SamplingParams(max_tokens=20, ignore_eos=True, **changes))


def test_deltas_add_up(make_engine) -> None:
    engine = make_engine()
    expected = engine.generate([task(i).prompt for i in range(3)], PARAMS)

    async def run() -> None:
        tokens: list[list[int]] = [[], [], []]
        texts = ["", "", ""]
        async with await loop.open([task(i, logprobs=0) for i in range(3)]) as answer:
            async for i, delta in answer:
                tokens[i] += delta.token_ids
                texts[i] += delta.text
                assert [entry.token_id for entry in delta.logprobs] == delta.token_ids
                if delta.completion:
                    assert delta.completion.token_ids == tokens[i]
        assert tokens == [completion.token_ids for completion in expected]
        assert texts == [completion.text for completion in expected]

    with EngineLoop(engine) as loop:
        asyncio.run(run())


def test_all_or_none_are_taken(make_engine) -> None:
    engine = make_engine(max_requests=2)

    async def run() -> None:
        with pytest.raises(Overloaded):
            await loop.open([task(i) for i in range(5)])
        with pytest.raises(ValueError, match="outside the vocabulary"):
            await loop.open([task(0), Task([9999], PARAMS)])
        async with await loop.open([task(0)]) as answer:
            assert [d.completion is not None async for _, d in answer][-1]

    with EngineLoop(engine) as loop:
        asyncio.run(run())
    assert not engine.busy


def test_leaving_early_aborts(make_engine) -> None:
    engine = make_engine()

    async def run() -> None:
        async with await loop.open([task(0), task(1)]) as answer:
            async for _ in answer:
                break
        await asyncio.sleep(0.2)
        assert not engine.busy
        assert engine.counts.finished["abort"] == 2

    with EngineLoop(engine) as loop:
        asyncio.run(run())


def test_a_fault_of_the_engine_ends_what_runs_and_nothing_else(make_engine) -> None:
    engine = make_engine()
    schedule = engine.scheduler.schedule

    def broken() -> None:
        engine.scheduler.schedule = schedule
        schedule()
        raise RuntimeError("a bug")

    async def run() -> None:
        engine.scheduler.schedule = broken
        for expected in ("RuntimeError: a bug", None):
            async with await loop.open([task(0)]) as answer:
                done = [delta.completion async for _, delta in answer][-1]
                assert done is not None
                assert done.error == expected

    with EngineLoop(engine) as loop:
        asyncio.run(run())
    engine.scheduler.pool.check()
