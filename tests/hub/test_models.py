from pathlib import Path
from typing import Any

import pytest

from lianlu.errors import UserError
from lianlu.hub.get import get
from lianlu.hub.models import resolve


def test_a_path_starts_from_the_recipe(tmp_path: Path) -> None:
    model = tmp_path / "models" / "base"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    assert resolve("models/base", tmp_path) == model.resolve()
    assert resolve(str(model), Path("/")) == model.resolve()


def test_a_directory_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json"):
        resolve(".", tmp_path)


def test_an_id_comes_from_the_cache_alone(hub: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not downloaded\n.*`lianlu hub get hf:a/b`"):
        resolve("hf:a/b", tmp_path)
    assert hub.asked == []
    directory = get("hf:a/b")
    asked = len(hub.asked)
    assert resolve("hf:a/b", tmp_path) == resolve("a/b", tmp_path) == directory
    assert len(hub.asked) == asked


def test_half_a_download_is_told_apart(hub: Any, tmp_path: Path) -> None:
    (get("hf:a/b") / "model.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match="not downloaded whole"):
        resolve("hf:a/b", tmp_path)


@pytest.mark.parametrize("base", ["none", "./none", "../none/none", "/none"])
def test_neither_path_nor_id(tmp_path: Path, base: str) -> None:
    with pytest.raises(UserError, match="no such directory, and no id"):
        resolve(base, tmp_path)
