"""Rules as data: a measure, its bounds, and the documents it may judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from lianlu.refine.language import UNSPACED

PROSE = frozenset({"prose"})
ALL = frozenset({"prose", "reference", "code"})


@dataclass(frozen=True)
class Rule:
    """Keep documents whose `measure` lies within `least` and `most`, both inclusive."""

    name: str
    measure: str
    least: float = -inf
    most: float = inf
    genres: frozenset[str] = PROSE
    languages: str = "any"
    """any; spaced (written with spaces between words); or one language's code."""

    def judges(self, genre: str, language: str) -> bool:
        """Whether the rule applies to a document at all."""
        if genre not in self.genres:
            return False
        if self.languages == "spaced":
            return language not in UNSPACED
        return self.languages in {"any", language}


@dataclass(frozen=True)
class Verdicts:
    """Per document the index of the first rule it broke (-1: none), its value and threshold."""

    rule: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.float64]


def judge(
    rules: Sequence[Rule],
    columns: Mapping[str, npt.NDArray[np.float64]],
    genres: Sequence[str],
    languages: Sequence[str],
) -> Verdicts:
    """The verdict of `rules`, in their order, over columns of measures of equal length."""
    n = len(genres)
    verdicts = Verdicts(np.full(n, -1), np.zeros(n), np.zeros(n))
    groups, group_of = np.unique(
        [f"{g} {c}" for g, c in zip(genres, languages, strict=True)], return_inverse=True
    )
    for i, rule in enumerate(rules):
        judged = np.array([rule.judges(*group.split(" ")) for group in groups], bool)[group_of]
        value = columns[rule.measure]
        low, high = value < rule.least, value > rule.most
        broken = judged & (low | high) & (verdicts.rule < 0)
        verdicts.rule[broken] = i
        verdicts.value[broken] = value[broken]
        verdicts.threshold[broken] = np.where(low, rule.least, rule.most)[broken]
    return verdicts
