import base64
import hashlib
import re
from pathlib import Path

import pytest

from lianlu.errors import UserError
from lianlu.ui.report import write_report


def test_the_report_carries_everything_and_allows_nothing_else(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(runs, "demo", path)
    page = path.read_text("utf-8")
    assert "<script src" not in page
    assert 'rel="stylesheet"' not in page
    assert "<textarea" not in page
    assert "<script>window" not in page
    allowed = re.search(r'content="(default-src[^"]*)"', page)
    assert allowed is not None
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    inline += re.findall(r"<style[^>]*>(.*?)</style>", page, re.DOTALL)
    assert len(inline) == 3
    for source in inline:
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"sha256-{digest}" in allowed[1].replace("&#43;", "+").replace("&#39;", "'")


def test_no_run_no_report(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run"):
        write_report(runs, "nope", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
