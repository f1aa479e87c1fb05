"""A target is a directory or a run; the run's recipe says how it is served."""

from pathlib import Path
from typing import Any

import pytest

from lianlu.agent.config import AgentConfig
from lianlu.errors import UserError
from lianlu.serve.config import ServeConfig
from lianlu.target import find_target


def test_a_run_is_served_as_its_recipe_says(workplace: Any) -> None:
    target = find_target("demo", workplace.folder / "runs")
    assert (target.model / "config.json").is_file()
    config = target.serving(port=0)
    assert config.kv_tokens == 4096
    assert config.threads == 1
    assert config.port == 0
    assert target.serving(host="::1").host == "::1"
    assert target.agent().max_tokens == 32


def test_a_directory_is_served_by_default(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    target = find_target(str(tmp_path), Path("runs"))
    assert target.serving() == ServeConfig()
    assert target.agent() == AgentConfig()


@pytest.mark.parametrize("name", ["none", "./none", "a/b"])
def test_anything_else_is_a_mistake(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a model directory"):
        find_target(name, tmp_path)
