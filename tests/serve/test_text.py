"""Text streams: nothing broken is shown, nothing is taken back, stop strings are found anywhere."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.model.tokenizer import Tokenizer
from lianlu.serve.text import TextStream


@pytest.fixture(scope="module")
def tokenizer(model_dir: Path) -> Tokenizer:
    return Tokenizer.load(model_dir)


def push_all(stream: TextStream, ids: list[int]) -> list[str]:
    """Every state of the text, checked to only ever grow."""
    states = [""]
    for token in ids:
        stream.push(token)
        assert stream.text.startswith(states[-1])
        states.append(stream.text)
        if stream.stopped:
            return states
    stream.finish()
    assert stream.text.startswith(states[-1])
    return [*states, stream.text]


@given(text=st.text(max_size=40))
def test_pieces_join_to_the_whole(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert push_all(TextStream(tokenizer), ids)[-1] == tokenizer.decode(ids)


@given(
    text=st.text(alphabet="ab<>中é", max_size=30),
    stops=st.lists(st.text(alphabet="ab<>中", min_size=1, max_size=4), max_size=3),
)
def test_a_stop_string_cuts_where_it_first_appears(
    tokenizer: Tokenizer, text: str, stops: list[str]
) -> None:
    stream = TextStream(tokenizer, stops)
    push_all(stream, tokenizer.encode(text))
    cut = stream.text
    assert text.startswith(cut)
    assert not any(stop in cut for stop in stops)
    if stream.stopped:
        assert any(text[len(cut) :].startswith(stop) for stop in stops)
    else:
        assert cut == text


def test_an_unfinished_character_waits(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("é😀")
    states = push_all(TextStream(tokenizer), ids)
    assert not any("\ufffd" in state for state in states)


def test_a_character_that_never_ends_is_shown_broken(tokenizer: Tokenizer) -> None:
    stream = TextStream(tokenizer)
    push_all(stream, tokenizer.encode("😀")[:-1])
    assert "\ufffd" in stream.text


def test_special_tokens_are_no_text(tokenizer: Tokenizer) -> None:
    ids = [tokenizer.special_ids["<|im_start|>"], *tokenizer.encode("path")]
    assert push_all(TextStream(tokenizer), ids)[-1] == "path"
