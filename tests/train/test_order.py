"""The order of the data is a permutation that anyone can compute anywhere."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from lianlu.train.order import Shuffle, items_at


@given(st.integers(1, 500), st.integers(0, 2**31), st.integers(0, 5))
def test_every_item_comes_once(n: int, seed: int, epoch: int) -> None:
    shuffle = Shuffle(n, seed, epoch)
    assert sorted(shuffle(i) for i in range(n)) == list(range(n))


@given(st.integers(1, 60), st.integers(0, 99), st.integers(0, 200), st.integers(1, 80))
def test_the_stream_can_be_entered_anywhere(n: int, seed: int, start: int, count: int) -> None:
    whole = items_at(n, seed, 0, start + count)
    assert list(whole[start:]) == list(items_at(n, seed, start, count))
    for epoch in range((start + count) // n):
        assert sorted(whole[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_seeds_and_epochs_differ_and_a_billion_cost_nothing() -> None:
    n = 10**9
    first = [Shuffle(n, 0)(i) for i in range(100)]
    assert len(set(first)) == 100
    assert first != [Shuffle(n, 1)(i) for i in range(100)]
    assert first != [Shuffle(n, 0, 1)(i) for i in range(100)]
    # An order that is no order: neighbours land far apart.
    gaps = [abs(a - b) for a, b in itertools.pairwise(first)]
    assert sum(gap > n // 100 for gap in gaps) > 90
