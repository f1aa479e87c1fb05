"""Plotly's script, taken from its wheel: nothing is copied, nothing is fetched."""

import importlib.util
import re
from functools import cache
from pathlib import Path

from lianlu.errors import UserError


def plotly_script() -> Path:
    """Where the script lies. Raises UserError where the wheel is not installed."""
    spec = importlib.util.find_spec("plotly")  # importing it would take a second
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / "package_data" / "plotly.min.js" if folders else Path()
    if not path.is_file():
        raise UserError("plotly is not installed", "`pip install plotly`")
    return path


@cache
def style_marks() -> list[str]:
    """Ids under which the script looks for styles it brings (for maps, which we do not draw).

    Where an element of that id stands, it adds none: our policy would refuse it, and say so.
    """
    script = plotly_script().read_text("utf-8")
    return re.findall(r'getElementById\("([0-9a-f]{32,64})"\)', script)
