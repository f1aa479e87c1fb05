import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from lianlu.errors import UserError
from lianlu.model.template import ChatTemplate
from lianlu.model.tokenizer import SPECIALS, Tokenizer

DOCS: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "python_docs",
        "description": "Documentation of a name.",
        "parameters": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
        },
    },
}
CLOCK: dict[str, Any] = {"type": "function", "function": {"name": "clock"}}
CALL = {
    "id": "call_0",
    "type": "function",
    "function": {"name": "python_docs", "arguments": '{"name": "os.path.join"}'},
}
DIALOGUE: list[dict[str, Any]] = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "What does `os.path.join` do?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_0", "content": "Join segments.\nMore."},
    {"role": "assistant", "content": "Join segments."},
]


@pytest.fixture(scope="module")
def template(tokenizer_dir: Path) -> ChatTemplate:
    return ChatTemplate.load(tokenizer_dir)


def test_what_the_model_sees(template: ChatTemplate):
    assert template.render(DIALOGUE, [DOCS]) == (
        "<|im_start|>system\nBe short.\nTools:\npython_docs(name): Documentation of a name.\n"
        "<|im_end|>\n"
        "<|im_start|>user\nWhat does `os.path.join` do?<|im_end|>\n"
        '<|im_start|>assistant\n<|tool_call|>{"name":"python_docs","arguments":'
        '{"name":"os.path.join"}}<|im_end|>\n'
        "<|im_start|>tool\nJoin segments.\nMore.<|im_end|>\n"
        "<|im_start|>assistant\nJoin segments.<|im_end|>\n"
    )


@pytest.mark.parametrize("tools", [None, [DOCS], [DOCS, CLOCK]])
@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("generate", [False, True])
def test_transformers_sees_the_same(
    template: ChatTemplate, tokenizer_dir: Path, tools: Any, length: int, generate: bool
):
    theirs = transformers.AutoTokenizer.from_pretrained(tokenizer_dir)
    messages = json.loads(json.dumps(DIALOGUE[:length]))
    for message in messages:  # transformers wants the arguments as an object
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    options = {"tools": tools, "add_generation_prompt": generate}
    text = theirs.apply_chat_template(messages, tokenize=False, **options)
    assert template.render(DIALOGUE[:length], tools, generate) == text
    ids = theirs.apply_chat_template(messages, **options)["input_ids"]
    assert template.encode(DIALOGUE[:length], tools, generate) == ids


CONTENT = st.text() | st.lists(st.sampled_from([*SPECIALS, "\ufdd0", "0", "1", "a", "<"])).map(
    "".join
)


@settings(max_examples=200, deadline=None)
@given(content=CONTENT)
def test_no_message_can_break_out_of_its_turn(template: ChatTemplate, content: str):
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "tool_calls": [_call_with(content)]},
    ]
    ids = template.encode(messages, [DOCS])
    plain = template.encode([{"role": "user", "content": ""}, *_called("")], [DOCS])
    specials = set(template.tokenizer.special_ids.values())
    assert [i for i in ids if i in specials] == [i for i in plain if i in specials]
    assert template.tokenizer.decode(ids) == template.render(messages, [DOCS])
    assert content in template.render(messages)


def _call_with(text: str) -> dict[str, Any]:
    arguments = json.dumps({"name": text})
    return {"type": "function", "function": {"name": "python_docs", "arguments": arguments}}


def _called(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "tool_calls": [_call_with(text)]}]


def trained(template: ChatTemplate, messages: Any) -> str:
    ids, mask = template.encode_trained(messages, [DOCS])
    assert ids == template.encode(messages, [DOCS])
    return template.tokenizer.decode([i for i, on in zip(ids, mask, strict=True) if on])


def test_trained_are_the_assistants_turns_with_their_ends(template: ChatTemplate):
    assert trained(template, DIALOGUE) == (
        '<|tool_call|>{"name":"python_docs","arguments":{"name":"os.path.join"}}<|im_end|>'
        "Join segments.<|im_end|>"
    )


def test_a_turn_can_be_left_out_of_training_or_taken_in(template: ChatTemplate):
    messages = [*DIALOGUE[:4], DIALOGUE[4] | {"train": False}]
    assert trained(template, messages).endswith("}}<|im_end|>")
    messages = [DIALOGUE[0], DIALOGUE[1] | {"train": True}, *messages[2:]]
    assert trained(template, messages).startswith("<|im_start|>user\nWhat does")


def test_nothing_to_train_is_an_error(template: ChatTemplate):
    with pytest.raises(UserError, match="no token of this conversation is trained"):
        template.encode_trained(DIALOGUE[:2])


def test_a_template_that_rewrites_turns_is_an_error(template: ChatTemplate):
    source = (
        "{% for m in messages %}{{ m.role }}: {% if loop.last %}{{ m.content }}{% else %}-"
        "{% endif %}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    rewriting = ChatTemplate(source, template.tokenizer)
    ids, mask = rewriting.encode_trained(
        [{"role": "assistant", "content": "first"}],
    )
    assert any(mask)
    assert len(ids) == len(mask)
    with pytest.raises(UserError, match="message 0 reads differently"):
        rewriting.encode_trained([{"role": "assistant", "content": "first"}] * 2)


def reply(template: ChatTemplate, text: str) -> dict[str, Any]:
    return template.parse(template.tokenizer.encode_rendered(text))


def test_a_call_is_parsed(template: ChatTemplate):
    text = '<|tool_call|>{"name":"f","arguments":{"x":[1,"é"]}}<|im_end|>'
    function = {"name": "f", "arguments": '{"x": [1, "é"]}'}
    call = {"id": "call_0", "type": "function", "function": function}
    assert reply(template, text) == {"role": "assistant", "content": None, "tool_calls": [call]}
    both = reply(template, "I look." + text.removesuffix("<|im_end|>") + text)
    assert both["content"] == "I look."
    assert [call["id"] for call in both["tool_calls"]] == ["call_0", "call_1"]


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "",
        "<|tool_call|>{",
        '<|tool_call|>{"name":"f"}',
        '<|tool_call|>{"name":"f","arguments":"x"}',
        '<|tool_call|>{"name":1,"arguments":{}}',
        "<|tool_call|>[]",
        "<|tool_call|>" + "[" * 5000,
    ],
)
def test_what_is_no_call_is_content(template: ChatTemplate, text: str):
    assert reply(template, text + "<|im_end|>") == {"role": "assistant", "content": text}


@settings(max_examples=100, deadline=None)
@given(ids=st.lists(st.integers(0, 399)))
def test_any_output_parses_to_a_message(template: ChatTemplate, ids: list[int]):
    message = template.parse(ids)
    assert message["content"] is None or isinstance(message["content"], str)


def test_generated_is_what_training_shows(template: ChatTemplate):
    """The tokens trained for a call, parsed, render to the same conversation again."""
    ids, mask = template.encode_trained(DIALOGUE[:3], [DOCS])
    message = template.parse([i for i, on in zip(ids, mask, strict=True) if on])
    assert template.encode([*DIALOGUE[:2], message], [DOCS]) == ids


def test_stops_are_the_turns_and_the_texts_end(template: ChatTemplate):
    specials = template.tokenizer.special_ids
    assert template.stop_ids == [specials["<|endoftext|>"], specials["<|im_end|>"]]


def test_stops_of_the_generation_config_count(tokenizer_dir: Path, tmp_path: Path):
    shutil.copytree(tokenizer_dir, tmp_path / "t")
    (tmp_path / "t" / "generation_config.json").write_text('{"eos_token_id": [7, 9]}')
    assert {7, 9} <= set(ChatTemplate.load(tmp_path / "t").stop_ids)
    (tmp_path / "t" / "generation_config.json").write_text("[]")
    with pytest.raises(UserError, match="not a JSON object"):
        ChatTemplate.load(tmp_path / "t")


def test_templates_of_others_are_understood(tokenizer_dir: Path, tmp_path: Path):
    """Named templates in the config, a generation block, loop controls, eos_token."""
    shutil.copytree(tokenizer_dir, tmp_path / "t")
    (tmp_path / "t" / "chat_template.jinja").unlink()
    source = (
        "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
        "{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% endfor %}"
    )
    path = tmp_path / "t" / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["chat_template"] = [{"name": "default", "template": source}]
    path.write_text(json.dumps(config))
    template = ChatTemplate.load(tmp_path / "t")
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert template.render([DIALOGUE[0], {"role": "user", "content": parts}]) == "ab<|endoftext|>"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{% for %}", "does not parse"),
        ("{{ raise_exception('no tools here') }}", "no tools here"),
        ("{{ messages.__class__.__mro__ }}", "refuses these messages"),
        ("{{ missing.attribute }}", "refuses these messages"),
    ],
)
def test_bad_and_hostile_templates_are_refused(template: ChatTemplate, source: str, words: str):
    with pytest.raises(UserError, match=words):
        ChatTemplate(source, template.tokenizer).encode(DIALOGUE)


def test_no_template_is_a_clear_error(tokenizer_dir: Path, tmp_path: Path):
    shutil.copytree(tokenizer_dir, tmp_path / "t")
    (tmp_path / "t" / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no chat template"):
        ChatTemplate.load(tmp_path / "t")


def test_a_template_without_calls_has_no_grammar(template: ChatTemplate):
    plain = ChatTemplate("{{ messages[0].content }}", template.tokenizer)
    with pytest.raises(UserError, match="no form that we know"):
        plain.tool_grammar([DOCS])
    with pytest.raises(UserError, match="no tool is named 'x'"):
        template.call_grammar([DOCS], "x")


def test_the_digest_names_the_template(template: ChatTemplate, tokenizer_dir: Path):
    other = ChatTemplate("x", Tokenizer.load(tokenizer_dir))
    assert template.digest == ChatTemplate.load(tokenizer_dir).digest != other.digest
