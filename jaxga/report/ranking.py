"""How well the surrogate's predictions order the members of a generation."""

import math
from typing import NamedTuple

import numpy as np

from jaxga.report.findings import Interval, Z
from jaxga.runs.history import History

_NUM_NOISES = 20


class Ranking(NamedTuple):
    """Spearman's rank correlation of predicted and observed values, by generation.

    Attributes:
        numbers: i64[G], the generations with a correlation, from 0.
        correlations: f64[G].
        pooled: their mean, weighted by their numbers of members less one; NaN for too few members.
        num_members: in these generations.
        overall: the correlation over all of them together.
        ceiling: about the correlation that a perfect surrogate would have, given the noise between replicates (1
            without noise); NaN where a member is trained once.
    """

    numbers: np.ndarray
    correlations: np.ndarray
    pooled: Interval
    num_members: int
    overall: float
    ceiling: float


def ranking(history: History) -> Ranking | None:
    """Predicted against observed values; None where no member has a prediction."""
    columns = history.columns
    predicted, value = columns["predicted"].astype(float), columns["value"].astype(float)
    known = np.isfinite(predicted) & np.isfinite(value)
    if not known.any():
        return None
    numbers, correlations, sizes, ceilings = [], [], [], []
    rng = np.random.default_rng(0)
    for rows in history.generations:
        rows = rows[known[rows]]
        correlation = rank_correlation(predicted[rows], value[rows])
        if math.isfinite(correlation):
            numbers.append(int(columns["generation"][rows[0]]))
            correlations.append(correlation)
            sizes.append(len(rows))
            noise = columns["spread"][rows] / np.sqrt(columns["replicates"][rows])
            ceilings.append(_ceiling(value[rows], noise.astype(float), rng))
    weights = np.array(sizes) - 1
    pooled, ceiling = Interval(math.nan, math.nan, math.nan), math.nan
    if weights.sum() > 5:
        pooled = _pooled(np.array(correlations), weights)
        if columns["replicates"].max() > 1:
            ceiling = float(np.average(ceilings, weights=weights))
    return Ranking(
        np.array(numbers, int),
        np.array(correlations),
        pooled,
        sum(sizes),
        rank_correlation(predicted[known], value[known]),
        ceiling,
    )


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's; NaN for fewer than three pairs, and where ``x`` or ``y`` is constant."""
    ranks = [_ranks(values) for values in (x, y)]
    if len(x) < 3 or any(np.ptp(rank) == 0 for rank in ranks):
        return math.nan
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _pooled(correlations: np.ndarray, weights: np.ndarray) -> Interval:
    """Weighted mean of rank correlations, with an interval by Fisher's z.

    The variance is that of Bonett and Wright (2000), or the one observed between the generations where that is larger.
    """
    total = weights.sum()
    mean = float(np.average(correlations, weights=weights))
    deviations = weights * (correlations - mean) / total
    mean = max(-0.999999, min(0.999999, mean))
    within = (1 + mean**2 / 2) / (total - 2)
    between = (deviations**2).sum() / (1 - mean**2) ** 2
    z, half = math.atanh(mean), Z * math.sqrt(max(within, between))
    return Interval(mean, math.tanh(z - half), math.tanh(z + half))


def _ceiling(value: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> float:
    """About the rank correlation of the noise-free values with the observed ones.

    The noise is added a second time, and the correlation c of the observed values with the twice noisy ones is
    measured. For normal values c^2 = V / (V + N), with the variance V of the observed values and the part N of it that
    is noise. The result is sqrt(1 - N / V). Ranks are used because one bad member with much noise would dominate
    variances.

    Args:
        value: f64[N], as observed.
        noise: f64[N], the standard error of each.
        rng: draws the noise.
    """
    found = [rank_correlation(value, value + noise * rng.normal(size=len(value))) for _ in range(_NUM_NOISES)]
    again = float(np.mean(np.nan_to_num(found)))
    return math.sqrt(max(0.0, 2 - again**-2)) if again > 0 else 0.0
