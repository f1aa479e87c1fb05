"""The Gopher rules: quality and repetition.

Rae et al., "Scaling Language Models: Methods, Analysis & Insights from Training Gopher" (2021),
appendix A.1.1. Example: a page of 30 words is dropped by `gopher-quality.words` with value 30 and
threshold 50; a page that says "click here to subscribe" on every line by
`gopher-repetition.top_4_gram`, with that phrase as the span. A gram must occur twice to count.
"""

from lianlu.refine.rules.policy import Rule

_Q, _R = "gopher-quality.", "gopher-repetition."

QUALITY = (
    Rule(_Q + "words", "words", least=50, most=100_000),
    Rule(_Q + "mean_word_length", "mean_word_length", least=3, most=10, languages="spaced"),
    Rule(_Q + "symbols_per_word", "symbols_per_word", most=0.1),
    Rule(_Q + "bullet_lines", "bullet_lines", most=0.9),
    Rule(_Q + "ellipsis_lines", "ellipsis_lines", most=0.3),
    Rule(_Q + "alphabetic_words", "alphabetic_words", least=0.8),
    Rule(_Q + "stop_words", "stop_words", least=2, languages="en"),
)

REPETITION = (
    Rule(_R + "duplicate_lines", "duplicate_lines", most=0.30),
    Rule(_R + "duplicate_line_chars", "duplicate_line_chars", most=0.20),
    Rule(_R + "duplicate_paragraphs", "duplicate_paragraphs", most=0.30),
    Rule(_R + "duplicate_paragraph_chars", "duplicate_paragraph_chars", most=0.20),
    Rule(_R + "top_2_gram", "top_2_gram", most=0.20),
    Rule(_R + "top_3_gram", "top_3_gram", most=0.18),
    Rule(_R + "top_4_gram", "top_4_gram", most=0.16),
    Rule(_R + "duplicate_5_grams", "duplicate_5_grams", most=0.15),
    Rule(_R + "duplicate_6_grams", "duplicate_6_grams", most=0.14),
    Rule(_R + "duplicate_7_grams", "duplicate_7_grams", most=0.13),
    Rule(_R + "duplicate_8_grams", "duplicate_8_grams", most=0.12),
    Rule(_R + "duplicate_9_grams", "duplicate_9_grams", most=0.11),
    Rule(_R + "duplicate_10_grams", "duplicate_10_grams", most=0.10),
)
