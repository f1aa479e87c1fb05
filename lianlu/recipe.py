"""What a person writes: one YAML file of typed sections, read with every error at once."""

import difflib
import hashlib
import re
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from lianlu.agent.config import AgentConfig
from lianlu.compress.config import CompressConfig
from lianlu.errors import UserError
from lianlu.evaluate.config import EvaluateConfig, GoalConfig
from lianlu.model.section import ModelConfig, TokenizerConfig
from lianlu.refine.config import DialoguesConfig, RefineConfig, Source, TokensConfig
from lianlu.section import Section
from lianlu.serve.config import ServeConfig
from lianlu.train.config import PretrainConfig, TuneConfig

VERSION = 1
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
COMMAND_LINE = "command line"
# What YAML can raise on a value: unknown tags, dates that do not exist, keys that are lists, loops.
UNREADABLE = (yaml.YAMLError, ValueError, TypeError, RecursionError)

Location = tuple[str | int, ...]


class Recipe(Section):
    """The whole chain in one file. Absent sections take their defaults; `null` leaves one out."""

    lianlu: Literal[1]
    """Version of the recipe's format."""
    name: Annotated[str, Field(pattern=NAME)]
    """Name of the run; its record lies in `runs/<name>`."""
    runs: Path = Path("runs")
    """Folder of all runs, relative to where the command is given."""
    sources: Annotated[list[Source], Field(min_length=1)]
    """Where the documents come from."""
    refine: RefineConfig = RefineConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    tokens: TokensConfig = TokensConfig()
    model: ModelConfig = ModelConfig()
    pretrain: PretrainConfig = PretrainConfig()
    dialogues: DialoguesConfig | None = DialoguesConfig()
    tune: TuneConfig | None = TuneConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    goal: GoalConfig | None = None
    compress: CompressConfig | None = CompressConfig()
    serve: ServeConfig = ServeConfig()
    agent: AgentConfig | None = AgentConfig()


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe, and the folder that its relative paths start from."""

    recipe: Recipe
    path: Path

    @property
    def base(self) -> Path:
        return self.path.parent

    def digest(self) -> str:
        return hashlib.sha256(self.dump().encode()).hexdigest()

    def dump(self) -> str:
        """The resolved recipe as YAML, every default written out."""
        values = self.recipe.model_dump(mode="json")
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Read a recipe and apply `section.key=value` overrides.

    Raises UserError naming every mistake with its `file:line` and, for an unknown key, the nearest
    known one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such recipe", "`lianlu new` writes one to start from"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    tree = _parse(path, text)
    try:
        problems = list(_duplicates(path, tree))
        values = _Loader("").construct_document(tree)
    except UNREADABLE as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        told = getattr(error, "problem", None) or error
        raise UserError(f"{path}:{line}  a value that no recipe has: {told}") from None
    for override in overrides:
        problems += _apply(values, override)
    _check_version(path, values)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        where = _Where(path, tree, [o.partition("=")[0] for o in overrides])
        problems += [_explain(where, values, item) for item in error.errors()]
    if problems:
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        raise UserError("\n".join(problems), f"{count} in the recipe; nothing was run")
    return LoadedRecipe(recipe, path.resolve())


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `1e-3` is a number (YAML 1.1 reads it as text)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def _parse(path: Path, text: str) -> yaml.MappingNode:
    try:
        tree = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UserError(f"{path}:{line}  not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}  not YAML: {error}") from None
    if not isinstance(tree, yaml.MappingNode):
        raise UserError(f"{path}:1  a recipe is a mapping of sections")
    return tree


def _duplicates(path: Path, node: yaml.Node) -> Iterator[str]:
    """YAML lets a key stand twice and keeps the last; a person never means that."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                yield f"{path}:{line}  {key.value}: stands twice, first on line {seen[key.value]}"
            seen[key.value] = line
            yield from _duplicates(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _duplicates(path, value)


def _apply(values: dict[str, Any], override: str) -> list[str]:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        return [f"{COMMAND_LINE}  {override!r}: an override is written section.key=value"]
    *parents, last = dotted.split(".")
    place = values
    for parent in parents:
        inner = place.get(parent)
        if inner is None:
            inner = place[parent] = {}
        if not isinstance(inner, dict):
            return [f"{COMMAND_LINE}  {dotted}: {parent} is not a section"]
        place = inner
    try:
        place[last] = yaml.load(text, Loader=_Loader) if text else None
    except UNREADABLE:
        place[last] = text
    return []


def _check_version(path: Path, values: dict[str, Any]) -> None:
    version = values.get("lianlu")
    if version is None:
        raise UserError(f"{path}:1  lianlu: missing", f"begin the recipe with `lianlu: {VERSION}`")
    if version != VERSION:
        raise UserError(
            f"{path}: a recipe of version {version!r}; this lianlu reads version {VERSION}",
            "install the lianlu that reads it, or rewrite it after the example of `lianlu new`",
        )


class _Where:
    """Finds the line, or the command line, that a value came from."""

    def __init__(self, path: Path, tree: yaml.MappingNode, overridden: list[str]) -> None:
        self.path = path
        self.tree = tree
        self.overridden = overridden

    def find(self, location: Location) -> tuple[str, str]:
        """`(place, dotted name)` of a pydantic error location."""
        node: yaml.Node = self.tree
        line = 1
        names: list[str] = []
        for index, part in enumerate(location):
            last = index == len(location) - 1
            if isinstance(node, yaml.MappingNode):
                # The tag of a discriminated union stands in pydantic's location, not in YAML.
                if not last and self._is_tag(node, part):
                    continue
                for key, value in node.value:
                    if key.value == part:
                        line, node = key.start_mark.line + 1, value
                        names.append(str(part))
                        break
                else:
                    names.append(str(part))
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                node = node.value[part]
                line = node.start_mark.line + 1
                names[-1:] = [f"{names[-1]}[{part}]"] if names else [f"[{part}]"]
            else:
                names.append(str(part))
        dotted = ".".join(names)
        if any(dotted == o or dotted.startswith(o + ".") for o in self.overridden):
            return COMMAND_LINE, dotted
        return f"{self.path}:{line}", dotted

    @staticmethod
    def _is_tag(node: yaml.MappingNode, part: str | int) -> bool:
        return any(key.value == "type" and value.value == part for key, value in node.value)


def _explain(where: _Where, values: dict[str, Any], error: typing.Any) -> str:
    location: Location = error["loc"]
    place, dotted = where.find(location)
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), _known_keys(location[:-1]), n=1)
        advice = f"did you mean {near[0]!r}?" if near else _known_hint(location[:-1])
        return f"{place}  {dotted} = {error['input']!r}: unknown key; {advice}"
    if error["type"] == "missing":
        return f"{place}  {dotted}: missing"
    message = error["msg"][0].lower() + error["msg"][1:]
    if error["type"].startswith("union_tag"):
        return f"{place}  {dotted}: {message}"
    return f"{place}  {dotted} = {error['input']!r}: {message}"


def _known_hint(location: Location) -> str:
    return "known keys: " + ", ".join(_known_keys(location))


def _known_keys(location: Location) -> list[str]:
    """Keys allowed at a location: follows the annotations of the sections down."""
    found: list[type[Section]] = [Recipe]
    for part in location:
        if isinstance(part, int):
            continue
        inner = [c for s in found if part in s.model_fields for c in _sections(s, part)]
        tagged = [s for s in found if "type" in s.model_fields and _tag(s) == part]
        found = inner or tagged or found
    return sorted({key for section in found for key in section.model_fields})


def _sections(section: type[Section], field: str) -> list[type[Section]]:
    found: list[type[Section]] = []
    queue: list[Any] = [section.model_fields[field].annotation]
    while queue:
        annotation = queue.pop()
        if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
            if issubclass(annotation, Section):
                found.append(annotation)
        else:
            queue += typing.get_args(annotation)
    return found


def _tag(section: type[Section]) -> Any:
    return section.model_fields["type"].default
