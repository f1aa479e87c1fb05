"""Rules for source code and reference pages, which rules for prose would drop.

Line lengths and the share of letters follow Chen et al., "Evaluating Large Language Models Trained
on Code" (2021), section 3.1, and Li et al., "StarCoder: may the source be with you!" (2023),
section 3. The bound on repeated 10-grams is ours: it drops pages that list inherited members
once more. Example: a table of 6,000 code points is dropped by `code.letters`.
"""

from lianlu.refine.rules.policy import Rule

_CODE = frozenset({"code"})
_BOTH = frozenset({"code", "reference"})

RULES = (
    Rule("code.mean_line_length", "mean_line_length", most=100, genres=_CODE),
    Rule("code.longest_line", "longest_line", most=1000, genres=_CODE),
    Rule("code.longest_word", "longest_word", most=1000, genres=_BOTH),
    Rule("code.letters", "letters", least=0.25, genres=_BOTH),
    Rule("code.duplicate_10_grams", "duplicate_10_grams", most=0.7, genres=_BOTH),
)
