"""Recipes: every mistake at once, with its place and a suggestion."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.errors import UserError
from lianlu.recipe import Recipe, load_recipe
from lianlu.section import Section

GOOD = "lianlu: 1\nname: mine\nsources:\n  - {type: python-docs}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_recipe(path, overrides)
    return str(caught.value)


def test_a_short_recipe_takes_the_defaults(tmp_path: Path) -> None:
    loaded = load_recipe(write(tmp_path, GOOD))
    assert loaded.recipe.name == "mine"
    assert loaded.base == tmp_path
    assert loaded.recipe.tune is not None


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path, GOOD + "refine:\n  min_char: 5\n  pii: maks\ntrain: {}\npretrain: {lr: fast}\n"
    )
    told = complaint(path, "tune.epoch=3", "tune.lr=x")
    assert f"{path}:6  refine.min_char = 5: unknown key; did you mean 'min_chars'?" in told
    assert f"{path}:7  refine.pii = 'maks'" in told
    assert f"{path}:8  train = {{}}: unknown key; did you mean 'pretrain'?" in told
    assert f"{path}:9  pretrain.lr = 'fast'" in told
    assert "command line  tune.epoch = 3: unknown key; did you mean 'epochs'?" in told
    assert "command line  tune.lr = 'x'" in told
    assert "6 mistakes" in told


def test_a_mistake_inside_a_source_is_placed(tmp_path: Path) -> None:
    path = write(tmp_path, "lianlu: 1\nname: x\nsources:\n  - type: path\n    pth: docs\n")
    told = complaint(path)
    assert f"{path}:5  sources[0].pth = 'docs': unknown key; did you mean 'path'?" in told
    assert "sources[0].path: missing" in told


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "serve: {port: 1, port: 2}\n")
    assert f"{path}:5  port: stands twice, first on line 5" in complaint(path)


@pytest.mark.parametrize("version", ["2", "0", "one"])
def test_a_recipe_of_another_version(tmp_path: Path, version: str) -> None:
    path = write(tmp_path, GOOD.replace("lianlu: 1", f"lianlu: {version}"))
    assert "this lianlu reads version 1" in complaint(path)


def test_a_recipe_without_version(tmp_path: Path) -> None:
    assert "begin the recipe with `lianlu: 1`" in complaint(write(tmp_path, "name: x\n"))


@pytest.mark.parametrize("text", ["", "- a\n", "just words\n"])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    assert "a recipe is a mapping" in complaint(write(tmp_path, text))


def test_broken_yaml_is_placed(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "refine: {min_chars: 3\ntune: [\n")
    assert f"{path}:" in complaint(path)


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such recipe" in complaint(tmp_path / "none.yaml")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in complaint(path)


def test_overrides_reach_deep_and_null_drops_a_part(tmp_path: Path) -> None:
    loaded = load_recipe(
        write(tmp_path, GOOD), ["pretrain.lr=1e-3", "agent=", "compress=null", "name=other"]
    )
    assert loaded.recipe.pretrain.lr == 1e-3
    assert loaded.recipe.agent is None
    assert loaded.recipe.compress is None
    assert loaded.recipe.name == "other"


def test_an_override_without_equals(tmp_path: Path) -> None:
    assert "section.key=value" in complaint(write(tmp_path, GOOD), "pretrain.lr")


def test_the_resolved_recipe_reads_back_as_itself(tmp_path: Path) -> None:
    first = load_recipe(write(tmp_path, GOOD + "goal: {score: tool_call, at_least: 0.5}\n"))
    again = load_recipe(write(tmp_path, first.dump()))
    assert again.recipe == first.recipe
    assert again.digest() == first.digest()


@pytest.mark.parametrize("recipe", ["demo", "domain"])
def test_the_recipes_that_ship_are_sound(recipe: str) -> None:
    path = Path(__file__).parents[1] / "recipes" / f"{recipe}.yaml"
    assert load_recipe(path).recipe.name == recipe


def test_every_section_is_short_and_documented() -> None:
    for name, field in Recipe.model_fields.items():
        if isinstance(field.default, Section):
            fields = type(field.default).model_fields
            assert len(fields) <= 12, name
            for key, info in fields.items():
                assert info.description, f"{name}.{key} has no docstring"


@pytest.mark.parametrize(
    "line",
    [
        "name: !foo x",
        "name: 2024-13-45",
        "? [a]\n: b",
        "x: &a [*a]",
        "name: !!python/name:os.system",
    ],
)
def test_values_that_yaml_cannot_make(tmp_path: Path, line: str) -> None:
    assert "recipe.yaml:" in complaint(write(tmp_path, "lianlu: 1\n" + line + "\n"))


def test_an_override_that_yaml_cannot_make_is_text(tmp_path: Path) -> None:
    assert "name = '2024-13-45'" not in complaint(write(tmp_path, GOOD), "name=a b")
    assert load_recipe(write(tmp_path, GOOD), ["name=2024-13-45"]).recipe.name == "2024-13-45"


@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("recipe")
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(UserError):
        load_recipe(path)
