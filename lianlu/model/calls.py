"""Tool calls: how a model writes them in tokens, and the grammar that keeps them well formed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lianlu.errors import UserError
from lianlu.model.tokenizer import CALL, Tokenizer

Tool = Mapping[str, Any]


@dataclass(frozen=True)
class CallForm:
    """A call is `{"name": …, "arguments": {…}}` after an opening token."""

    opening: str
    closing: str = ""  # empty where the end of the turn closes it
    margin: str = ""  # white space between the tokens and the JSON
    separators: tuple[str, str] = (",", ":")

    def parse(self, ids: Sequence[int], tokenizer: Tokenizer) -> dict[str, Any]:
        """`content` and `tool_calls` of an assistant's turn; a malformed call is content."""
        opening = tokenizer.special_ids[self.opening]
        parts: list[list[int]] = [[]]
        for token in ids:
            if token == opening:
                parts.append([])
            else:
                parts[-1].append(token)
        closing = tokenizer.special_ids.get(self.closing)
        calls = []
        for index, part in enumerate(parts[1:]):
            end = part.index(closing) if closing in part else len(part)
            call = _call(index, tokenizer.decode(part[:end]))
            if call is None:
                return {"content": tokenizer.decode(ids)}
            calls.append(call)
        text = tokenizer.decode(parts[0], specials=False)
        return {"content": text or None, "tool_calls": calls} if calls else {"content": text}

    def grammar(self, tools: Sequence[Tool], or_text: bool) -> str:
        """llguidance grammar (Lark) of one call of one of `tools`, arguments after its schema.

        With `or_text`, plain text is well formed too. The turn's end follows either.
        """
        margin = f" {json.dumps(self.margin)}" if self.margin else ""
        names = " | ".join(f"call_{i}" for i in range(len(tools)))
        rules = [
            "start: TEXT | call\nTEXT: /(?s:.*)/" if or_text else "start: call",
            f"call: {self.opening}{margin} ({names}){margin} {self.closing}".rstrip(),
        ]
        schemas = (json.dumps(self._schema(tool), ensure_ascii=False) for tool in tools)
        rules += [f"call_{i}: %json {schema}" for i, schema in enumerate(schemas)]
        return "\n".join(rules) + "\n"

    def _schema(self, tool: Tool) -> dict[str, Any]:
        comma, colon = self.separators
        return {
            "x-guidance": {
                "whitespace_flexible": False,
                "item_separator": comma,
                "key_separator": colon,
            },
            "type": "object",
            "properties": {
                "name": {"const": function(tool)["name"]},
                "arguments": {"type": "object", **(function(tool).get("parameters") or {})},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }


# Our own, and the one that Hermes began and Qwen took over.
FORMS = (
    CallForm(CALL),
    CallForm("<tool_call>", "</tool_call>", margin="\n", separators=(", ", ": ")),
)


def call_form(source: str, tokenizer: Tokenizer) -> CallForm | None:
    """The form that a chat template writes and whose tokens the tokenizer has."""
    for form in FORMS:
        if form.opening in source and form.opening in tokenizer.special_ids:
            return form
    return None


def function(tool: Tool) -> Mapping[str, Any]:
    """The function of an OpenAI tool, wrapped as `{"type": "function", "function": …}` or bare."""
    inner = tool.get("function", tool)
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise UserError(f"a tool without a function name: {json.dumps(tool)[:200]}")
    return inner


def _call(index: int, text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
        name, arguments = value["name"], value["arguments"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    written = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": f"call_{index}", "type": "function", "function": written}
