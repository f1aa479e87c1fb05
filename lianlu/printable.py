"""Text of others, made safe to show in a terminal."""

import unicodedata


def printable(text: str) -> str:
    """`text` without characters that a terminal obeys and nobody sees: control codes, the starts of
    escape sequences, marks that turn the direction of writing. Tabs and line ends stay."""
    return "".join(c for c in text if c in "\t\n" or not unicodedata.category(c).startswith("C"))
