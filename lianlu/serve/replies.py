"""Completions as OpenAI objects: whole, or chunk by chunk."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lianlu.model.template import ChatTemplate
from lianlu.model.tokenizer import Tokenizer
from lianlu.serve.loop import Delta
from lianlu.serve.request import Completion, TokenLogprob

Object = dict[str, Any]


@dataclass
class Reply:
    """What every object of one response repeats, and what the client wants in its choices."""

    prefix: str
    kind: str
    model: str
    tokenizer: Tokenizer
    n: int
    ids: bool
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.id = f"{self.prefix}-{secrets.token_hex(12)}"

    def wrap(self, choices: Sequence[Object], suffix: str = "", **more: Any) -> Object:
        """The object around `choices`; `suffix` is ".chunk" for a chat's chunks."""
        head = {"id": self.id, "object": self.kind + suffix, "created": self.created}
        return {**head, "model": self.model, "choices": list(choices), **more}

    def usage(self, completions: Sequence[Completion]) -> Object:
        """Token counts of a response; a prompt counts once, however many choices it has."""
        prompts = completions[:: self.n]
        prompt = sum(c.prompt_tokens for c in prompts)
        generated = sum(len(c.token_ids) for c in completions)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": generated,
            "total_tokens": prompt + generated,
            "prompt_tokens_details": {"cached_tokens": sum(c.cached_tokens for c in prompts)},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


@dataclass
class ChatReply(Reply):
    """Objects of /v1/chat/completions; `tools` says that the text may be a call."""

    template: ChatTemplate | None = None
    tools: bool = False
    # By choice: whether its output is a call, which is shown once it is complete.
    calling: dict[int, bool] = field(default_factory=dict)

    def whole(self, completions: Sequence[Completion]) -> Object:
        """The response without streaming."""
        choices = []
        for i, done in enumerate(completions):
            message = self._message(i, done)
            choice: Object = {"index": i, "message": message, "logprobs": None}
            if done.logprobs is not None:
                choice["logprobs"] = self._logprobs(done.logprobs)
            if self.ids:
                choice["token_ids"] = done.token_ids
            choice["finish_reason"] = _reason(done, message)
            choices.append(choice)
        return self.wrap(choices, usage=self.usage(completions))

    def opening(self, index: int) -> Object:
        """The first chunk of a choice: its role."""
        return self._chunk(index, {"role": "assistant", "content": ""})

    def chunks(self, index: int, delta: Delta) -> list[Object]:
        """The chunks of one delta; the last of a choice carries its finish_reason."""
        done = delta.completion
        if index not in self.calling and delta.token_ids:
            first = delta.token_ids[0]
            special = first in self.tokenizer.special_ids.values()
            stops = self.template.stop_ids if self.template else ()
            self.calling[index] = self.tools and special and first not in stops
        chunks: list[Object] = []
        text, message = delta.text, {}
        if self.calling.get(index):
            text = ""
            if done is not None:
                message = self._message(index, done)
                text = message.get("content") or ""
                for i, call in enumerate(message.get("tool_calls", ())):
                    chunks += [self._chunk(index, part) for part in _call_deltas(i, call)]
        if text or (delta.token_ids and (self.ids or delta.logprobs)):
            chunk = self._chunk(index, {"content": text} if text else {})
            if delta.logprobs:
                chunk["choices"][0]["logprobs"] = self._logprobs(delta.logprobs)
            if self.ids:
                chunk["choices"][0]["token_ids"] = delta.token_ids
            chunks.insert(0, chunk)
        if done is not None:
            chunks.append(self._chunk(index, {}, _reason(done, message)))
        return chunks

    def _message(self, index: int, done: Completion) -> Object:
        if not self.tools or self.template is None:
            return {"role": "assistant", "content": done.text}
        message = self.template.parse(done.token_ids)
        for i, call in enumerate(message.get("tool_calls", ())):
            call["id"] = f"call_{self.id.removeprefix(self.prefix + '-')}_{index}_{i}"
        return message

    def _chunk(self, index: int, delta: Object, reason: str | None = None) -> Object:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self.wrap([choice], ".chunk")

    def _logprobs(self, logprobs: Sequence[TokenLogprob]) -> Object:
        return {
            "content": [
                self._token(entry.token_id, entry.logprob)
                | {"top_logprobs": [self._token(*pair) for pair in entry.top]}
                for entry in logprobs
            ],
            "refusal": None,
        }

    def _token(self, token: int, logprob: float) -> Object:
        text = self.tokenizer.decode([token])
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


@dataclass
class TextReply(Reply):
    """Objects of /v1/completions."""

    def whole(self, completions: Sequence[Completion]) -> Object:
        """The response without streaming."""
        choices = [
            self._choice(i, done.text, done.token_ids, done.logprobs, done.finish_reason)
            for i, done in enumerate(completions)
        ]
        return self.wrap(choices, usage=self.usage(completions))

    def opening(self, index: int) -> None:
        """Text has no role to announce."""

    def chunks(self, index: int, delta: Delta) -> list[Object]:
        """The chunks of one delta; the last of a choice carries its finish_reason."""
        reason = delta.completion.finish_reason if delta.completion else None
        if not (delta.text or reason or self.ids):
            return []
        logprobs = delta.logprobs or None
        return [self.wrap([self._choice(index, delta.text, delta.token_ids, logprobs, reason)])]

    def _choice(
        self,
        index: int,
        text: str,
        ids: list[int],
        logprobs: Sequence[TokenLogprob] | None,
        reason: str | None,
    ) -> Object:
        choice: Object = {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
        if logprobs is not None:
            choice["logprobs"] = self._logprobs(logprobs)
        return choice | ({"token_ids": ids} if self.ids else {})

    def _logprobs(self, logprobs: Sequence[TokenLogprob]) -> Object:
        tokens = [self.tokenizer.decode([entry.token_id]) for entry in logprobs]
        offsets = [0]
        for token in tokens:
            offsets.append(offsets[-1] + len(token))
        return {
            "tokens": tokens,
            "token_logprobs": [entry.logprob for entry in logprobs],
            "top_logprobs": [
                {self.tokenizer.decode([token]): logprob for token, logprob in entry.top}
                for entry in logprobs
            ],
            "text_offset": offsets[:-1],
        }


def _reason(done: Completion, message: Object) -> str:
    """A call that is complete is the reason; one cut off at `max_tokens` is no call."""
    return "tool_calls" if message.get("tool_calls") else done.finish_reason


def _call_deltas(index: int, call: Object) -> list[Object]:
    """A tool call as clients put it together: who is called first, the arguments after it."""
    function = call["function"]
    head = {"name": function["name"], "arguments": ""}
    opening = {"index": index, "id": call["id"], "type": "function", "function": head}
    rest = {"index": index, "function": {"arguments": function["arguments"]}}
    return [{"tool_calls": [opening]}, {"tool_calls": [rest]}]
