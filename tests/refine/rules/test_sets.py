"""Every rule set, on one document that breaks it and one that passes all of them."""

from typing import get_args

import numpy as np
import pytest

from lianlu.refine.buffers import string_buffers
from lianlu.refine.config import RuleSet
from lianlu.refine.rules.measures import MEASURES, measure
from lianlu.refine.rules.policy import judge
from lianlu.refine.rules.sets import RULE_SETS

GOOD = """A corpus is a collection of documents, and every one of them was once raw.
The furnace takes what people wrote and asks of it a few plain questions, one after another.
Does it have enough words to say something, and are these the words of a language?
Those that pass are kept; those that do not are put into a ledger with the reason beside them.
Anybody may look into this ledger later to find what happened to a page that seems lost.
"""
CODE = "def area(width: float, height: float) -> float:\n    return width * height\n"


def broken(name: RuleSet, text: str, genre: str = "prose", language: str = "en") -> str:
    columns, _ = measure(*string_buffers([text]))
    by_name = {measured: np.array([v]) for measured, v in zip(MEASURES, columns[0], strict=True)}
    index = int(judge(RULE_SETS[name], by_name, [genre], [language]).rule[0])
    return RULE_SETS[name][index].name if index >= 0 else ""


def test_every_set_of_the_recipe_exists_and_measures_what_is_measured() -> None:
    assert set(RULE_SETS) == set(get_args(RuleSet))
    for name, rules in RULE_SETS.items():
        assert all(rule.name.startswith(f"{name}.") for rule in rules)
        assert {rule.measure for rule in rules} <= set(MEASURES)


@pytest.mark.parametrize("name", get_args(RuleSet))
def test_good_prose_and_code_pass(name: RuleSet) -> None:
    assert broken(name, GOOD) == ""
    assert broken(name, CODE, "code", "code") == ""


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("gopher-quality", "Too short to say anything.", "words"),
        ("gopher-quality", "a b " * 60, "mean_word_length"),
        ("gopher-quality", "#one two three four " * 30, "symbols_per_word"),
        ("gopher-quality", "- one of the things and more\n" * 20, "bullet_lines"),
        (
            "gopher-quality",
            "read the rest of this and that whole story…\n".replace(" ", " of the ") * 20,
            "ellipsis_lines",
        ),
        ("gopher-quality", "the 12.50 of 13.75 and 14.00 " * 20, "alphabetic_words"),
        ("gopher-quality", "lines without such words anywhere " * 20, "stop_words"),
        ("gopher-repetition", "the same line\n" * 5, "duplicate_lines"),
        ("gopher-repetition", GOOD + "click here " * 60, "top_2_gram"),
        ("c4", GOOD + "lorem ipsum", "lorem_ipsum"),
        ("c4", GOOD + "{", "curly_brackets"),
        ("c4", "One sentence only is here.", "sentences"),
        ("fineweb", "name of a product\n" * 3, "punctuated_lines"),
        ("fineweb", "A line.\n" * 2 + GOOD[:80], "short_lines"),
    ],
)
def test_bad_prose_is_dropped_by_its_rule(name: RuleSet, text: str, rule: str) -> None:
    assert broken(name, text) == f"{name}.{rule}"
    assert broken(name, text, "code", "code") == ""


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("x = 1; " * 30 + "\n", "mean_line_length"),
        ("x\n" * 99 + "y = [" + "1, " * 400 + "]", "longest_line"),
        ("x = 1\n" * 99 + "k = '" + "A" * 1001 + "'", "longest_line"),
        ("0x01, 0x02, 0x03,\n" * 9, "letters"),
        ("one two three four five six seven eight nine ten\n" * 9, "duplicate_10_grams"),
    ],
)
def test_bad_code_is_dropped_by_its_rule(text: str, rule: str) -> None:
    assert broken("code", text, "code", "code") == f"code.{rule}"
    assert broken("code", text) == ""
