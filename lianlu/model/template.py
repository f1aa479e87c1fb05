"""Chat templates: messages to the tokens a model sees, and its tokens back to a message."""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lianlu.errors import UserError
from lianlu.model.calls import FORMS, CallForm, Tool, call_form, function
from lianlu.model.tokenizer import END, Tokenizer, read_settings

Message = Mapping[str, Any]

# A character that Unicode keeps out of text; it marks what a message wrote itself.
MARK = "\ufdd0"


class ChatTemplate:
    """The chat template of a model directory, bound to its tokenizer."""

    def __init__(self, source: str, tokenizer: Tokenizer, stop_ids: Sequence[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.digest = hashlib.sha256(source.encode()).hexdigest()
        ends = [tokenizer.eos_id, tokenizer.special_ids.get(END), *stop_ids]
        self.stop_ids = sorted({token for token in ends if token is not None})
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise UserError(f"the chat template does not parse: {error}") from error
        specials = sorted(tokenizer.special_ids, key=len, reverse=True)
        self._specials = re.compile("|".join(map(re.escape, specials)) or r"(?!)")
        self._form = call_form(source, tokenizer)

    @classmethod
    def load(cls, directory: Path) -> "ChatTemplate":
        """The template in `chat_template.jinja` or `tokenizer_config.json`.

        Raises:
            UserError: there is none, or it does not parse.
        """
        path = directory / "chat_template.jinja"
        source = read_settings(directory).get("chat_template")
        if path.is_file():
            source = path.read_text(encoding="utf-8")
        if isinstance(source, list):  # older: several named templates
            named = {entry["name"]: entry["template"] for entry in source}
            source = named.get("tool_use", named.get("default"))
        if not source:
            raise UserError(
                f"{directory}: no chat template",
                "take a chat model, or put a chat_template.jinja beside its tokenizer.json",
            )
        return cls(source, Tokenizer.load(directory), _stop_ids(directory))

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] | None = None,
        generate: bool = False,
    ) -> str:
        """The conversation as text; `generate` opens the assistant's turn.

        Raises:
            UserError: the template refuses these messages.
        """
        return _unmark(self._render(messages, tools, generate))

    def encode(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] | None = None,
        generate: bool = False,
    ) -> list[int]:
        """The conversation as ids. Special tokens come from the template, never from a message."""
        text = self._render(messages, tools, generate)
        if MARK not in text:
            return self.tokenizer.encode_rendered(text)
        ids: list[int] = []
        start = 0
        for match in self._specials.finditer(text):
            ids += self.tokenizer.encode(_unmark(text[start : match.start()]))
            ids.append(self.tokenizer.special_ids[match.group()])
            start = match.end()
        return ids + self.tokenizer.encode(_unmark(text[start:]))

    def encode_trained(
        self, messages: Sequence[Message], tools: Sequence[Tool] | None = None
    ) -> tuple[list[int], list[bool]]:
        """The conversation as ids, and which of them the model must produce.

        Those are the assistant's turns (unless `"train": false`) up to their end-of-turn token,
        found by rendering each prefix of the conversation: no template needs to be marked up.

        Raises:
            UserError: the template changes earlier turns when later ones arrive, or no token is
                trained.
        """
        ids = self.encode(messages, tools)
        mask = [False] * len(ids)
        for i, message in enumerate(messages):
            answers = message.get("role") == "assistant"
            if not message.get("train", answers):
                continue
            prompt = self.encode(messages[:i], tools, generate=answers)
            turn = self.encode(messages[: i + 1], tools)
            if ids[: len(turn)] != turn or turn[: len(prompt)] != prompt:
                raise UserError(
                    f"the chat template is not prefix-stable: message {i} reads differently alone "
                    "than with what surrounds it, so its tokens cannot be told apart",
                    "train on the last turn only, or take a template that never rewrites turns",
                )
            stops = [j for j in range(len(prompt), len(turn)) if turn[j] in self.stop_ids]
            end = stops[-1] + 1 if stops else len(turn)
            mask[len(prompt) : end] = [True] * (end - len(prompt))
        if not any(mask):
            raise UserError(
                "no token of this conversation is trained",
                'it needs an assistant message that does not say "train": false',
            )
        return ids, mask

    def parse(self, token_ids: Sequence[int]) -> dict[str, Any]:
        """The assistant's message in what the model produced; a malformed call is content."""
        ids = list(takewhile(lambda token: token not in self.stop_ids, token_ids))
        message = {"role": "assistant"}
        if self._form is None:
            return message | {"content": self.tokenizer.decode(ids, specials=False)}
        return message | self._form.parse(ids, self.tokenizer)

    def tool_grammar(self, tools: Sequence[Tool]) -> str:
        """llguidance grammar (Lark) of a reply: text, or one well-formed call of a tool.

        Raises:
            UserError: the template has no form for calls.
        """
        return self._calls().grammar(tools, or_text=True)

    def call_grammar(self, tools: Sequence[Tool], required: str | None = None) -> str:
        """llguidance grammar (Lark) of one well-formed call; of `required` alone where named.

        Raises:
            UserError: there is no tool of that name, or the template has no form for calls.
        """
        chosen = [tool for tool in tools if required in (None, function(tool)["name"])]
        if not chosen:
            raise UserError(f"no tool is named {required!r}")
        return self._calls().grammar(chosen, or_text=False)

    def _calls(self) -> CallForm:
        if self._form is None:
            raise UserError(
                "this chat template writes tool calls in no form that we know",
                f"known: {', '.join(form.opening for form in FORMS)}",
            )
        return self._form

    def _render(
        self, messages: Sequence[Message], tools: Sequence[Tool] | None, generate: bool
    ) -> str:
        """As `render`, with every special token that a message wrote itself marked."""
        try:
            return self._template.render(
                messages=[self._mark(_normal(message)) for message in messages],
                tools=[self._mark(tool) for tool in tools] if tools else None,
                add_generation_prompt=generate,
                bos_token=self.tokenizer.bos or "",
                eos_token=self.tokenizer.eos or "",
            )
        except jinja2.TemplateError as error:
            raise UserError(f"the chat template refuses these messages: {error}") from error

    def _mark(self, value: Any) -> Any:
        if isinstance(value, str):
            text = value.replace(MARK, MARK + "0")
            return self._specials.sub(lambda m: f"{m[0][0]}{MARK}1{m[0][1:]}", text)
        if isinstance(value, Mapping):
            return {key: self._mark(item) for key, item in value.items()}
        return [self._mark(item) for item in value] if isinstance(value, list | tuple) else value


def _unmark(text: str) -> str:
    return text.replace(MARK + "1", "").replace(MARK + "0", MARK)


def _normal(message: Message) -> dict[str, Any]:
    """OpenAI's message as templates expect it: text content, call arguments as an object."""
    normal = {key: value for key, value in message.items() if key != "train"}
    if isinstance(normal.get("content"), list):
        normal["content"] = "".join(part.get("text", "") for part in normal["content"])
    if normal.get("tool_calls"):
        normal["tool_calls"] = [_with_arguments(call) for call in normal["tool_calls"]]
    return normal


def _with_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call["function"])
    # Arguments may be an object already, or text that some model got wrong: shown as they are.
    with contextlib.suppress(TypeError, ValueError):
        function["arguments"] = json.loads(function["arguments"])
    return {**call, "function": function}


def _stop_ids(directory: Path) -> list[int]:
    path = directory / "generation_config.json"
    if not path.is_file():
        return []
    try:
        eos = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path}: not a JSON object ({error})") from error
    return eos if isinstance(eos, list) else [] if eos is None else [eos]


def _environment() -> ImmutableSandboxedEnvironment:
    """The environment that Hugging Face templates are written for.

    `strftime_now` is left out: a prompt that changes with the day cannot be replayed.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    return environment


class _Generation(Extension):
    """`{% generation %}` marks what is trained for others; here it is only rendered."""

    tags = {"generation"}  # noqa: RUF012 (as jinja2 declares it)

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)
