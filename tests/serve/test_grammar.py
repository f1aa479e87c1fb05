"""Grammars: every walk through the masks is valid, and what is not allowed is refused."""

import json
import random
import re
from pathlib import Path

import pytest
import tokenizers

from lianlu.model.template import ChatTemplate
from lianlu.serve.grammar import GrammarError, Grammars, json_grammar, regex_grammar

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 8}},
                "required": ["name"],
                "additionalProperties": False,
            },
        },
    }
    for name in ("python_docs", "search")
]


@pytest.fixture(scope="module")
def template(model_dir: Path) -> ChatTemplate:
    return ChatTemplate.load(model_dir)


@pytest.fixture(scope="module")
def grammars(model_dir: Path, template: ChatTemplate) -> Grammars:
    return Grammars(model_dir, template.tokenizer.vocab_size, template.stop_ids)


def walk(grammars: Grammars, template: ChatTemplate, grammar: str, seed: int) -> list[int]:
    """Random tokens among the allowed ones until the end."""
    choices = random.Random(seed)
    follower = grammars.start(grammar)
    out: list[int] = []
    while not follower.finished:
        allowed = follower.allowed().nonzero()[:, 0].tolist()
        stops = [token for token in allowed if token in template.stop_ids]
        out.append(choices.choice(stops or allowed))
        if stops:
            break
        follower.take(out[-1])
        assert len(out) < 400
    return out


@pytest.mark.parametrize("seed", range(5))
def test_calls_are_well_formed(grammars, template, seed: int) -> None:
    message = template.parse(walk(grammars, template, template.call_grammar(TOOLS), seed))
    function = message["tool_calls"][0]["function"]
    assert function["name"] in ("python_docs", "search")
    assert list(json.loads(function["arguments"])) == ["name"]
    named = template.parse(walk(grammars, template, template.call_grammar(TOOLS, "search"), seed))
    assert named["tool_calls"][0]["function"]["name"] == "search"


@pytest.mark.parametrize("seed", range(5))
def test_json_and_regex(grammars, template, seed: int) -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["a", "b"]}, "n": {"type": "boolean"}},
        "required": ["kind", "n"],
        "additionalProperties": False,
    }
    text = template.tokenizer.decode(
        walk(grammars, template, json_grammar(schema), seed), specials=False
    )
    value = json.loads(text)
    assert value["kind"] in ("a", "b")
    assert isinstance(value["n"], bool)
    text = template.tokenizer.decode(
        walk(grammars, template, regex_grammar("[a-c]{2,4}-中"), seed), specials=False
    )
    assert re.fullmatch("[a-c]{2,4}-中", text)


def test_text_or_call(grammars, template) -> None:
    allowed = grammars.start(template.tool_grammar(TOOLS)).allowed()
    assert allowed[template.tokenizer.special_ids["<|tool_call|>"]]
    assert allowed[template.tokenizer.encode("T")[0]]
    assert not allowed[template.tokenizer.special_ids["<|im_start|>"]]


def test_a_bad_grammar_and_a_bad_token_say_so(grammars, template) -> None:
    with pytest.raises(GrammarError):
        grammars.start("start: (")
    with pytest.raises(GrammarError):
        grammars.start(json_grammar({"type": "no such type"}))
    follower = grammars.start(regex_grammar("aaa"))
    with pytest.raises(GrammarError):
        follower.take(template.tokenizer.encode("b")[0])


def test_a_tokenizer_without_grammars_says_so(tmp_path: Path) -> None:
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    words.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(GrammarError, match="do not work with this tokenizer"):
        Grammars(tmp_path, 1, []).start(regex_grammar("a"))
