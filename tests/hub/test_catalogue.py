from typing import Any

from lianlu.hub.cache import SOURCE
from lianlu.hub.catalogue import catalogue
from lianlu.hub.get import get


def test_the_cache_is_listed(hub: Any) -> None:
    assert catalogue() == []
    directory = get("hf:owner/name")
    get("ms:owner/name")
    get("hf:datasets/name@v1")
    (get("hf:half/done") / SOURCE).unlink()
    rows = catalogue()
    assert [row["id"] for row in rows] == ["hf:datasets/name@v1", "hf:owner/name", "ms:owner/name"]
    assert rows[1]["path"] == str(directory)
    assert rows[1]["files"] == 4
    assert rows[1]["bytes"] > 1_000_000
