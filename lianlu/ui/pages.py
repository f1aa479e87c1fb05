"""Pages and their sections as HTML, rendered from what the files of a run say."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lianlu.ui import words
from lianlu.ui.charts import loss_figure, score_figure
from lianlu.ui.graph import draw
from lianlu.ui.plotly import style_marks
from lianlu.ui.reader import RunState, read_run, run_names
from lianlu.ui.results import compression_of, corpus_of, curves_of, scores_of, trial_of

HERE = Path(__file__).parent
SECTIONS = (
    "summary",
    "chain",
    "decisions",
    "corpus",
    "curves",
    "scores",
    "compression",
    "latency",
    "agent",
)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,  # everywhere: what is shown was written by documents and by models
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": words.count,
        "size": words.size,
        "seconds": words.seconds,
        "share": words.share,
        "attribute": lambda value: json.dumps(value, ensure_ascii=False, allow_nan=False),
    }
    return environment


_TEMPLATES = _environment()


def sections(runs: Path, name: str, language: str) -> dict[str, str]:
    """`{section: HTML}` of a run as its files are now. Raises UserError for no such run."""
    run = read_run(runs, name)
    strings = words.words_of(language)
    view = _view(run, strings)
    return {
        section: _TEMPLATES.get_template(f"sections/{section}.html").render(view)
        for section in SECTIONS
    }


def digests(rendered: Mapping[str, str]) -> str:
    """What a reader has seen, as an event id: a short digest of each section, in order."""
    return "-".join(hashlib.sha256(html.encode()).hexdigest()[:8] for html in rendered.values())


def run_page(runs: Path, name: str, language: str, chat: str, **assets: Any) -> str:
    """The console page. `chat` is "agent", "model" or "none"; `assets` are a report's inlined
    `style`, `scripts` and `policy`.
    """
    rendered = sections(runs, name, language)
    return _render(
        "run.html",
        language,
        name=name,
        sections=rendered,
        seen=digests(rendered),
        marks=style_marks(),
        chat=chat,
        report=assets or None,
    )


def index_page(runs: Path, language: str) -> str:
    """The list of runs."""
    states = [read_run(runs, name) for name in run_names(runs)[:200]]
    return _render("index.html", language, states=states, folder=runs.name, report=None)


def error_page(language: str, status: int, message: str, hint: str) -> str:
    return _render("error.html", language, status=status, message=message, hint=hint, report=None)


def _render(template: str, language: str, **view: Any) -> str:
    strings = words.words_of(language)
    return _TEMPLATES.get_template(template).render(
        t=_translate(strings), strings=strings, language=language, **view
    )


def _view(run: RunState, strings: Mapping[str, str]) -> dict[str, Any]:
    scores = scores_of(run)
    return {
        "t": _translate(strings),
        "run": run,
        "drawing": draw(run.nodes),
        "memory_scale": max(
            [max(node.memory or 0, node.predicted_memory or 0) for node in run.nodes], default=0
        ),
        "corpus": corpus_of(run),
        "curves": [(curve, loss_figure(curve, strings)) for curve in curves_of(run)],
        "scores": scores,
        "score_names": list(dict.fromkeys(name for row in scores.values() for name in row)),
        "score_figure": score_figure(scores, strings),
        "compression": compression_of(run),
        "trial": trial_of(run),
    }


def _translate(strings: Mapping[str, str]) -> Any:
    """`t("key")`; a key that came from a file and has no translation stands for itself."""

    def translate(key: str, fallback: str | None = None) -> str:
        return strings.get(key, key if fallback is None else fallback)

    return translate
