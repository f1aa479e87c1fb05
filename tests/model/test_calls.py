"""Any walk that a grammar allows is a valid call: llguidance drives, we parse."""

import json
import random
from pathlib import Path
from typing import Any

import llguidance
import numpy as np
import pytest
import tokenizers

from lianlu.errors import UserError
from lianlu.model.calls import FORMS, call_form, function
from lianlu.model.template import ChatTemplate
from lianlu.model.tokenizer import Tokenizer

LOOK = {
    "name": "look.up",
    "parameters": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "depth": {"type": "integer", "minimum": 0, "maximum": 99},
        },
        "required": ["name"],
        "additionalProperties": False,
    },
}
CLOCK = {"name": "clock", "parameters": {"type": "object", "additionalProperties": False}}
TOOLS = [{"type": "function", "function": tool} for tool in (LOOK, CLOCK)]


@pytest.fixture(scope="module")
def template(tokenizer_dir: Path) -> ChatTemplate:
    return ChatTemplate.load(tokenizer_dir)


def walk(tokenizer_dir: Path, stops: list[int], grammar: str, seed: int) -> list[int]:
    """A random reply under `grammar`; it must end by itself."""
    definition = (tokenizer_dir / "tokenizer.json").read_text()
    engine = llguidance.LLTokenizer(definition, eos_token=stops)
    matcher = llguidance.LLMatcher(engine, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    choose, ids = random.Random(seed), []
    while len(ids) < 300:
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
        token = int(choose.choice(allowed))
        if token in stops:
            return ids
        ids.append(token)
        assert matcher.consume_token(token)
    raise AssertionError("the grammar does not end")


@pytest.mark.parametrize("seed", range(12))
def test_any_constrained_reply_is_a_valid_call(
    template: ChatTemplate, tokenizer_dir: Path, seed: int
):
    ids = walk(tokenizer_dir, template.stop_ids, template.call_grammar(TOOLS), seed)
    message = template.parse(ids)
    (call,) = message["tool_calls"]
    check(call["function"])
    assert message["content"] is None


def check(called: dict[str, Any]) -> None:
    arguments = json.loads(called["arguments"])
    if called["name"] == "clock":
        assert arguments == {}
        return
    assert called["name"] == "look.up"
    assert isinstance(arguments["name"], str)
    assert len(arguments["name"]) <= 12
    assert set(arguments) <= {"name", "depth"}
    assert 0 <= arguments.get("depth", 0) <= 99


def test_a_named_tool_is_the_only_one(template: ChatTemplate, tokenizer_dir: Path):
    grammar = template.call_grammar(TOOLS, "clock")
    ids = walk(tokenizer_dir, template.stop_ids, grammar, 0)
    assert template.tokenizer.decode(ids) == '<|tool_call|>{"name":"clock","arguments":{}}'


@pytest.mark.parametrize(
    ("reply", "valid"),
    [
        ('Plain text, {with} "marks"\nand lines', True),
        ("", True),
        ('<|tool_call|>{"name":"look.up","arguments":{"name":"os.path"}}', True),
        ('<|tool_call|>{"name":"look.up","arguments":{"nome":"os.path"}}', False),
        ('<|tool_call|>{"name":"other","arguments":{}}', False),
        ("text, then <|tool_call|>", False),
        ("<|im_start|>user", False),
    ],
)
def test_with_text_allowed_only_broken_calls_are_barred(
    template: ChatTemplate, tokenizer_dir: Path, reply: str, valid: bool
):
    definition = (tokenizer_dir / "tokenizer.json").read_text()
    engine = llguidance.LLTokenizer(definition, eos_token=template.stop_ids)
    matcher = llguidance.LLMatcher(engine, template.tool_grammar(TOOLS), log_level=0)
    ids = [*template.tokenizer.encode_rendered(reply), template.stop_ids[-1]]
    assert (matcher.validate_tokens(ids) == len(ids)) is valid


def test_what_the_template_renders_is_in_the_grammar(template: ChatTemplate, tokenizer_dir: Path):
    arguments = '{"name": "os.path.join", "depth": 3}'
    call = {"type": "function", "function": {"name": "look.up", "arguments": arguments}}
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [call]}]
    ids, mask = template.encode_trained(messages, TOOLS)
    produced = [i for i, on in zip(ids, mask, strict=True) if on]
    definition = (tokenizer_dir / "tokenizer.json").read_text()
    engine = llguidance.LLTokenizer(definition, eos_token=template.stop_ids)
    matcher = llguidance.LLMatcher(engine, template.tool_grammar(TOOLS), log_level=0)
    assert matcher.validate_tokens(produced) == len(produced)


@pytest.fixture
def hermes(tokenizer_dir: Path, tmp_path: Path) -> Path:
    """Our tokenizer with the call tokens of Hermes and Qwen added."""
    inner = tokenizers.Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    inner.add_tokens(["<tool_call>", "</tool_call>"])
    inner.save(str(tmp_path / "tokenizer.json"))
    source = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}"
        "{% for c in m.tool_calls or [] %}{{ '<tool_call>\n' }}"
        '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
        "{{ '\n</tool_call>' }}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    (tmp_path / "chat_template.jinja").write_text(source)
    return tmp_path


def test_the_form_of_hermes_and_qwen(hermes: Path):
    template = ChatTemplate.load(hermes)
    arguments = '{"name": "os.path.join", "depth": 3}'
    call = {"type": "function", "function": {"name": "look.up", "arguments": arguments}}
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [call] * 2}]
    ids, mask = template.encode_trained(messages, TOOLS)
    produced = [i for i, on in zip(ids, mask, strict=True) if on]
    calls = template.parse(produced)["tool_calls"]
    assert [c["function"] for c in calls] == [call["function"]] * 2
    check(
        template.parse(walk(hermes, template.stop_ids, template.call_grammar(TOOLS), 1))[
            "tool_calls"
        ][0]["function"]
    )


def test_the_form_is_what_the_template_writes(tokenizer_dir: Path):
    tokenizer = Tokenizer.load(tokenizer_dir)
    assert call_form("… <|tool_call|> …", tokenizer) == FORMS[0]
    assert call_form("… <tool_call> …", tokenizer) is None  # no such token


def test_a_tool_without_a_name_is_a_clear_error():
    with pytest.raises(UserError, match="without a function name"):
        function({"type": "function"})
