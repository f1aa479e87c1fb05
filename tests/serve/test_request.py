"""Sampling parameters refuse what is out of range; a request counts."""

from pathlib import Path

import pytest

from lianlu.model.tokenizer import Tokenizer
from lianlu.serve.request import Request, SamplingParams
from lianlu.serve.text import TextStream


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("temperature", -0.1),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("min_p", 2.0),
        ("repetition_penalty", 0.0),
        ("frequency_penalty", 2.5),
        ("presence_penalty", -2.5),
        ("logprobs", 21),
        ("logit_bias", {1: 101.0}),
        ("temperature", float("nan")),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        SamplingParams(**{field: value})  # type: ignore[arg-type]


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match="stop"):
        SamplingParams(stop=("",))


def test_a_request_counts(model_dir: Path) -> None:
    stream = TextStream(Tokenizer.load(model_dir))
    request = Request([5, 6, 7], SamplingParams(max_tokens=4, seed=3), stream)
    assert (request.pending, request.remaining, request.seed) == (3, 4, 3)
    request.computed = 3
    request.tokens.append(8)
    assert (request.pending, request.remaining, request.output) == (1, 3, [8])
    with pytest.raises(ValueError, match="not finished"):
        request.completion()


def test_no_seed_draws_one(model_dir: Path) -> None:
    stream = TextStream(Tokenizer.load(model_dir))
    assert (
        Request([1], SamplingParams(), stream).seed != Request([1], SamplingParams(), stream).seed
    )
