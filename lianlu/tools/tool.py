"""A tool: a typed function, its OpenAI schema, and a call that cannot raise."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

MAX_RESULT_CHARS = 2000
CUT = " … [cut]"


@dataclass(frozen=True)
class ToolResult:
    """What the model is told; `failed` when it is the text of an error."""

    text: str
    failed: bool = False


@dataclass(frozen=True)
class Tool:
    """A function that a model may call by name with JSON arguments.

    Tools only read so far: a call whose result was lost may be made again.
    """

    name: str
    description: str
    function: Callable[..., str]
    arguments: type[BaseModel]
    max_chars: int = MAX_RESULT_CHARS

    @classmethod
    def of(cls, function: Callable[..., str], max_chars: int = MAX_RESULT_CHARS) -> "Tool":
        """Make a tool of a function with type hints and a docstring.

        The docstring's first line describes the tool, its `Args:` section the arguments.

        Raises:
            TypeError: a parameter has no type hint or is variadic, or there is no docstring.
        """
        doc = inspect.getdoc(function)
        if not doc:
            raise TypeError(f"{function.__name__}: a tool needs a docstring")
        return cls(
            name=function.__name__,
            description=doc.splitlines()[0],
            function=function,
            arguments=_arguments_model(function, _described(doc)),
            max_chars=max_chars,
        )

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as the OpenAI API describes it."""
        parameters = _without_titles(self.arguments.model_json_schema())
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": parameters,
            },
        }

    def call(self, arguments: str) -> ToolResult:
        """Run the tool on JSON arguments; whatever goes wrong is told as text, never raised."""
        try:
            checked = self.arguments.model_validate_json(arguments)
        except ValidationError as error:
            return ToolResult(self._cut(f"error: {_explain(error)}"), failed=True)
        values = {name: getattr(checked, name) for name in self.arguments.model_fields}
        try:
            return ToolResult(self._cut(self.function(**values)))
        except Exception as error:  # the model made this call: it gets the reason, we go on
            told = f"error: {type(error).__name__}: {error}"
            return ToolResult(self._cut(told), failed=True)

    def _cut(self, text: str) -> str:
        if len(text) <= self.max_chars:
            return text
        return text[: max(0, self.max_chars - len(CUT))] + CUT


def _arguments_model(function: Callable[..., str], described: dict[str, str]) -> type[BaseModel]:
    hints = inspect.get_annotations(function, eval_str=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{function.__name__}: a tool takes no *args or **kwargs")
        if name not in hints:
            raise TypeError(f"{function.__name__}: the parameter {name!r} has no type hint")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints[name], Field(default, description=described.get(name)))
    # Strict: "False" is no boolean and "3" no number; the model is told instead.
    config = ConfigDict(extra="forbid", strict=True)
    return create_model(function.__name__, __config__=config, **fields)


_ARGUMENT = re.compile(r"^ {2,}(\w+): (.+)$")


def _described(doc: str) -> dict[str, str]:
    """`{argument: description}` from the `Args:` section of a docstring."""
    _, _, section = doc.partition("\nArgs:\n")
    found: dict[str, str] = {}
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break
        if match := _ARGUMENT.match(line):
            found[match[1]] = match[2]
    return found


def _without_titles(schema: Any, names: bool = False) -> Any:
    """pydantic titles every field; each would cost tokens in every prompt."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(value, names=key in ("properties", "$defs") and not names)
        for key, value in schema.items()
        if names or key != "title"
    }


def _explain(error: ValidationError) -> str:
    parts = []
    for item in error.errors(include_url=False, include_input=False):
        place = ".".join(map(str, item["loc"]))
        parts.append(f"{place}: {item['msg']}" if place else item["msg"])
    return "; ".join(parts)
