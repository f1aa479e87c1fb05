"""`lianlu new`: the recipe it writes is sound and says everything."""

from pathlib import Path

import pytest

from lianlu.draft import draft_recipe, recipe_schema
from lianlu.errors import UserError
from lianlu.recipe import load_recipe


def test_the_draft_is_a_recipe_with_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(draft_recipe("mine", None, None), encoding="utf-8")
    recipe = load_recipe(path).recipe
    short = tmp_path / "short.yaml"
    short.write_text("lianlu: 1\nname: mine\nsources: [{type: python-docs}]\n")
    assert recipe == load_recipe(short).recipe


def test_documents_and_base_are_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(draft_recipe("mine", Path("my docs"), "hf:a/b"), encoding="utf-8")
    recipe = load_recipe(path).recipe
    assert recipe.sources[0].type == "path"
    assert recipe.model.base == "hf:a/b"


@pytest.mark.parametrize("name", ["my docs", "", "../x", "-x"])
def test_a_name_that_no_run_can_have(name: str) -> None:
    with pytest.raises(UserError, match="cannot be a run's name"):
        draft_recipe(name, None, None)


def test_the_schema_tells_every_section() -> None:
    properties = recipe_schema()["properties"]
    assert {"sources", "refine", "pretrain", "tune", "serve", "agent"} <= set(properties)
