"""Every link of the chain exists, with the arguments that the chain hands it."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from lianlu import links
from lianlu.links import LINKS


@pytest.mark.parametrize("name", LINKS)
def test_a_link_has_a_version_and_its_three_arguments(name: str) -> None:
    link = LINKS[name]
    assert link.version >= 1
    assert list(inspect.signature(link.work).parameters) == ["config", "extra", "job"]


def test_everything_that_is_imported_lazily_exists() -> None:
    source = Path(links.__file__).read_text(encoding="utf-8")
    lazy = re.findall(r"^    from (lianlu[\w.]+) import (\w+)", source, re.MULTILINE)
    assert len(lazy) >= len(LINKS)
    for module, function in lazy:
        assert callable(getattr(importlib.import_module(module), function))
