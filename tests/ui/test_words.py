import re
from pathlib import Path

import pytest

import lianlu.ui.words as words
from lianlu.ui.pages import HERE
from lianlu.ui.reader import NODE_STATES, RUN_STATES


def test_both_languages_say_the_same_things() -> None:
    english, chinese = words.words_of("en"), words.words_of("zh")
    # What the chain itself says in English stands in the Chinese file only.
    said = {key for key in chinese if key.startswith(("stage.", "answer.")) or key.endswith("?")}
    assert set(english) == set(chinese) - said
    assert all(english.values())
    assert all(chinese.values())


def test_every_word_that_a_template_asks_for_is_there() -> None:
    asked = {
        key
        for template in (HERE / "templates").rglob("*.html")
        for key in re.findall(r'\bt\("([^"]+)"\)', template.read_text("utf-8"))
    }
    asked |= {f"state.{state}" for state in NODE_STATES | RUN_STATES}
    assert asked
    assert asked <= set(words.words_of("en"))


@pytest.mark.parametrize(
    ("asked", "accepted", "chosen"),
    [
        ("zh", "en", "zh"),
        ("fr", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "fr,en;q=0.5,zh;q=0.7", "zh"),
        (None, "en-GB,en", "en"),
        (None, "", "en"),
        (None, "zh;q=oops,;;;,*", "en"),
        ("../en", "", "en"),
    ],
)
def test_the_language_is_asked_for_or_accepted(
    asked: str | None, accepted: str, chosen: str
) -> None:
    assert words.choose_language(asked, accepted) == chosen


def test_numbers_as_people_write_them() -> None:
    assert [words.count(n) for n in (None, 12345, 0.5, 2.13456)] == ["–", "12,345", "0.5", "2.135"]
    assert [words.size(n) for n in (512, 2048, 5_242_880, 3 * 2**30)] == [
        "512 B",
        "2.0 KiB",
        "5.0 MiB",
        "3.0 GiB",
    ]
    told = [words.seconds(n) for n in (0.0034, 8.21, 185, 7800, 0, None)]
    assert told == ["3.4 ms", "8.2 s", "3 min 05 s", "2 h 10 min", "0 s", "–"]
    assert words.seconds(59.96) == "60.0 s"
    assert words.share(0.886) == "88.6%"


def test_the_words_travel_with_the_package() -> None:
    assert Path(words.FOLDER).parent == HERE
