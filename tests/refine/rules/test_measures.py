"""Measures, against the definitions in plain Python."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.refine.buffers import string_buffers
from lianlu.refine.rules.measures import MEASURES, measure

_TEXT = st.text(alphabet="aab .\n-#é1", min_size=1, max_size=80)
_SENTENCES = st.lists(st.sampled_from(["the cat", "sat on", "a mat.", "\n", "\n\n", "- x"]))


def measures(text: str) -> dict[str, float]:
    columns, _ = measure(*string_buffers([text]))
    return dict(zip(MEASURES, columns[0].tolist(), strict=True))


def spans(text: str) -> dict[str, str]:
    _, found = measure(*string_buffers([text]))
    data = text.encode()
    return {name: data[a:b].decode() for name, (a, b) in zip(MEASURES, found[0], strict=True)}


def _top(tokens: list[str], n: int) -> int:
    counts = Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
    if not counts or counts.most_common(1)[0][1] < 2:
        return 0
    gram, count = counts.most_common(1)[0]  # the first of equals
    return len(" ".join(gram)) * count


def _repeated(tokens: list[str], n: int) -> int:
    seen, chars, i = set(), 0, 0
    while i < len(tokens) - n + 1:
        gram = tuple(tokens[i : i + n])
        if gram in seen:
            chars += len("".join(gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return chars


def _repeats(parts: list[str]) -> tuple[int, int]:
    again = [part for i, part in enumerate(parts) if part in parts[:i]]
    return len(again), sum(map(len, again))


@given(_TEXT | _SENTENCES.map(" ".join))
def test_measures_are_their_definitions(text: str) -> None:
    found, tokens, chars = measures(text), text.split(), max(1, len(text))
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    assert found["chars"] == len(text)
    assert found["words"] == len(tokens)
    assert found["symbols_per_word"] * max(1, len(tokens)) == pytest.approx(
        text.count("#") + text.count("...")
    )
    if tokens:
        assert found["mean_word_length"] == pytest.approx(sum(map(len, tokens)) / len(tokens))
        alphabetic = sum(bool(re.search(r"[^\W\d_]", token)) for token in tokens)
        assert found["alphabetic_words"] == pytest.approx(alphabetic / len(tokens))
        assert found["lines_per_word"] == pytest.approx(len(lines) / len(tokens))
    for n in (2, 3, 4):
        assert found[f"top_{n}_gram"] == pytest.approx(_top(tokens, n) / chars)
    for n in range(5, 11):
        assert found[f"duplicate_{n}_grams"] == pytest.approx(_repeated(tokens, n) / chars)
    if lines:
        again, again_chars = _repeats(lines)
        assert found["duplicate_lines"] == pytest.approx(again / len(lines))
        assert found["duplicate_line_chars"] == pytest.approx(again_chars / chars)
        assert found["short_lines"] == sum(len(line) <= 30 for line in lines) / len(lines)
        bullets = sum(line[0] in "-*•" for line in lines) / len(lines)
        assert found["bullet_lines"] == pytest.approx(bullets)
        assert found["punctuated_lines"] == pytest.approx(
            sum(line[-1] in '.!?"' for line in lines) / len(lines)
        )
        assert found["longest_line"] == max(map(len, lines))


def test_paragraphs() -> None:
    text = "one two\nthree\n\nfour five\n \none two\nthree\n"
    found = measures(text)
    assert found["duplicate_paragraphs"] == pytest.approx(1 / 3)
    assert found["duplicate_paragraph_chars"] == pytest.approx(12 / len(text))
    assert spans(text)["duplicate_paragraphs"] == "one two\nthree"


def test_spans_show_what_repeats() -> None:
    text = "click here now. " * 4 + "and then\nthis line\nthis line"
    found = spans(text)
    assert found["top_3_gram"] == "click here now."
    assert found["duplicate_lines"] == "this line"
    assert found["duplicate_5_grams"].startswith("click here now.")
    assert spans("nothing twice here")["top_2_gram"] == ""


def test_sentences_as_c4_counts_them() -> None:
    text = "Menu\nOne two three. Four five!\nEnable JavaScript to read this.\nToo short.\nMore..."
    assert measures(text)["sentences"] == 2
    assert measures("这是一个句子。\n还有一个。")["sentences"] == 2
    assert measures("Lorem Ipsum {x} {y}")["lorem_ipsum"] == 1
    assert measures("Lorem Ipsum {x} {y}")["curly_brackets"] == 2


def test_chinese_characters_are_words() -> None:
    found = measures("你好世界。")
    assert (found["chars"], found["words"], found["mean_word_length"]) == (5, 5, 1)


def test_empty_text_has_zeros() -> None:
    assert set(measures("").values()) == {0.0}
    assert measures(" \n ")["words"] == 0
