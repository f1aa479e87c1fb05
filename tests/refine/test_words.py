"""Words and shingles, against a plain Python reading of the same definition."""

import re
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lianlu.refine.buffers import string_buffers
from lianlu.refine.words import shingles, words

# The definition for Latin text and Chinese: runs of letters, digits and _, or one character.
_WORD = re.compile(r"[a-z0-9_à-ÿ]+|[\u3040-\u9fff]")
_TEXT = st.text(alphabet="aBc_1 9.,-\n(é)—…你好。、", max_size=60)


def _words(text: str) -> list[str]:
    data, offsets = string_buffers([text])
    _, starts, ends = words(data, offsets[0], offsets[1])
    return [bytes(data[a:b]).decode() for a, b in zip(starts, ends, strict=True)]


@given(_TEXT)
def test_words_are_those_of_the_definition(text: str) -> None:
    found = _words(text)
    assert [word.lower() for word in found] == _WORD.findall(text.lower())


@given(_TEXT)
def test_hashes_ignore_case_and_punctuation(text: str) -> None:
    data, offsets = string_buffers([text, text.upper().replace(".", "!")])
    first, second = (words(data, a, b)[0] for a, b in pairwise(offsets))
    if text.upper().lower() == text.lower() and "É" not in text.upper():
        assert np.array_equal(first, second)


@given(_TEXT, st.integers(1, 5))
def test_shingles_are_the_distinct_runs_of_words(text: str, width: int) -> None:
    data, offsets = string_buffers([text])
    tokens = _WORD.findall(text.lower())
    count = max(1, len(tokens) - width + 1) if tokens else 0
    runs = {tuple(tokens[i : i + width]) for i in range(count)}
    grams = shingles(data, offsets[0], offsets[1], width)
    assert len(grams) == len(runs)
    assert np.all(np.diff(grams.astype(object)) > 0)
