"""Tools: schemas from hints, strict arguments, errors as text."""

import json
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.tools.tool import Tool


class Unit(Enum):
    metre = "m"
    foot = "ft"


def convert(value: float, unit: Unit, title: str = "none", flags: list[bool] | None = None) -> str:
    """Convert a length.

    More words that no prompt needs.

    Args:
        value: How long it is.
        unit: Unit of the value.
    """
    return f"{value} {unit.value} {title} {flags}"


def test_the_schema_comes_from_hints_and_docstring() -> None:
    function = Tool.of(convert).schema["function"]
    assert function["name"] == "convert"
    assert function["description"] == "Convert a length."
    properties = function["parameters"]["properties"]
    assert properties["value"] == {"type": "number", "description": "How long it is."}
    assert list(properties) == ["value", "unit", "title", "flags"]  # a field may be called title
    assert function["parameters"]["required"] == ["value", "unit"]
    assert function["parameters"]["additionalProperties"] is False
    assert properties["title"] == {"type": "string", "default": "none"}
    assert function["parameters"]["$defs"]["Unit"]["enum"] == ["m", "ft"]


def test_a_call_gets_typed_arguments() -> None:
    result = Tool.of(convert).call('{"value": 3, "unit": "ft", "flags": [false]}')
    assert (result.text, result.failed) == ("3.0 ft none [False]", False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ('{"value": 3}', "unit"),
        ('{"value": "3", "unit": "m"}', "value"),
        ('{"value": 3, "unit": "mile"}', "unit"),
        ('{"value": 3, "unit": "m", "flags": ["False"]}', "flags.0"),
        ('{"value": 3, "unit": "m", "other": 1}', "other"),
    ],
)
def test_wrong_arguments_are_told_as_text(arguments: str, told: str) -> None:
    result = Tool.of(convert).call(arguments)
    assert result.failed
    assert result.text.startswith("error: ")
    assert told in result.text


def test_an_exception_is_told_as_text() -> None:
    def divide(by: int) -> str:
        """Divide."""
        return str(1 // by)

    result = Tool.of(divide).call('{"by": 0}')
    assert result.failed
    assert "ZeroDivisionError" in result.text


def test_a_long_result_is_cut() -> None:
    def repeat(n: int) -> str:
        """Repeat."""
        return "x" * n

    tool = Tool.of(repeat, max_chars=20)
    assert tool.call('{"n": 20}').text == "x" * 20
    assert len(tool.call('{"n": 21}').text) == 20
    assert tool.call('{"n": 21}').text.endswith("[cut]")


@given(st.text() | st.recursive(st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_arguments_make_a_call_raise(arguments: str) -> None:
    assert isinstance(Tool.of(convert).call(arguments).text, str)


def no_docstring(a: int) -> str:
    return str(a)


def no_hint(a) -> str:  # type: ignore[no-untyped-def]
    """No hint."""
    return str(a)


def variadic(*a: int) -> str:
    """Variadic."""
    return str(a)


@pytest.mark.parametrize("function", [no_docstring, no_hint, variadic])
def test_a_function_that_makes_no_tool_is_refused(function) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TypeError, match=function.__name__):
        Tool.of(function)
