"""Pages rendered in a child: the same bytes each time, no trace of the machine, bounded in time."""

import os
import re
import sys
import sysconfig
from pathlib import Path

import pytest

from lianlu.refine import python_docs
from lianlu.refine.pydoc_pages import render


def test_pages_are_the_same_each_time_and_name_no_machine() -> None:
    modules = ["os", "ctypes", "sys"]
    first, second = list(python_docs.render(modules)), list(python_docs.render(modules))
    assert first == second
    text = "".join(html for _, html, _ in first)
    assert not re.search(" at 0x[0-9a-f]{6,}", text)
    for private in (sysconfig.get_path("stdlib"), str(Path.home()), os.getcwd()):
        assert private not in text


def _module(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> str:
    (folder / "acting_module.py").write_text(body)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "acting_module", raising=False)
    return "acting_module"


# Forking the multi-threaded test process is fine here: the child renders and leaves.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("import time; time.sleep(60)", "no page after 0.5 s"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os; os._exit(1)", "the import crashed"),
        ("import nonexistent_thing", "ModuleNotFoundError"),
    ],
)
def test_an_import_that_misbehaves_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, error: str
) -> None:
    page = render(_module(monkeypatch, tmp_path, body), seconds=0.5)
    assert page["html"] == ""
    assert error in page["error"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_what_an_import_prints_is_not_in_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    name = _module(monkeypatch, tmp_path, '"""Quiet."""\nprint("noise")')
    page = render(name, seconds=10)
    assert "Quiet." in page["html"]
    assert capfd.readouterr().out == ""
