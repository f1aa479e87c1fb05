"""Nothing that a terminal would obey is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jcleared", "[2Jcleared"),
        ("\x1b]52;c;ZXZpbA==\x07clipboard", "]52;c;ZXZpbA==clipboard"),
        ("\x9b31m", "31m"),  # an escape sequence can begin with a single character, too
        ("over\rwritten\x08", "overwritten"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("lone \udcff surrogate", "lone  surrogate"),
        ("def f():\n\treturn '中\u3000文 é😀'", "def f():\n\treturn '中\u3000文 é😀'"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(), st.text())
def test_pieces_of_a_stream_may_be_cleaned_one_by_one(first: str, second: str) -> None:
    assert printable(first) + printable(second) == printable(first + second)
    assert "\x1b" not in printable(first)
