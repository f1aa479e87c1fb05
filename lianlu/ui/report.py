"""A run's console page as one HTML file: no server, no network, nothing beside it."""

import base64
import hashlib
from pathlib import Path

from markupsafe import Markup

from lianlu.ui.pages import HERE, run_page
from lianlu.ui.plotly import plotly_script


def write_report(runs: Path, name: str, path: Path, language: str = "en") -> None:
    """Write the page of run `name` to `path`, about 5 MB since Plotly's script comes along.

    Raises UserError when there is no such run.
    """
    style = (HERE / "static" / "style.css").read_text("utf-8")
    scripts = [
        # In HTML only this sequence would end an inline script early.
        script.read_text("utf-8").replace("</script", "<\\/script")
        for script in (plotly_script(), HERE / "static" / "console.js")
    ]
    allowed = " ".join(_hash(script) for script in scripts)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:;"
        " form-action 'none'; base-uri 'none'"
    )
    page = run_page(
        runs,
        name,
        language,
        "none",
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        policy=policy,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _hash(source: str) -> str:
    """The CSP source expression that lets in this inline text and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
