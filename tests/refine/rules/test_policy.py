"""Rules as data: bounds, genres, languages, and the first broken rule."""

import numpy as np

from lianlu.refine.rules.policy import ALL, Rule, judge

WORDS = Rule("set.words", "words", least=3, most=10)
SPACED = Rule("set.length", "length", least=2, languages="spaced")
ENGLISH = Rule("set.stop", "stop", least=1, languages="en")


def _judge(rules: list[Rule], genre: str, language: str, **values: float) -> list[object]:
    columns = {"words": 5.0, "length": 5.0, "stop": 5.0, **values}
    arrays = {name: np.array([value]) for name, value in columns.items()}
    verdict = judge(rules, arrays, [genre], [language])
    return [int(verdict.rule[0]), float(verdict.value[0]), float(verdict.threshold[0])]


def test_bounds_are_inclusive_and_the_broken_one_is_named() -> None:
    assert _judge([WORDS], "prose", "en", words=3)[0] == -1
    assert _judge([WORDS], "prose", "en", words=10)[0] == -1
    assert _judge([WORDS], "prose", "en", words=2) == [0, 2, 3]
    assert _judge([WORDS], "prose", "en", words=11) == [0, 11, 10]


def test_the_first_broken_rule_decides() -> None:
    assert _judge([WORDS, SPACED], "prose", "en", words=1, length=1)[0] == 0
    assert _judge([SPACED, WORDS], "prose", "en", words=1, length=1)[0] == 0
    assert _judge([WORDS, SPACED], "prose", "en", length=1) == [1, 1, 2]


def test_rules_judge_only_their_genre_and_language() -> None:
    assert _judge([WORDS], "code", "code", words=1)[0] == -1
    assert _judge([SPACED], "prose", "zh", length=1)[0] == -1
    assert _judge([ENGLISH], "prose", "de", stop=0)[0] == -1
    assert _judge([ENGLISH], "prose", "en", stop=0)[0] == 0
    assert _judge([Rule("x", "words", most=1, genres=ALL)], "code", "code")[0] == 0
