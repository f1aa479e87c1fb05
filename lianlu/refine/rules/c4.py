"""The C4 rules, as verdicts on whole documents.

Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer"
(2020), section 2.2. C4 also deletes the lines that do not look like sentences; here documents are
never rewritten, so those lines only do not count as sentences. Example: a page with four sentences
and a menu is dropped by `c4.sentences` with value 4 and threshold 5.
"""

from lianlu.refine.rules.policy import Rule

RULES = (
    Rule("c4.lorem_ipsum", "lorem_ipsum", most=0),
    Rule("c4.curly_brackets", "curly_brackets", most=0),
    Rule("c4.sentences", "sentences", least=5),
)
