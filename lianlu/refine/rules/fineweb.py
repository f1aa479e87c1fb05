"""The rules that FineWeb adds to Gopher's and C4's.

Penedo et al., "The FineWeb Datasets: Decanting the Web for the Finest Text Data at Scale" (2024),
section 3.6. Example: a list of product names, one a line, is dropped by `fineweb.punctuated_lines`
with value 0 and threshold 0.12.
"""

from lianlu.refine.rules.policy import Rule

RULES = (
    Rule("fineweb.punctuated_lines", "punctuated_lines", least=0.12),
    Rule("fineweb.short_lines", "short_lines", most=0.67),
    Rule("fineweb.duplicate_line_chars", "duplicate_line_chars", most=0.01),
    Rule("fineweb.lines_per_word", "lines_per_word", most=0.3),
)
