"""Documented names: from Python sources by `ast`, from prose by headings."""

import json
import math
import pydoc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.refine.entries import (
    Entry,
    Limits,
    find_entries,
    fit,
    headings,
    is_telling,
    module_of,
    page_names,
    python_names,
    split_sentences,
    unique_entries,
)

SOURCE = '''"""A module of many parts. It has a second sentence."""
import sys

def area(width: float, height: float = 1.0, *, unit: str = "m") -> float:
    """Area of a rectangle.

    More.
    """
    def inner():
        """Not to be seen from outside."""

def _private():
    """Nobody asks about this."""

def bare(): pass

if sys.platform == "win32":
    def opened(path):
        """Open a file on Windows."""
else:
    def opened(path, mode):
        """Open a file elsewhere."""

class Shape:
    """Something that has an area."""

    def __init__(self):
        """Make a shape."""

    @property
    def edges(self) -> int:
        """Number of edges of the shape."""

    class Corner:
        """Where two edges meet."""

        async def cut(self):
            """Cut the corner off at last."""
'''


def test_python_names_are_those_a_user_may_ask_for() -> None:
    found = {name: (signature, text) for name, signature, text in python_names(SOURCE, "a.geo")}
    assert found == {
        "a.geo": ("a.geo", "A module of many parts. It has a second sentence."),
        "a.geo.area": ("a.geo.area(width, height=1.0, *, unit='m')", "Area of a rectangle."),
        "a.geo.opened": ("a.geo.opened(path)", "Open a file on Windows."),
        "a.geo.Shape": ("class a.geo.Shape", "Something that has an area."),
        "a.geo.Shape.edges": ("a.geo.Shape.edges", "Number of edges of the shape."),
        "a.geo.Shape.Corner": ("class a.geo.Shape.Corner", "Where two edges meet."),
        "a.geo.Shape.Corner.cut": (
            "a.geo.Shape.Corner.cut(self)",
            "Cut the corner off at last.",
        ),
    }


def test_names_and_sentences_agree_with_pydoc() -> None:
    """The real module, imported, knows every name and starts its documentation the same."""
    source = json.decoder.__spec__.loader.get_source("json.decoder")  # type: ignore[union-attr]
    names = list(python_names(source, "json.decoder"))
    assert len(names) >= 4
    for name, _, paragraph in names:
        thing = pydoc.locate(name)
        assert thing is not None, name
        assert " ".join(pydoc.getdoc(thing).split()).startswith(paragraph), name


@pytest.mark.parametrize("source", ["def (", "x = '\0'", "\ud800"])
def test_source_that_does_not_parse_gives_nothing(source: str) -> None:
    assert list(python_names(source, "broken")) == []


@pytest.mark.parametrize("module", ["a.tests.b", "a._b", "test_a", "", "test"])
def test_tests_and_private_modules_are_skipped(module: str) -> None:
    assert list(python_names('"""A module of tests."""', module)) == []


@pytest.mark.parametrize(
    ("uri", "module"),
    [
        ("stdlib/json/decoder.py", "stdlib.json.decoder"),
        ("/usr/lib/python3.11/json/__init__.py", "json"),
        ("my-project/src/tool.py", "src.tool"),
        ("setup.py", "setup"),
    ],
)
def test_module_of(uri: str, module: str) -> None:
    assert module_of(uri) == module


PAGE = """posixpath

Common operations.

Classes

Thing(object)
A class is not read from a page.

Functions

abspath(path)
Return an absolute path.

See also join(a, b)
exists = there(path: str) -> bool
Test whether a path exists.  Returns False for
broken symbolic links.
aside(x)
_hidden(x)
join(a, /, *p) method of Path instance
join(a, p, ...) -> path

Join two paths.

Data
sep = '/'
zip(a)
Not a function.
"""


def test_functions_of_a_rendered_page() -> None:
    assert list(page_names(PAGE, "posixpath")) == [
        ("os.path.abspath", "os.path.abspath(path)", "Return an absolute path."),
        (
            "os.path.exists",
            "os.path.exists(path: str)",
            "Test whether a path exists. Returns False for broken symbolic links. "
            "aside(x) _hidden(x)",
        ),
        ("os.path.join", "os.path.join(a, /, *p)", "Join two paths."),
    ]
    assert next(page_names(PAGE, "builtins"))[0] == "abspath"
    assert list(page_names(PAGE, "a.tests")) == []
    assert list(page_names("Functions", "a")) == []


def test_pages_agree_with_the_functions_they_describe() -> None:
    page = pydoc.plain(pydoc.render_doc(math)).replace("FUNCTIONS\n", "Functions\n\n")
    text = "\n".join(line.removeprefix("    ").removeprefix("    ") for line in page.splitlines())
    names = list(page_names(text.replace("\nDATA\n", "\nData\n"), "math"))
    assert len(names) > 40
    for name, _, paragraph in names:
        doc = " ".join(pydoc.getdoc(pydoc.locate(name)).split())
        assert split_sentences(paragraph)[0] in doc, name


MARKDOWN = """# Pump *P-1*

Moves water from the tank to the boiler. Check it weekly.

```
# not a heading
Nor is this.
```

## Empty

## A list
- one
- two

## Seal
Keeps the water
inside the pump.
"""

TERMS = """# Parts
- **Rotor.** Turns the water
  around its axis.
- **Stator**: stands still all the time.
- **Loud** words are no term.

**Seal.** Keeps it in.

1. **One**: is numbered, and so no term.
"""


def test_terms_in_bold() -> None:
    assert [(name, text) for name, _, text in headings(TERMS)] == [
        ("Rotor", "Turns the water around its axis."),
        ("Stator", "stands still all the time."),
        ("Seal", "Keeps it in."),
    ]


RST = """=====
Valve
=====

Stops the flow when it is closed.

Springs
-------
Push the valve shut.

+-------+
| table |
+-------+
"""


def test_headings_of_markdown() -> None:
    assert list(headings(MARKDOWN)) == [
        ("Pump P-1", "Pump P-1", "Moves water from the tank to the boiler. Check it weekly."),
        ("Seal", "Seal", "Keeps the water inside the pump."),
    ]


def test_headings_of_restructured_text() -> None:
    assert list(headings(RST)) == [
        ("Valve", "Valve", "Stops the flow when it is closed."),
        ("Springs", "Springs", "Push the valve shut."),
    ]


def test_a_document_without_headings_explains_its_title() -> None:
    text = "Boiler\n\nHeats the water for the house."
    assert list(headings(text, "Boiler")) == [
        ("Boiler", "Boiler", "Heats the water for the house.")
    ]
    assert list(headings(text, None)) == []


@given(st.text(alphabet=st.sampled_from("#=-` \nab.'\"")), st.none() | st.text())
def test_no_text_breaks_the_heading_parser(text: str, title: str | None) -> None:
    for name, _, paragraph in headings(text, title):
        assert name.strip()
        assert paragraph.strip()


@pytest.mark.parametrize(
    ("paragraph", "sentences"),
    [
        ("One thing. Another thing!", ["One thing.", "Another thing!"]),
        ("Like 'a', e.g. This one. Then.", ["Like 'a', e.g. This one.", "Then."]),
        ("Uses os.path. It works in 3.11 too", ["Uses os.path.", "It works in 3.11 too"]),
        ("泵把水送到锅炉。每周检查。", ["泵把水送到锅炉。", "每周检查。"]),
        ("Not so. but then", ["Not so. but then"]),
        ("", []),
    ],
)
def test_sentences(paragraph: str, sentences: list[str]) -> None:
    assert split_sentences(paragraph) == sentences


@given(st.text(alphabet=st.sampled_from("aB .!?e。g'\"")))
def test_sentences_lose_nothing_but_space(paragraph: str) -> None:
    joined = "".join(split_sentences(paragraph))
    assert "".join(joined.split()) == "".join(paragraph.split())


def test_a_telling_sentence() -> None:
    assert is_telling("Return the absolute path.", 120)
    assert is_telling("把水从水箱送到锅炉里面去的那种机器。", 120)
    for poor in (
        "Too short.",
        "x " * 61,
        "See the module documentation.",
        ">>> print('a b c d')",
        "The following holds here:",
        "(in brackets) it is not a start",
        "Onesingleverylongword",
    ):
        assert not is_telling(poor, 120), poor


def test_fit_takes_whole_sentences_and_always_the_first() -> None:
    sentences = ["One is here.", "Two is here.", "Three."]
    assert fit("f(x)", sentences, 35) == "f(x)\nOne is here. Two is here."
    assert fit("f(x)", sentences, 5) == "f(x)\nOne is here."


def entry(name: str, summary: str, doc_id: str = "d1") -> Entry:
    return Entry(name, f"{name}\n{summary}", summary, doc_id)


def test_ambiguous_and_commonplace_entries_are_left_out() -> None:
    entries = [
        entry("b", "Says one thing.", "d1"),
        entry("b", "Says another thing.", "d2"),
        entry("a", "The same in two documents.", "d2"),
        entry("a", "The same in two documents.", "d1"),
        *(entry(f"c{i}", "Return a string.") for i in range(4)),
    ]
    assert unique_entries(entries) == [entry("a", "The same in two documents.", "d1")]
    assert unique_entries(reversed(entries)) == unique_entries(entries)


def test_kinds_of_documents_are_told_apart() -> None:
    limits = Limits(text=200, summary=120)
    code = {"id": "1", "text": SOURCE, "meta": {"uri": "a/geo.py", "module": "geo"}}
    prose = {"id": "2", "text": MARKDOWN, "meta": {"uri": "pump.md", "kind": "markdown"}}
    page = {"id": "3", "text": MARKDOWN, "meta": {}}
    assert {e.name for e in find_entries(code, limits, "python")} > {"geo.area", "geo.Shape"}
    assert [e.name for e in find_entries(prose, limits, "headings")] == ["Pump P-1", "Seal"]
    page["meta"] = {"uri": "pydoc/re", "kind": "pydoc", "module": "re"}
    for document, kind in ((code, "headings"), (prose, "python"), (page, "headings")):
        assert list(find_entries(document, limits, kind)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        "# a" + "#" * 1000 + " x ",
        "# a\\n",
        "# a\\nb\\n",
        "Title\\n=====\\n",
        "===\\n",
        "**a.** b\\n",
        "A. ",
        "e.g. X ",
    ],
)
def test_a_megabyte_of_marks_is_no_hour_of_work(finishes: Callable[[str], None], line: str) -> None:
    finishes(
        "from lianlu.refine.entries import headings, split_sentences\n"
        f"text = '{line}' * (1_000_000 // len('{line}'))\n"
        "list(headings(text, 'title')), split_sentences(text)"
    )


def test_a_paragraph_ends_at_the_next_heading() -> None:
    found = list(headings("# One #\nIt is warm.\n## Two\nIt is cold.\n"))
    assert found == [("One", "One", "It is warm."), ("Two", "Two", "It is cold.")]


def test_source_beyond_the_parser_gives_nothing() -> None:
    assert list(python_names("a " * 10_000, "m")) == []
    assert list(python_names("x = " + "(" * 10_000, "m")) == []
    for branches in (960, 980, 990, 1000):
        source = "if x: pass\n" + "elif x:\n  def f():\n    'Doc.'\n" * branches
        assert len(list(python_names(source, "m"))) <= 1
