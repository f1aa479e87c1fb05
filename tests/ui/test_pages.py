import html
import json
import re
from pathlib import Path

from lianlu.ui.pages import SECTIONS, digests, error_page, index_page, run_page, sections


def test_what_documents_and_models_wrote_is_text(runs: Path) -> None:
    page = run_page(runs, "demo", "en", "none")
    assert "window.hacked" in page
    assert "<script>window" not in page
    assert "<img" not in page
    assert "onerror=&#34;" in page


def test_figures_survive_the_attribute(runs: Path) -> None:
    figures = re.findall(r'data-figure="([^"]*)"', sections(runs, "demo", "en")["curves"])
    assert [json.loads(html.unescape(figure))["data"][0]["type"] for figure in figures] == [
        "scatter",
        "scatter",
    ]


def test_hostile_names_stay_in_their_attributes(runs: Path) -> None:
    path = runs / "demo" / "run.json"
    record = json.loads(path.read_text())
    record["nodes"][0] |= {"name": '"><script>x</script>', "state": '"><script>y</script>'}
    path.write_text(json.dumps(record))
    page = run_page(runs, "demo", "en", "none")
    assert "<script>x" not in page
    assert "<script>y" not in page


def test_a_run_that_has_just_begun_says_so(runs: Path) -> None:
    (runs / "demo" / "run.json").write_text('{"state": "running", "nodes": []}')
    told = sections(runs, "demo", "en")
    assert tuple(told) == SECTIONS
    assert "Not yet." in told["corpus"]
    assert told["compression"].strip() == ""


def test_a_change_changes_one_digest(half_done: Path) -> None:
    before = digests(sections(half_done, "demo", "en")).split("-")
    (metrics,) = half_done.glob("steps/base-*/metrics.jsonl")
    with metrics.open("a") as file:
        file.write('{"step": 999, "loss": 1}\n')
    after = digests(sections(half_done, "demo", "en")).split("-")
    changed = [name for name, old, new in zip(SECTIONS, before, after, strict=True) if old != new]
    assert changed == ["curves"]


def test_chinese_pages_are_chinese(runs: Path) -> None:
    page = run_page(runs, "demo", "zh", "agent")
    assert '<html lang="zh">' in page
    assert "语料" in page
    assert "Corpus" not in page


def test_the_chat_box_says_how_to_start_a_model(runs: Path) -> None:
    assert "lianlu serve demo" in run_page(runs, "demo", "en", "none")
    assert "<textarea" in run_page(runs, "demo", "en", "model")


def test_index_and_errors(runs: Path) -> None:
    assert "/runs/demo?lang=en" in index_page(runs, "en")
    assert "lianlu run" in index_page(runs / "none", "en")
    assert "&lt;b&gt;" in error_page("en", 404, "no run '<b>'", "")
