"""Extraction and clean-up."""

import unicodedata
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from lianlu.refine.extract import clean, extract

SENTENCE = "The furnace turns raw documents into a model, step by step and with a ledger. "
PAGE = f"""<html><head><title> The furnace </title><script>track()</script></head><body>
<nav><a href=a>Home</a><a href=b>News</a><a href=c>Login</a></nav>
<main><article><h1>The furnace</h1><p>{SENTENCE * 3}</p><p>{SENTENCE * 2}</p></article></main>
<footer>Imprint</footer></body></html>"""


def test_html_keeps_the_main_text_and_the_title() -> None:
    text, title = extract(PAGE, "html")
    assert title == "The furnace"
    assert text.count("step by step") == 5
    for noise in ("track()", "Login", "Imprint"):
        assert noise not in text


def test_a_page_of_links_does_not_lose_its_one_paragraph() -> None:
    links = "".join(f"<li><a href=x>Link {i}</a></li>" for i in range(60))
    page = f"<html><body><ul>{links}</ul><article><p>{SENTENCE * 4}</p></article></body></html>"
    text, _ = extract(page, "html")
    assert "step by step" in text


def test_pydoc_pages_keep_everything_but_the_head_links() -> None:
    page = (
        '<table class="heading"><tr><td>demo</td><td class="decor extra"><a href=".">index</a></td>'
        "</tr></table><p>Prose.</p><dl><dt>f(x)</dt><dd>Return x.</dd></dl>"
    )
    text, _ = extract(page, "pydoc")
    assert "f(x)" in text
    assert "Return x." in text
    assert "index" not in text


def test_markdown_and_rst_stay_text() -> None:
    assert extract("# A title #\n\n* one\n", "markdown") == ("# A title #\n\n* one", "A title")
    assert extract("Title\n=====\n\n.. note:: x", "rst")[0] == "Title\n=====\n\n.. note:: x"


def test_code_keeps_its_layout() -> None:
    source = "def f():\r\n\tx = '\u00a0'  \r\n\r\n\r\n\r\n\treturn x\r\n"
    assert extract(source, "python")[0] == "def f():\n\tx = '\u00a0'  \n\n\n\n\treturn x"


def test_clean_repairs_mojibake_only_where_it_is() -> None:
    assert clean("schÃ¶n â€“ naÃ¯ve") == "schön – naïve"
    assert clean("“quoted” ﬁne") == "“quoted” ﬁne"
    assert clean("a\u00a0b  \n\n\n\nc\x00\ufeff") == "a b\n\nc"
    assert clean("e\u0301") == "é"


@given(st.text(max_size=200))
def test_clean_is_idempotent_and_normal(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode("utf-8")


def test_a_megabyte_of_spaces_is_no_hour_of_work(finishes: Callable[[str], None]) -> None:
    finishes(
        "from lianlu.refine.extract import clean\n"
        "assert len(clean('a' + ' ' * 1_000_000 + 'b \\t\\n')) == 1_000_002"
    )


def test_a_page_nested_without_end_is_refused(finishes: Callable[[str], None]) -> None:
    finishes(
        "from lianlu.refine.extract import extract\n"
        "try:\n    extract('<div>' * 200_000, 'html')\n"
        "except ValueError as error:\n    assert 'nested deeper than 512' in str(error)\n"
        "else:\n    raise SystemExit(1)"
    )


def test_a_page_of_many_tags_is_read() -> None:
    assert extract(f"<main>{f'<p>{SENTENCE}</p>' * 3000}</main>", "html")[0].count("ledger") == 3000
