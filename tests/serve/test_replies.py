"""Objects and chunks, put together again, are the completion they came from."""

import json
from pathlib import Path

import pytest

from lianlu.model.template import ChatTemplate
from lianlu.serve.loop import Delta
from lianlu.serve.replies import ChatReply, TextReply
from lianlu.serve.request import Completion, TokenLogprob


@pytest.fixture(scope="module")
def template(model_dir: Path) -> ChatTemplate:
    return ChatTemplate.load(model_dir)


def complete(template: ChatTemplate, text: str, reason="stop") -> tuple[Completion, list[Delta]]:
    """A completion of `text` (special tokens read as such) and its deltas, a token each."""
    ids = template.tokenizer.encode_rendered(text)
    shown = template.tokenizer.decode(ids, specials=False)
    logprobs = [TokenLogprob(token, -1.0) for token in ids]
    done = Completion(ids, shown, reason, logprobs, prompt_tokens=7, cached_tokens=3)
    deltas, seen = [], ""
    for i, token in enumerate(ids):
        whole = template.tokenizer.decode(ids[: i + 1], specials=False)
        last = done if i + 1 == len(ids) else None
        deltas.append(Delta(whole[len(seen) :], [token], [logprobs[i]], last))
        seen = whole
    return done, deltas


def chat_reply(template: ChatTemplate, tools: bool, ids: bool = False) -> ChatReply:
    tokenizer = template.tokenizer
    return ChatReply(
        "chatcmpl", "chat.completion", "m", tokenizer, 1, ids, template=template, tools=tools
    )


CALL = '<|tool_call|>{"name":"f","arguments":{"name":"os"}}<|im_end|>'
CASES = {
    "text": ("os.path joins<|im_end|>", "stop"),
    "call": (CALL, "tool_calls"),
    "half a call": ('<|tool_call|>{"name":"f","argum', "length"),
    "ended at once": ("<|im_end|>", "stop"),
}


@pytest.mark.parametrize(("text", "reason"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("ids", [False, True])
def test_chunks_add_up_to_the_whole(template, text: str, reason: str, ids: bool) -> None:
    cut = "length" if reason == "length" else "stop"
    done, deltas = complete(template, text, cut)
    reply = chat_reply(template, tools=True, ids=ids)
    whole = reply.whole([done])["choices"][0]
    chunks = [reply.opening(0)] + [chunk for delta in deltas for chunk in reply.chunks(0, delta)]
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [c["finish_reason"] for c in choices[:-1]] == [None] * (len(choices) - 1)
    assert choices[-1]["finish_reason"] == whole["finish_reason"] == reason
    content = "".join(c["delta"].get("content") or "" for c in choices)
    assert content == (whole["message"]["content"] or "")
    calls = [call for c in choices for call in c["delta"].get("tool_calls", ())]
    if reason == "tool_calls":
        (expected,) = whole["message"]["tool_calls"]
        assert calls[0]["id"] == expected["id"]
        assert calls[0]["function"]["name"] == expected["function"]["name"] == "f"
        arguments = "".join(call["function"]["arguments"] for call in calls)
        assert json.loads(arguments) == json.loads(expected["function"]["arguments"])
    else:
        assert not calls
    if ids:
        assert [t for c in choices for t in c.get("token_ids", ())] == done.token_ids
        logprobs = [e for c in choices if c["logprobs"] for e in c["logprobs"]["content"]]
        assert len(logprobs) == len(done.token_ids)


def test_without_tools_a_call_is_text(template) -> None:
    done, _ = complete(template, CALL)
    choice = chat_reply(template, tools=False).whole([done])["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert "tool_calls" not in choice["message"]


def test_prompts_count_once_however_many_choices_they_have(template) -> None:
    done, _ = complete(template, "os")
    reply = TextReply("cmpl", "text_completion", "m", template.tokenizer, n=2, ids=False)
    usage = reply.whole([done] * 4)["usage"]
    assert usage["prompt_tokens"] == 14
    assert usage["completion_tokens"] == 4 * len(done.token_ids)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 6


def test_offsets_of_text_completions(template) -> None:
    done, _ = complete(template, "os.path")
    reply = TextReply("cmpl", "text_completion", "m", template.tokenizer, n=1, ids=True)
    choice = reply.whole([done])["choices"][0]
    logprobs = choice["logprobs"]
    for token, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        assert done.text[offset:].startswith(token)
    assert choice["token_ids"] == done.token_ids
