"""Output that follows a grammar: token masks from llguidance."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from torch import Tensor

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


def json_grammar(schema: Mapping[str, Any] = ANY_OBJECT) -> str:
    """The grammar of JSON values that `schema` accepts, on one line.

    At most one space between marks: with free white space a small model may write it for ever.
    """
    return LLMatcher.grammar_from_json_schema(
        json.dumps(schema), overrides={"whitespace_pattern": r"[\x20]?"}
    )


def regex_grammar(pattern: str) -> str:
    """The grammar of texts that match `pattern` as a whole."""
    return LLMatcher.grammar_from_regex(pattern)


class GrammarError(ValueError):
    """A grammar that does not compile, or that an output has left."""


class Grammars:
    """Compiles grammars for one tokenizer; `size` is the length of the logits."""

    def __init__(self, directory: Path, size: int, stop_ids: Sequence[int]) -> None:
        self.directory = directory
        self.size = size
        self.stop_ids = list(stop_ids)

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        """Made on first use: it takes a second for a large vocabulary, and some have no grammar."""
        definition = json.loads((self.directory / "tokenizer.json").read_text(encoding="utf-8"))
        definition |= {"truncation": None, "padding": None}
        try:
            return LLTokenizer(
                json.dumps(definition), n_vocab=self.size, eos_token=self.stop_ids or None
            )
        except ValueError as error:
            raise GrammarError(f"grammars do not work with this tokenizer: {error}") from error

    def start(self, grammar: str) -> "Follower":
        """A follower at the beginning of `grammar`.

        Raises:
            GrammarError: it does not compile.
        """
        return Follower(LLMatcher(self._tokenizer, grammar, log_level=0), self.size)


class Follower:
    """Where one output is in its grammar."""

    def __init__(self, matcher: LLMatcher, size: int) -> None:
        self._matcher = matcher
        self._size = size
        self._raise_error()

    @property
    def finished(self) -> bool:
        """Whether nothing may follow but the end."""
        return bool(self._matcher.is_stopped())

    def allowed(self) -> Tensor:
        """bool [V]: the tokens that may come next, the stop tokens among them where it may end."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._raise_error()
        return torch.from_numpy(np.unpackbits(bits, bitorder="little")[: self._size]).bool()

    def take(self, token: int) -> None:
        """Move on by one token.

        Raises:
            GrammarError: the token is not allowed here.
        """
        self._matcher.consume_token(token)
        self._raise_error()

    def _raise_error(self) -> None:
        if self._matcher.is_error():
            raise GrammarError(self._matcher.get_error())
