"""Intervals against published values and against their promise: coverage, by simulation."""

import math

import numpy as np
import pytest

from lianlu.statistics import (
    mcnemar,
    mean,
    paired_mean,
    paired_proportion,
    student_cdf,
    student_quantile,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_published_values(successes: int, n: int, low: float, high: float) -> None:
    found = wilson(successes, n)
    assert found.value == successes / n
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_wilson_is_one_sided_at_the_ends() -> None:
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == 1


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, n)


@pytest.mark.parametrize(
    ("confidence", "freedom", "t"),
    [(0.95, 1, 12.706205), (0.95, 5, 2.570582), (0.99, 10, 3.169273), (0.95, 199, 1.971957)],
)
def test_student_quantile_against_tables(confidence: float, freedom: int, t: float) -> None:
    assert student_quantile(confidence, freedom) == pytest.approx(t, abs=2e-6)


def test_student_tends_to_the_normal() -> None:
    assert student_quantile(0.95, 10**6) == pytest.approx(1.959966, abs=1e-5)
    assert student_cdf(-2.0, 7) == pytest.approx(1 - student_cdf(2.0, 7), abs=1e-14)


def test_mean_with_equal_weights_is_the_t_interval() -> None:
    values = np.array([2.0, 4.0, 4.0, 7.0, 9.0])
    found = mean(values)
    half = student_quantile(0.95, 4) * values.std(ddof=1) / math.sqrt(5)
    assert found.value == pytest.approx(5.2)
    assert found.high - found.value == pytest.approx(half)


def test_weights_pool_the_totals() -> None:
    bits, sizes = np.array([10.0, 600.0]), np.array([10.0, 300.0])
    assert mean(bits / sizes, sizes).value == pytest.approx(610 / 310)


def test_one_item_says_nothing_about_spread() -> None:
    assert mean([3.0]).low == -math.inf


@pytest.mark.parametrize(("values", "weights"), [([], None), ([1.0], [0.0]), ([1.0, 2.0], [1.0])])
def test_mean_refuses_items_it_cannot_weigh(values: list[float], weights: list[float]) -> None:
    with pytest.raises(ValueError, match="one item"):
        mean(values, weights)


def test_mcnemar_by_hand() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(6, 2) == pytest.approx(2 * (1 + 8 + 28) / 256)


def test_paired_mean_of_identical_runs_is_no_difference() -> None:
    found = paired_mean([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_paired_mean_p_value_against_a_published_test() -> None:
    # Student (1908), the sleep data: t = 4.0621 on 9 degrees of freedom, p = 0.002833.
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = paired_mean(first, second)
    assert found.value == pytest.approx(1.58)
    assert found.p == pytest.approx(0.002833, abs=1e-6)


def test_coverage_of_wilson() -> None:
    rng = np.random.default_rng(0)
    truths = rng.uniform(0.05, 0.95, 4000)
    found = [wilson(int(k), 200) for k in rng.binomial(200, truths)]
    hits = [i.low <= t <= i.high for i, t in zip(found, truths, strict=True)]
    assert 0.94 <= np.mean(hits) <= 0.96


def test_coverage_of_the_weighted_mean_of_clusters() -> None:
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(3000):
        weights = rng.lognormal(0, 0.5, 100)
        values = 2 + rng.normal(0, 1, 100) * rng.uniform(0.5, 1.5, 100)
        found = mean(values, weights)
        hits.append(found.low <= 2 <= found.high)
    assert 0.94 <= np.mean(hits) <= 0.96


def test_coverage_and_false_alarms_of_the_paired_proportion() -> None:
    rng = np.random.default_rng(2)
    hits, alarms = [], []
    for _ in range(3000):
        before = rng.random(150) < 0.6
        change = rng.random(150) < 0.2
        found = paired_proportion(before, np.where(change, rng.random(150) < 0.6, before))
        hits.append(found.low <= 0 <= found.high)
        alarms.append(found.p < 0.05)
    assert 0.94 <= np.mean(hits) <= 0.97
    assert np.mean(alarms) <= 0.05


def test_paired_proportion_refuses_unequal_sets() -> None:
    with pytest.raises(ValueError, match="before"):
        paired_proportion([1, 0], [1])
