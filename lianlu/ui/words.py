"""The console's own words, in English and Chinese, and how it writes numbers."""

import json
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh")
FOLDER = Path(__file__).parent / "lang"


@cache
def words_of(language: str) -> dict[str, str]:
    """The strings of a language of LANGUAGES, by key."""
    strings: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text("utf-8"))
    return strings


def choose_language(asked: str | None, accepted: str) -> str:
    """`?lang=` if it is a language we have, else the best of an Accept-Language header."""
    if asked in LANGUAGES:
        return str(asked)
    best, best_weight = LANGUAGES[0], 0.0
    for part in accepted.split(",")[:20]:
        tag, _, quality = part.strip().partition(";q=")
        language = tag.split("-")[0].lower()
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and weight > best_weight:
            best, best_weight = language, weight
    return best


def count(value: float | None) -> str:
    """12345 → 12,345; a number that is not whole keeps four digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1e4 else f"{value:.4g}"


def size(value: float | None) -> str:
    """Bytes, in the unit that leaves at most four digits."""
    if value is None:
        return "–"
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def seconds(value: float | None) -> str:
    """Seconds as people say them: 8.2 s, 3 min 05 s, 2 h 10 min; below a second in ms."""
    if value is None:
        return "–"
    if value < 1:
        return f"{value * 1000:.3g} ms" if value > 0 else "0 s"
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{value // 60:.0f} min {value % 60:02.0f} s"
    return f"{value // 3600:.0f} h {value % 3600 // 60:02.0f} min"


def share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
