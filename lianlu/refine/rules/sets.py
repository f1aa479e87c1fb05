"""The rule sets that a recipe may name."""

from collections.abc import Mapping

from lianlu.refine.config import RuleSet
from lianlu.refine.rules import c4, code, fineweb, gopher
from lianlu.refine.rules.policy import Rule

RULE_SETS: Mapping[RuleSet, tuple[Rule, ...]] = {
    "gopher-quality": gopher.QUALITY,
    "gopher-repetition": gopher.REPETITION,
    "c4": c4.RULES,
    "fineweb": fineweb.RULES,
    "code": code.RULES,
}
