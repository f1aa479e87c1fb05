"""bits_per_byte items: the sum over documents is the score."""

import math
from pathlib import Path

import pytest

from lianlu.evaluate import perplexity
from lianlu.model.checkpoint import load_model
from lianlu.model.likelihood import document_nats, read_held_out
from lianlu.model.tokenizer import Tokenizer
from lianlu.progress import Event, Progress


def test_items_are_bits_per_byte_weighted_by_bytes(workplace: Path) -> None:
    held_out = read_held_out(workplace / "tokens", 5)
    decoder, tokenizer = load_model(workplace / "model"), Tokenizer.load(workplace / "model")
    events: list[Event] = []
    items = perplexity.measure(decoder, tokenizer, held_out, Progress(listen=events.append))
    assert [item.id for item in items] == ["d0", "d1", "d2", "d3", "d4"]
    assert tokenizer.eos_id is not None
    nats = document_nats(decoder, tokenizer.encode_batch(held_out.texts), tokenizer.eos_id)
    bits = [item.verdict * item.weight for item in items]
    assert sum(bits) == pytest.approx(sum(nats) / math.log(2))
    assert events[-1]["done"] == 5


def test_the_digest_follows_the_documents(workplace: Path) -> None:
    five, four = (read_held_out(workplace / "tokens", n) for n in (5, 4))
    assert perplexity.task_digest(five) != perplexity.task_digest(four)
    assert perplexity.task_digest(five) == perplexity.task_digest(five)
