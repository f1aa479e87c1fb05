"""Which language a text is in: py3langid's naive Bayes model, which lies inside its package."""

from functools import cache

from py3langid import langid

# The head of a document tells its language; more costs time and changes nothing.
_LOOKED_AT = 2000
# Languages written without spaces between words: rules that count words do not fit them.
UNSPACED = frozenset({"zh", "ja", "th", "lo", "km", "my", "bo", "dz"})


@cache
def _identifier() -> langid.LanguageIdentifier:
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)


def identify(text: str) -> tuple[str, float]:
    """`(ISO 639 code, confidence in 0..1)` of a text; the code of text without letters is `und`."""
    head = text[:_LOOKED_AT]
    if not any(map(str.isalpha, head)):
        return "und", 0.0
    code, confidence = _identifier().classify(head)
    return code, round(float(confidence), 4)
