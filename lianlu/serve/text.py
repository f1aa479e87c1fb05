"""Tokens to text as they come, ending at stop strings."""

from collections.abc import Sequence

from lianlu.model.tokenizer import Tokenizer

BROKEN = "\ufffd"


class TextStream:
    """The text of one completion, grown token by token.

    `text` only ever grows: bytes of an unfinished character, and an end that might become a stop
    string, are held back until the next token or `finish` decides.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self.tokenizer = tokenizer
        self.stop = tuple(stop)
        self.text = ""
        self.stopped = False
        self._held = ""
        self._ids: list[int] = []
        # Text is decoded from a little before what is new: some decoders (Metaspace) treat the
        # first token of a call differently.
        self._from = self._done = 0

    def push(self, token: int) -> None:
        """Take one token more; sets `stopped` when a stop string is complete."""
        self._ids.append(token)
        before = self._decode(self._ids[self._from : self._done])
        after = self._decode(self._ids[self._from :])
        if len(after) <= len(before) or after.endswith(BROKEN):
            return
        self._from, self._done = self._done, len(self._ids)
        self._grow(after[len(before) :])

    def finish(self) -> None:
        """No token follows: give out what was held back, broken characters included."""
        if self.stopped:
            return
        before = self._decode(self._ids[self._from : self._done])
        self._grow(self._decode(self._ids[self._from :])[len(before) :])
        if not self.stopped:
            self.text += self._held
            self._held = ""

    def _grow(self, new: str) -> None:
        text = self._held + new
        ends = [at for stop in self.stop if (at := text.find(stop)) >= 0]
        if ends:
            self.text += text[: min(ends)]
            self._held = ""
            self.stopped = True
            return
        hold = max((_overlap(text, stop) for stop in self.stop), default=0)
        self.text += text[: len(text) - hold]
        self._held = text[len(text) - hold :]

    def _decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, specials=False)


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` starts with."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
