"""Numbers with their uncertainty: intervals, and comparisons of two models on the same items."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """After minus before on the same items, and the p-value of "no difference"."""

    value: float
    low: float
    high: float
    p: float


def wilson(successes: float, n: int, confidence: float = 0.95) -> Interval:
    """Score interval of a proportion (Wilson 1927): right at 0 and 1 too, where Wald's is empty.

    Raises ValueError when n < 1 or the successes do not lie in 0..n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    z = _normal_quantile(confidence)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    # At 0 and n the bounds are exact; rounding must not push them past the estimate.
    low, high = min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))
    return Interval(share, low, high)


def mean(values: ArrayLike, weights: ArrayLike | None = None, confidence: float = 0.95) -> Interval:
    """Weighted mean over independent items, e.g. bits per byte weighted by a document's bytes.

    The items are the clusters: the variance is that of the ratio estimator, Σ w(v - mean) over
    Σ w, with Student's t on n - 1 degrees of freedom; equal weights give the usual t interval.
    One item has no spread: its interval is the whole line. Raises ValueError for no items.
    """
    v, w = _weigh(values, weights)
    total = w.sum()
    estimate = float((v * w).sum() / total)
    if len(v) == 1:
        return Interval(estimate, -math.inf, math.inf)
    residuals = w * (v - estimate)
    error = math.sqrt(len(v) / (len(v) - 1) * float((residuals**2).sum())) / total
    half = student_quantile(confidence, len(v) - 1) * float(error)
    return Interval(estimate, estimate - half, estimate + half)


def paired_mean(
    before: ArrayLike,
    after: ArrayLike,
    weights: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Difference:
    """Difference of two weighted means over the same items, with the paired t test."""
    delta = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    found = mean(delta, weights, confidence)
    if len(delta) == 1:
        return Difference(found.value, found.low, found.high, 1.0)
    if found.low == found.high:
        p = 1.0 if found.value == 0 else 0.0
        return Difference(found.value, found.low, found.high, p)
    error = (found.high - found.low) / 2 / student_quantile(confidence, len(delta) - 1)
    p = 2 * (1 - student_cdf(abs(found.value) / error, len(delta) - 1))
    return Difference(found.value, found.low, found.high, min(1.0, max(0.0, p)))


def paired_proportion(before: ArrayLike, after: ArrayLike, confidence: float = 0.95) -> Difference:
    """Difference of two proportions over the same items (0 or 1 each).

    Interval of Bonett and Price (2012), which stays honest with few discordant pairs; p-value of
    the exact McNemar test.
    """
    b, a = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    n = len(b)
    if n == 0 or len(a) != n:
        raise ValueError(f"{n} items before, {len(a)} after")
    gained, lost = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = _normal_quantile(confidence) * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    low, high = max(-1.0, up - down - half), min(1.0, up - down + half)
    return Difference((gained - lost) / n, low, high, mcnemar(gained, lost))


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p-value: is a changed item as likely to be gained as to be lost?"""
    n, k = gained + lost, min(gained, lost)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    return min(1.0, 2 * tail)


def student_quantile(confidence: float, freedom: int) -> float:
    """t with `confidence` of Student's distribution between -t and t."""
    target = (1 + confidence) / 2
    low, high = 0.0, 1.0
    while student_cdf(high, freedom) < target:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, freedom) < target else (low, middle)
    return (low + high) / 2


def student_cdf(t: float, freedom: int) -> float:
    """P(T <= t). With t = √ν tan u the density is cos(u)^(ν-1): smooth, so quadrature is exact."""
    nodes, weights = _GAUSS
    angle = math.atan(t / math.sqrt(freedom))
    u = angle / 2 * (nodes + 1)
    area = float((weights * np.cos(u) ** (freedom - 1)).sum()) * angle / 2
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    return 0.5 + scale / math.sqrt(math.pi) * area


_GAUSS = np.polynomial.legendre.leggauss(96)


def _normal_quantile(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _weigh(values: ArrayLike, weights: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    v = np.asarray(values, dtype=np.float64)
    w = np.ones_like(v) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(v) == 0 or v.shape != w.shape or (w < 0).any() or not w.sum() > 0:
        raise ValueError("needs one item at least, and a positive weight for each")
    return v, w
