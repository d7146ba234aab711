"""Ranks and win rates over problems and seeds, with bootstrap intervals.

``results[method][problem]`` are the final regrets f64[S] of a method's S seeds, which need not be as many as
another method's: the seeds are independent, so all pairs of them are compared.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Results = Mapping[str, Mapping[str, np.ndarray]]

_NUM_BOOTSTRAPS = 2000
# How often the seeds of one problem are drawn anew; a bootstrap of the problems picks one of these for each.
_NUM_SEED_DRAWS = 100


class Estimate(NamedTuple):
    """A mean over problems with the bounds of its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def win_probability(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """f64[...]: how often a draw of ``a`` f64[..., S] is below one of ``b`` f64[..., T]; a tie is half a win.

    Two failures, which are infinite, tie.
    """
    a, b = a[..., :, None], b[..., None, :]
    return np.where(a == b, 0.5, a < b).mean((-1, -2))


def win_matrices(results: Results, problems: Sequence[str]) -> np.ndarray:
    """f64[N, M, M]: on each problem, how often the row's method beats the column's; ½ on the diagonal."""
    methods = list(results)
    matrices = np.full((len(problems), len(methods), len(methods)), 0.5)
    for n, problem in enumerate(problems):
        for i, a in enumerate(methods):
            for j, b in enumerate(methods[:i]):
                rate = win_probability(results[a][problem], results[b][problem])
                matrices[n, i, j], matrices[n, j, i] = rate, 1.0 - rate
    return matrices


def ranks(matrices: np.ndarray) -> np.ndarray:
    """f64[..., M]: the expected rank of each method, 1 the best, of win matrices f64[..., M, M]."""
    return 1.0 + (1.0 - matrices).sum(-1) - 0.5  # its own half


def mean_ranks(results: Results, problems: Sequence[str]) -> dict[str, Estimate]:
    """The mean rank of every method over ``problems``, on which all of them have results."""
    rows = _with_interval(results, problems, ranks)
    return {method: Estimate(*rows[:, i]) for i, method in enumerate(results)}


def win_rates(results: Results, method: str, other: str) -> tuple[Estimate, int] | None:
    """How often ``method`` beats ``other`` over the problems that both ran, and how many these are."""
    shared = [problem for problem in results[method] if problem in results[other]]
    if not shared:
        return None
    pair = {name: results[name] for name in (method, other)}
    rows = _with_interval(pair, shared, lambda matrices: matrices[..., 0, 1])
    return Estimate(*rows), len(shared)


def relative_regrets(by_problem: Mapping[str, np.ndarray], units: Mapping[str, float]) -> tuple[Estimate, list[float]]:
    """The mean over the problems of one method's median regret in their ``units``, and the values of which it is.

    The problems are a fixed set: the interval is over the seeds.
    """
    return _over_seeds([by_problem[problem] / unit for problem, unit in units.items()], np.median)


def scores(
    by_problem: Mapping[str, np.ndarray], best: Mapping[str, float], typical: Mapping[str, float]
) -> tuple[Estimate, list[float]]:
    """The mean over the problems of one method's mean score, with its interval over the seeds, and its terms.

    A loss scores 100 if it is the ``best`` one, and 0 if it is the ``typical`` one or worse.
    """
    regrets = [(by_problem[p] - best[p]) / (typical[p] - best[p]) for p in typical]
    return _over_seeds([100.0 * (1.0 - np.minimum(regret, 1.0)) for regret in regrets], np.mean)


def _over_seeds(rows: Sequence[np.ndarray], summary: Callable[..., Any]) -> tuple[Estimate, list[float]]:
    """The mean over the problems, a fixed set, of a summary of their seeds f64[S], and the values of which it is."""
    rng = np.random.default_rng(0)
    values = [float(summary(row)) for row in rows]
    drawn = [summary(row[rng.integers(len(row), size=(_NUM_BOOTSTRAPS, len(row)))], axis=1) for row in rows]
    low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    return Estimate(float(np.mean(values)), float(low), float(high)), values


def _with_interval(
    results: Results, problems: Sequence[str], summary: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """f64[3, ...]: the mean over problems of ``summary`` of their win matrices, and the ends of its interval."""
    rng = np.random.default_rng(0)
    mean = summary(win_matrices(results, problems)).mean(0)
    drawn = np.stack([summary(_redrawn(results, problem, rng)) for problem in problems])
    chosen = rng.integers(len(problems), size=(_NUM_BOOTSTRAPS, len(problems)))
    seeds = rng.integers(_NUM_SEED_DRAWS, size=chosen.shape)
    means = drawn[chosen, seeds].mean(1)
    return np.stack([mean, *np.quantile(means, [0.025, 0.975], axis=0)])


def _redrawn(results: Results, problem: str, rng: np.random.Generator) -> np.ndarray:
    """f64[draws, M, M]: the win matrix of one problem for seeds drawn with replacement."""
    drawn = []
    for by_problem in results.values():
        values = by_problem[problem]
        drawn.append(values[rng.integers(len(values), size=(_NUM_SEED_DRAWS, len(values)))])
    matrices = np.full((_NUM_SEED_DRAWS, len(drawn), len(drawn)), 0.5)
    for i, a in enumerate(drawn):
        for j, b in enumerate(drawn[:i]):
            matrices[:, i, j] = win_probability(a, b)
            matrices[:, j, i] = 1.0 - matrices[:, i, j]
    return matrices
