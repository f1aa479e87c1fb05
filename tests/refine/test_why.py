"""why: one document's fate."""

from pathlib import Path

import pytest

from lianlu.errors import UserError
from lianlu.job import Job
from lianlu.refine.config import PathSource, RefineConfig
from lianlu.refine.examine import document_id
from lianlu.refine.pipeline import refine
from lianlu.refine.why import why


def test_why(documents: Path, tmp_path: Path) -> None:
    refine(RefineConfig(workers=1), [PathSource(path=documents)], Job(tmp_path))
    kept = why(tmp_path, document_id("docs", "oven.txt", 0))
    assert kept["status"] == "kept"
    assert kept["text"].startswith("The oven stands")
    dropped = why(tmp_path, document_id("docs", "short.txt", 0)[:12])
    assert (dropped["rule"], dropped["value"], dropped["threshold"]) == ("length.chars", 10, 64)
    assert "text" not in dropped
    broken = why(tmp_path, document_id("docs", "broken.html", 0))
    assert broken["error"].startswith("not utf-8")
    with pytest.raises(UserError, match="no document"):
        why(tmp_path, "zzzz")
    with pytest.raises(UserError, match="documents begin with"):
        why(tmp_path, "")
    with pytest.raises(UserError, match="no ledger"):
        why(tmp_path / "nowhere", "a")
