"""What clients ask for, as prompts and sampling parameters."""

import json

import pytest
from pydantic import ValidationError

from lianlu.serve.openai import (
    CHAT_TOKENS,
    BadRequest,
    ChatRequest,
    CompletionRequest,
    chat_tasks,
    completion_tasks,
)

MESSAGES = [{"role": "user", "content": "os.path"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def chat(**fields: object) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": MESSAGES, **fields})


def test_every_field_reaches_the_parameters(make_engine) -> None:
    engine = make_engine()
    body = chat(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        min_p=0.1,
        repetition_penalty=1.1,
        frequency_penalty=0.2,
        presence_penalty=0.3,
        logit_bias={"7": -5},
        stop="x",
        stop_token_ids=[9],
        seed=4,
        n=2,
        max_tokens=9,
        max_completion_tokens=11,
        logprobs=True,
        top_logprobs=3,
        ignore_eos=True,
        some_field_of_next_year=1,
    )
    first, second = chat_tasks(body, engine)
    p = first.params
    assert first.prompt == engine.template.encode(MESSAGES, generate=True)
    assert (p.temperature, p.top_p, p.top_k, p.min_p) == (0.5, 0.9, 5, 0.1)
    assert (p.repetition_penalty, p.frequency_penalty, p.presence_penalty) == (1.1, 0.2, 0.3)
    assert (p.logit_bias, p.stop, p.stop_ids, p.ignore_eos) == ({7: -5.0}, ("x",), (9,), True)
    assert (p.seed, second.params.seed, p.max_tokens, p.logprobs) == (4, 5, 11, 3)


def test_defaults_are_those_of_openai(make_engine) -> None:
    engine = make_engine()
    (task,) = chat_tasks(chat(), engine)
    assert task.params.temperature == 1.0
    assert task.params.max_tokens == engine.context - len(task.prompt)
    (task,) = completion_tasks(CompletionRequest(model="m", prompt="os"), engine)
    assert task.params.max_tokens == 16


def test_a_chat_without_a_limit_leaves_room_for_others(make_engine) -> None:
    engine = make_engine()
    engine.scheduler.context = 4096  # as of a longer model
    (task,) = chat_tasks(chat(), engine)
    assert task.params.max_tokens == CHAT_TOKENS < 4096 - len(task.prompt)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("limit", [0, -1])
def test_no_tokens_at_all_is_a_mistake(field: str, limit: int) -> None:
    with pytest.raises(ValidationError, match=field):
        chat(**{field: limit})


def test_no_tokens_of_a_completion_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="max_tokens"):
        CompletionRequest.model_validate({"model": "m", "prompt": "os", "max_tokens": 0})


def test_tool_choice_decides_the_grammar_and_the_prompt(make_engine) -> None:
    engine = make_engine()
    shown = engine.template.encode(MESSAGES, [TOOL], generate=True)
    named = {"type": "function", "function": {"name": "f"}}
    for choice, grammar in [
        ("auto", engine.template.tool_grammar([TOOL])),
        ("required", engine.template.call_grammar([TOOL])),
        (named, engine.template.call_grammar([TOOL], "f")),
    ]:
        (task,) = chat_tasks(chat(tools=[TOOL], tool_choice=choice), engine)
        assert (task.prompt, task.params.grammar) == (shown, grammar)
    (task,) = chat_tasks(chat(tools=[TOOL], tool_choice="none"), engine)
    assert (task.prompt, task.params.grammar) == (
        engine.template.encode(MESSAGES, generate=True),
        None,
    )


def test_parts_developers_and_calls_become_what_templates_know(make_engine) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
        {"role": "assistant", "tool_calls": [call]},
    ]
    body = ChatRequest.model_validate({"model": "m", "messages": messages})
    assert body.messages[0].plain()["role"] == "system"
    assert json.loads(body.messages[1].plain()["tool_calls"][0]["function"]["arguments"]) == {}
    assert chat_tasks(body, make_engine())


def test_a_model_without_a_template_cannot_chat(make_engine) -> None:
    engine = make_engine()
    engine.template = None
    with pytest.raises(BadRequest, match="/v1/completions"):
        chat_tasks(chat(), engine)


@pytest.mark.parametrize("prompt", [{"a": 1}, [["a"]], None])
def test_prompts_of_no_kind_are_refused(prompt) -> None:
    with pytest.raises(ValidationError):
        CompletionRequest.model_validate({"model": "m", "prompt": prompt})


def test_no_prompt_is_refused(make_engine) -> None:
    with pytest.raises(BadRequest, match="empty"):
        completion_tasks(CompletionRequest(model="m", prompt=[]), make_engine())
