"""The machine's own Python as a source."""

from lianlu.refine import python_docs


def test_module_names() -> None:
    assert python_docs.module_name("json/__init__.py") == "json"
    assert python_docs.module_name("xml/etree/ElementTree.py") == "xml.etree.ElementTree"


def test_sources_leave_out_tests_and_build_settings() -> None:
    inner = [name for name, _ in python_docs.source_files()]
    assert inner == sorted(inner, key=lambda name: name.split("/"))
    assert "textwrap.py" in inner
    assert not any("test" in name.split("/") or "_sysconfigdata" in name for name in inner)


def test_pages_leave_out_modules_that_act() -> None:
    modules = [name for name, _ in python_docs.page_modules()]
    assert {"os", "json.decoder", "sys", "__future__"} <= set(modules)
    assert not {"antigravity", "this", "idlelib", "test", "_io"} & set(modules)


def test_papers_are_text_of_other_distributions() -> None:
    names = [name for name, _ in python_docs.papers()]
    assert any(name.endswith("METADATA") for name in names)
    assert not any(name.lower().startswith("lianlu/") for name in names)


def test_render_keeps_the_order_and_reports_what_fails() -> None:
    pages = list(python_docs.render(["textwrap", "no_such_module", "keyword"]))
    assert [module for module, _, _ in pages] == ["textwrap", "no_such_module", "keyword"]
    assert "TextWrapper" in pages[0][1]
    assert pages[1][1] == ""
    assert "no_such_module" in pages[1][2]
