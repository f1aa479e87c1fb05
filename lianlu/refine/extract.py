"""A decoded document to clean text: main content of HTML, Unicode repair, white space."""

import re
import unicodedata

import ftfy
import trafilatura
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import DOMContext, HTMLTree, traverse_dom

# Sequences that UTF-8 leaves when it was read as Latin-1 or Windows-1252. ftfy is slow: only
# text that shows one of them is worth its look.
_MOJIBAKE = re.compile(
    "[\u00c2\u00c3\u00e2\u00d0\u00d1][\u0080-\u00bf\u0152-\u0178\u02c6-\u2122]|\ufffd"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]|[\ud800-\udfff]")
_ODD_SPACE = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
# The look-behind keeps a long run of spaces inside a line from being tried at each of them.
_TRAILING = re.compile(r"(?<![ \t])[ \t]+$", re.MULTILINE)
_EMPTY_LINES = re.compile(r"\n{3,}")
_PYDOC_EMPTY = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
_SHORT_LINE = 80
# resiliparse's time grows with the cube of the depth, and browsers stop at this one. Looking for it
# takes longer than the extraction, so that only pages of very many tags are looked at.
_DEEPEST = 512
_MANY_TAGS = 5000


def extract(text: str, kind: str) -> tuple[str, str]:
    """`(clean text, title)` of a decoded document of a kind as in `sources.Piece.kind`.

    Source code keeps its characters and layout, except for the line ends. Raises ValueError for
    HTML that is nested beyond reason.
    """
    title = ""
    if kind == "pydoc":
        # Made by one program: all of it is content but the head's links.
        body = extract_plain_text(text, preserve_formatting=True, skip_elements=[".extra"])
        text = _PYDOC_EMPTY.sub("\n\n", body)
    elif kind == "html":
        text, title = _main_text(text)
    elif kind == "markdown":
        title = _first_heading(text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if kind in {"python", "code"}:
        return _CONTROL.sub("", text).strip("\n"), title
    return clean(text), title.strip()


def clean(text: str) -> str:
    """Repair mojibake where it is suspected, then NFC, plain spaces, at most one empty line."""
    if not text.isascii():
        if _MOJIBAKE.search(text):
            text = ftfy.fix_text(text, uncurl_quotes=False, normalization=None)
        text = _ODD_SPACE.sub(" ", unicodedata.normalize("NFC", text))
    text = _TRAILING.sub("", _CONTROL.sub("", text))
    return _EMPTY_LINES.sub("\n\n", text).strip()


def _main_text(html: str) -> tuple[str, str]:
    """Main text and title of a page, adjudicated between two extractors.

    resiliparse is ten times faster and seldom loses text; where a tenth of its result are short
    lines (navigation) or it holds almost nothing of the page, trafilatura decides, unless
    it keeps less than a quarter of what resiliparse found.
    """
    tree = HTMLTree.parse(html)
    if html.count("<") > _MANY_TAGS and _depth(tree) > _DEEPEST:
        raise ValueError(f"elements nested deeper than {_DEEPEST}")
    title = tree.title or ""
    text = extract_plain_text(tree, preserve_formatting=True, main_content=True, links=False)
    short = sum(len(line) for line in text.splitlines() if len(line) < _SHORT_LINE)
    if short * 10 < len(text) and len(text) > 200:
        return text, title
    second = trafilatura.extract(html, fast=True, include_tables=True, deduplicate=False) or ""
    if len(second) * 4 >= len(text):
        return second, title
    return text, title


def _depth(tree: HTMLTree) -> int:
    deepest = 0

    def enter(context: DOMContext) -> None:
        nonlocal deepest
        deepest = max(deepest, context.depth)

    if tree.document:
        traverse_dom(tree.document, enter, None, None)
    return deepest


def _first_heading(markdown: str) -> str:
    for line in markdown.splitlines()[:50]:
        if line.startswith("# "):
            return line[2:].strip().rstrip("#")
    return ""
