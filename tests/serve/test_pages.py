"""The page pool against a model of itself: whatever the order of calls, its invariants hold."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from lianlu.serve.pages import PAGE, ROOT, OutOfPages, PagePool

PAGES = 12
# Two kinds of page only, so that prefixes collide often.
CONTENT = {kind: (kind,) * PAGE for kind in range(2)}


class PoolMachine(RuleBasedStateMachine):
    """Requests with contents drawn from few pages come, share, grow and leave."""

    chains = Bundle("chains")

    def __init__(self) -> None:
        super().__init__()
        self.pool = PagePool(PAGES)
        self.held: list[list[int]] = []
        self.contents: dict[int, tuple[int, ...]] = {}  # page → all tokens up to its end

    @rule(target=chains, kinds=st.lists(st.sampled_from([0, 1]), min_size=1, max_size=4))
    def arrive(self, kinds: list[int]) -> list[int]:
        tokens = [t for kind in kinds for t in CONTENT[kind]]
        chain = self.pool.match(tokens)
        for i, page in enumerate(chain):
            assert self.contents[page] == tuple(tokens[: (i + 1) * PAGE])
            self.pool.hold(page)
        self.held.append(chain)
        self.grow(chain, kinds[len(chain) :])
        return chain

    @rule(chain=chains, kind=st.sampled_from([0, 1]))
    def extend(self, chain: list[int], kind: int) -> None:
        if any(chain is held for held in self.held):
            self.grow(chain, [kind])

    def grow(self, chain: list[int], kinds: list[int]) -> None:
        for kind in kinds:
            parent = chain[-1] if chain else ROOT
            try:
                page = self.pool.take()
            except OutOfPages:
                assert not self.pool.free
                return
            assert not any(page in held for held in self.held), "a held page was handed out"
            chain.append(self.pool.register(parent, CONTENT[kind], page))
            before = self.contents[parent] if parent != ROOT else ()
            self.contents[chain[-1]] = before + CONTENT[kind]

    @rule(chain=consumes(chains))
    def leave(self, chain: list[int]) -> None:
        if any(chain is held for held in self.held):
            self.held = [held for held in self.held if held is not chain]
            self.pool.release(chain)

    @invariant()
    def holds(self) -> None:
        self.pool.check()
        for page in range(PAGES):
            assert self.pool.references[page] == sum(held.count(page) for held in self.held)


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPool = PoolMachine.TestCase


def test_a_prefix_is_found_as_long_as_nobody_needs_its_pages() -> None:
    pool = PagePool(3)
    tokens = list(range(2 * PAGE + 5))
    first = pool.register(ROOT, tokens[:PAGE], pool.take())
    second = pool.register(first, tokens[PAGE : 2 * PAGE], pool.take())
    pool.release([first, second])
    assert pool.match(tokens) == [first, second]
    pool.take()  # the page that never held anything findable
    assert pool.match(tokens) == [first, second]
    pool.take()  # evicts the tail before what it continues
    assert pool.match(tokens) == [first]


def test_a_prefix_needs_equal_tokens_from_the_start() -> None:
    pool = PagePool(2)
    pool.register(ROOT, range(PAGE), pool.take())
    assert pool.match([*range(PAGE - 1), 99]) == []
    assert pool.match(list(range(PAGE - 1))) == []


def test_twins_grow_together() -> None:
    pool = PagePool(4)
    mine, theirs = pool.take(), pool.take()
    assert pool.register(ROOT, range(PAGE), mine) == mine
    assert pool.register(ROOT, range(PAGE), theirs) == mine
    assert pool.references[mine] == 2
    assert pool.references[theirs] == 0
    pool.check()


def test_an_empty_pool_says_so() -> None:
    pool = PagePool(1)
    pool.take()
    with pytest.raises(OutOfPages, match="all 1 pages"):
        pool.take()
