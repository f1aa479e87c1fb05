"""Document log-likelihoods against transformers, and the windows against the rule they follow."""

import math
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from lianlu.errors import UserError
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Attend, Decoder
from lianlu.model.likelihood import (
    HeldOut,
    bits_per_byte,
    document_nats,
    read_held_out,
    rolling_windows,
)
from lianlu.model.tokenizer import Tokenizer

CONTEXT = 24


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[LlamaForCausalLM, Decoder]]:
    """The same random weights in transformers and in our decoder, float64."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.4,
    )
    theirs = LlamaForCausalLM(config).double().eval()
    ours = Decoder(DecoderConfig.from_hf(theirs.config.to_dict())).double()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def documents(count: int) -> list[list[int]]:
    draw = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 3 * CONTEXT, (count,), generator=draw).tolist()
    return [torch.randint(0, 97, (n,), generator=draw).tolist() for n in lengths]


def oracle(model: LlamaForCausalLM, tokens: list[int]) -> float:
    total = 0.0
    for inputs, targets in rolling_windows(tokens, 0, CONTEXT):
        with torch.inference_mode():
            logits = model(torch.tensor([inputs])).logits[0, -len(targets) :]
        total -= float(logits.log_softmax(-1)[range(len(targets)), targets].sum())
    return total


def test_parity_with_transformers(pair: tuple[LlamaForCausalLM, Decoder]) -> None:
    theirs, ours = pair
    texts = documents(12)
    expected = [oracle(theirs, text) for text in texts]
    # transformers computes norms and rotations in float32 whatever the weights are.
    assert document_nats(ours, texts, 0, pack=64) == pytest.approx(expected, rel=5e-7)
    single = document_nats(ours.float(), texts, 0)
    ours.double()
    assert single == pytest.approx(expected, rel=5e-6)


def test_packing_does_not_change_the_sum(pair: tuple[LlamaForCausalLM, Decoder]) -> None:
    texts = documents(9)
    alone = [document_nats(pair[1], [text], 0)[0] for text in texts]
    assert document_nats(pair[1], texts, 0) == pytest.approx(alone, rel=1e-12)


def test_logits_are_made_in_parts(
    pair: tuple[LlamaForCausalLM, Decoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = documents(5)
    whole = document_nats(pair[1], texts, 0)
    monkeypatch.setattr("lianlu.model.likelihood.LOGITS", 300)
    assert document_nats(pair[1], texts, 0) == pytest.approx(whole, rel=1e-12)


def test_wrap_reaches_the_attention(pair: tuple[LlamaForCausalLM, Decoder]) -> None:
    def blind(attend: Attend) -> Attend:
        return lambda layer, q, k, v: attend(layer, q, k, torch.zeros_like(v))

    texts = documents(3)
    assert document_nats(pair[1], texts, 0, wrap=blind) != document_nats(pair[1], texts, 0)


def test_progress_counts_every_document(pair: tuple[LlamaForCausalLM, Decoder]) -> None:
    told: list[int] = []
    document_nats(pair[1], documents(7), 0, pack=40, advance=told.append)
    assert sum(told) == 7


def test_an_empty_document_has_no_information(pair: tuple[LlamaForCausalLM, Decoder]) -> None:
    assert document_nats(pair[1], [[], [5]], 0)[0] == 0


@given(st.integers(0, 100), st.integers(1, 40))
def test_windows_predict_each_token_once(length: int, context: int) -> None:
    tokens = list(range(1, length + 1))
    windows = list(rolling_windows(tokens, 0, context))
    assert [t for _, targets in windows for t in targets] == tokens
    for inputs, targets in windows:
        assert len(inputs) <= context
        assert [token + 1 for token in inputs[-len(targets) :]] == targets
    if length >= context:
        assert all(len(inputs) == context for inputs, _ in windows)
    assert len(windows) == math.ceil(length / context)


class TestHeldOut:
    """Reading held-out documents, and the number of bits per byte of them."""

    def write(self, folder: Path, texts: list[str]) -> Path:
        ids = [f"d{i}" for i in range(len(texts))]
        pq.write_table(pa.table({"id": ids, "text": texts}), folder / "valid.parquet")
        return folder

    def test_empty_documents_are_passed_over(self, tmp_path: Path) -> None:
        found = read_held_out(self.write(tmp_path, ["", "été", "", "b", "c"]), 2)
        assert (found.ids, found.rows) == (["d1", "d3"], [1, 3])
        assert found.bytes().tolist() == [5, 1]

    def test_nothing_to_read(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no held-out documents"):
            read_held_out(tmp_path, 2)
        with pytest.raises(UserError, match="no held-out documents"):
            read_held_out(self.write(tmp_path, [""]), 2)

    def test_bits_per_byte(self, pair: tuple[LlamaForCausalLM, Decoder]) -> None:
        held_out = HeldOut(["a", "b"], ["ab", "cdef"], [0, 1])
        tokenizer = _letters("x")
        found = bits_per_byte(pair[1], tokenizer, held_out)
        documents = tokenizer.encode_batch(held_out.texts)
        expected = document_nats(pair[1], documents, tokenizer.special_ids["x"])
        sizes = held_out.bytes()
        assert (found * sizes * math.log(2)).tolist() == pytest.approx(expected)

    def test_a_document_needs_a_start(self, pair: tuple[LlamaForCausalLM, Decoder]) -> None:
        with pytest.raises(UserError, match="neither a bos nor an eos"):
            bits_per_byte(pair[1], _letters(None), HeldOut(["a"], ["ab"], [0]))


def _letters(eos: str | None) -> Tokenizer:
    """A tokenizer of the letters a to g and the special token x."""
    vocab = {letter: i for i, letter in enumerate("abcdefg")}
    letters = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, []))
    letters.add_special_tokens(["x"])
    return Tokenizer(letters.to_str(), eos)
