import importlib.util
from typing import Any

import pytest

from lianlu.errors import UserError
from lianlu.ui.plotly import plotly_script, style_marks


def test_the_script_is_that_of_the_wheel() -> None:
    path = plotly_script()
    assert path.name == "plotly.min.js"
    assert path.stat().st_size > 1_000_000
    assert all(len(mark) >= 32 for mark in style_marks())


def test_without_the_wheel_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, package: Any = None) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    with pytest.raises(UserError, match="pip install plotly"):
        plotly_script()
