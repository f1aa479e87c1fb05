"""The scheduler: budget, order, admission by worst case, and no page lost, ever."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lianlu.serve.pages import PAGE, PagePool
from lianlu.serve.request import Request, SamplingParams
from lianlu.serve.scheduler import Overloaded, Scheduler, TooLong
from lianlu.serve.text import TextStream

NO_TEXT = TextStream(None)  # type: ignore[arg-type]


def ask(prompt: int, tokens: int, first: int = 0) -> Request:
    ids = [first + i for i in range(prompt)]
    return Request(ids, SamplingParams(max_tokens=tokens), NO_TEXT)


def run(scheduler: Scheduler) -> list[tuple[int, int]]:
    """One step of a model that always says 7; returns (start, count) of its chunks."""
    chunks = scheduler.schedule()
    for chunk in chunks:
        samples = chunk.samples
        scheduler.computed(chunk)
        if samples:
            chunk.request.tokens.append(7)
            if chunk.request.remaining == 0:
                scheduler.finish(chunk.request, "length")
    return [(chunk.start, chunk.count) for chunk in chunks]


def test_decodes_go_before_prompts_and_prompts_are_cut_to_the_budget() -> None:
    scheduler = Scheduler(PagePool(64), batch_tokens=20, max_requests=8, context=512)
    scheduler.submit(ask(4, 8))
    assert run(scheduler) == [(0, 4)]
    scheduler.submit(ask(50, 8, first=100))
    scheduler.submit(ask(3, 8, first=200))
    assert run(scheduler) == [(4, 1), (0, 19)]
    assert run(scheduler) == [(5, 1), (19, 19)]
    assert run(scheduler) == [(6, 1), (38, 12), (0, 3)]
    assert run(scheduler) == [(7, 1), (50, 1), (3, 1)]


def test_admission_is_by_worst_case_and_in_order() -> None:
    scheduler = Scheduler(PagePool(4), batch_tokens=64, max_requests=8, context=512)
    big, small = ask(PAGE, 2 * PAGE + 1), ask(4, 4, first=90)
    scheduler.submit(big)
    scheduler.submit(ask(PAGE, 2 * PAGE + 1, first=50))  # 3 pages more: waits
    scheduler.submit(small)  # would fit, and does not overtake
    run(scheduler)
    assert (len(scheduler.running), len(scheduler.waiting)) == (1, 2)
    while not big.finished:
        run(scheduler)
    run(scheduler)
    assert len(scheduler.running) == 2


def test_shared_pages_are_asked_for_once() -> None:
    scheduler = Scheduler(PagePool(5), batch_tokens=64, max_requests=8, context=512)
    first = ask(2 * PAGE + 1, 10)
    scheduler.submit(first)
    run(scheduler)
    scheduler.submit(ask(2 * PAGE + 1, 10))
    run(scheduler)
    second = scheduler.running[1]
    assert second.cached == 2 * PAGE
    assert second.pages[:2] == first.pages[:2]


@pytest.mark.parametrize("lengths", [(0, 4), (60, 5), (64, 1), (1, 64)])
def test_what_can_never_fit_is_refused(lengths: tuple[int, int]) -> None:
    scheduler = Scheduler(PagePool(4), batch_tokens=16, max_requests=8, context=64)
    with pytest.raises(TooLong):
        scheduler.submit(ask(*lengths))


def test_a_full_queue_refuses() -> None:
    scheduler = Scheduler(PagePool(4), batch_tokens=16, max_requests=1, context=64)
    scheduler.submit(ask(1, 4))
    run(scheduler)
    scheduler.submit(ask(1, 4))
    with pytest.raises(Overloaded, match="try again in 1 s"):
        scheduler.submit(ask(1, 4))


@settings(max_examples=60, deadline=None)
@given(
    actions=st.lists(
        st.one_of(
            st.tuples(st.just("submit"), st.integers(1, 60), st.integers(1, 40)),
            st.tuples(st.just("step"), st.just(0), st.just(0)),
            st.tuples(st.just("abort"), st.integers(0, 20), st.just(0)),
        ),
        max_size=60,
    ),
    budget=st.integers(1, 40),
)
def test_any_order_of_events_ends_with_every_page_free(actions, budget: int) -> None:
    pool = PagePool(8)
    scheduler = Scheduler(pool, batch_tokens=budget, max_requests=5, context=100)
    requests: list[Request] = []
    for what, a, b in actions:
        if what == "submit" and not scheduler.full:
            requests.append(ask(a, b, first=a % 2))
            scheduler.submit(requests[-1])
        elif what == "abort" and requests:
            scheduler.finish(requests[a % len(requests)], "abort")
        else:
            assert sum(count for _, count in run(scheduler)) <= budget
        pool.check()
        assert all(len(r.pages) <= r.worst_pages for r in scheduler.running)
    for _ in range(5000):
        if not (scheduler.running or scheduler.waiting):
            break
        assert run(scheduler), "requests wait and nothing moves"
    assert all(request.finished for request in requests)
    assert len(pool.free) == 8
    pool.check()
