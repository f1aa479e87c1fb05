"""Which differences do not matter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.tools.answers import same_answer


@pytest.mark.parametrize(
    ("answer", "same"),
    [
        ("Join two paths.", True),
        (" join \n two  PATHS. ", True),
        ("Join two paths", True),
        ("Join two paths .", True),
        ("Join two paths..", False),
        ("Join two path.", False),
        ("Jointwo paths.", False),
        ("", False),
    ],
)
def test_what_is_the_same(answer: str, same: bool) -> None:
    assert same_answer(answer, "Join two paths.") is same


@given(st.text(), st.text())
def test_it_is_an_equivalence(one: str, other: str) -> None:
    assert same_answer(one, one)
    assert same_answer(one, other) == same_answer(other, one)
