"""Sampling: the right distribution, the right support, the same draw for the same seed."""

import collections

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lianlu.serve.request import Request, SamplingParams
from lianlu.serve.sampling import choose, is_plain, note, token_logprob, uniform
from lianlu.serve.text import TextStream

LOGITS = torch.tensor([0.1, 2.0, -1.0, 1.5, 0.0])
NO_TEXT = TextStream(None)  # type: ignore[arg-type]


def request(prompt: list[int] | None = None, **params) -> Request:
    return Request(prompt or [0], SamplingParams(**params), NO_TEXT)


def draws(n: int, logits: torch.Tensor = LOGITS, **params) -> collections.Counter[int]:
    return collections.Counter(
        choose(request(seed=seed, **params), logits, None) for seed in range(n)
    )


def test_uniform_is_uniform_and_depends_on_both_arguments() -> None:
    for numbers in (
        [uniform(seed, 0) for seed in range(4000)],
        [uniform(7, i) for i in range(4000)],
    ):
        bins = torch.histc(torch.tensor(numbers), 16, 0, 1)
        chi_square = ((bins - 250) ** 2 / 250).sum().item()
        assert chi_square < 37.7  # 99.9 % of uniform samples with 15 degrees of freedom
        assert 0 <= min(numbers) <= max(numbers) < 1
    # Neighbouring seeds and indices are not shifted copies of one sequence.
    assert uniform(1, 0) != uniform(0, 1)


def test_temperature_one_draws_from_the_softmax() -> None:
    expected = 3000 * LOGITS.softmax(-1)
    counts = draws(3000, temperature=1.0)
    chi_square = sum((counts[i] - e) ** 2 / e for i, e in enumerate(expected.tolist()))
    assert chi_square < 18.5  # 99.9 % with 4 degrees of freedom


@pytest.mark.parametrize(
    ("params", "support"),
    [
        ({"top_k": 2}, {1, 3}),
        ({"top_k": 1}, {1}),
        ({"top_p": 0.5}, {1}),  # token 1 alone has 0.53
        ({"top_p": 0.6}, {1, 3}),
        ({"min_p": 0.5}, {1, 3}),
        ({"min_p": 1.0}, {1}),
        ({"logit_bias": {1: -100.0}}, {0, 2, 3, 4}),
        ({"logit_bias": {2: 100.0}}, {2}),
    ],
)
def test_the_support(params: dict, support: set[int]) -> None:
    assert set(draws(400, temperature=1.0, **params)) == support


@pytest.mark.parametrize("temperature", [1e-40, 1e-300])
@pytest.mark.parametrize("logits", [LOGITS, 1000 * LOGITS])
def test_hardly_any_temperature_is_greedy(temperature: float, logits: torch.Tensor) -> None:
    assert set(draws(20, logits, temperature=temperature)) == {1}


def test_a_mask_is_obeyed() -> None:
    allowed = torch.tensor([True, False, True, False, False])
    for seed in range(100):
        assert choose(request(seed=seed, temperature=3.0), LOGITS, allowed) in (0, 2)
    assert choose(request(), LOGITS, allowed) == 0


def test_nothing_allowed_is_an_error() -> None:
    with pytest.raises(ValueError, match="no token can be chosen"):
        choose(request(), LOGITS, torch.zeros(5, dtype=torch.bool))
    with pytest.raises(ValueError, match="no token can be chosen"):
        choose(request(), torch.full((5,), torch.nan), None)


def test_penalties() -> None:
    # Token 1 was in the prompt: 2.0 / 1.5 is below token 3's 1.5.
    assert choose(request([1], repetition_penalty=1.5), LOGITS, None) == 3
    # A presence penalty does not touch the prompt, only what was generated.
    asked = request([1], presence_penalty=1.0)
    assert choose(asked, LOGITS, None) == 1
    note(asked, 1)
    assert choose(asked, LOGITS, None) == 3
    often = request([1], frequency_penalty=0.3)
    picks = []
    for _ in range(4):
        picks.append(choose(often, LOGITS, None))
        note(often, picks[-1])
    assert picks == [1, 1, 3, 1]


def test_logprobs_ignore_temperature_and_masks() -> None:
    asked = request(temperature=0.5, seed=1, logprobs=2)
    token = choose(asked, LOGITS, torch.tensor([True, False, False, False, False]))
    expected = LOGITS.log_softmax(-1)
    assert token == 0
    assert asked.logprobs == [token_logprob(LOGITS, 0, 2)]
    assert asked.logprobs[0].logprob == pytest.approx(expected[0].item())
    assert [t for t, _ in asked.logprobs[0].top] == [1, 3]


@given(
    logits=st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=30),
    seed=st.integers(0, 2**63),
    top_p=st.floats(0.01, 1.0),
    min_p=st.floats(0, 1),
    top_k=st.integers(0, 40),
)
def test_any_setting_gives_a_likely_enough_token(logits, seed, top_p, min_p, top_k) -> None:
    row = torch.tensor(logits)
    asked = request(temperature=1.0, seed=seed, top_p=top_p, min_p=min_p, top_k=top_k)
    token = choose(asked, row, None)
    assert token == choose(asked, row, None)
    probs = row.softmax(-1)
    assert probs[token] >= min_p * probs.max() * 0.999
    if top_k:
        assert (row > row[token]).sum() < top_k


def test_plain_is_greedy_and_nothing_else() -> None:
    assert is_plain(request(max_tokens=3, stop=("a",), seed=1))
    assert not is_plain(request(temperature=0.1))
    assert not is_plain(request(logprobs=0))
    assert not is_plain(request(presence_penalty=0.5))
