"""What the members of a run show in numbers: quartiles, the winner's row, the share of invaders among the best."""

import math
from typing import Any, NamedTuple

import numpy as np

from jaxga.runs.history import HEIR, History, has_setting

# 95 % of a normal distribution lie within this many standard deviations of its mean.
Z = 1.959964


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    estimate: float
    low: float
    high: float


def quartiles(values: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """f64[3, G]: quartiles of the finite values of each group of rows, NaN for a group without one."""
    finite = [values[rows][np.isfinite(values[rows])].astype(float) for rows in groups]
    return np.array([np.percentile(v, [25, 50, 75]) if v.size else [math.nan] * 3 for v in finite]).T


def has_estimates(history: History) -> bool:
    """Whether the search's estimate of its best setting ever differed from the best value of a single member.

    It does with noise, where a model forecasts what unfinished trainings will be worth, and after a warm start.
    """
    estimates = history.estimates
    known = np.isfinite(estimates)
    return _differ(estimates[known], history.best_evaluations[known])


def is_noisy(history: History) -> bool:
    """Whether trainings of one setting gave different values: replicates, or members scored at the same share of it."""
    columns = history.scored.columns
    # The value of an heir depends on the settings before its last one.
    rows = np.isfinite(columns["value"]) & (columns["species"] != HEIR)
    value, spread = (columns[name][rows].astype(float) for name in ("value", "spread"))
    if _differ(value + spread, value):
        return True
    genes = [dimension.positions(columns[name][rows]) for name, dimension in history.space.items]
    genes = np.nan_to_num(np.stack(genes), nan=-np.inf)  # what is inactive is equal to itself
    share = columns["trained"][rows] if "trained" in columns else np.ones(len(value))
    order = np.lexsort((value, share, *genes))
    trained, value = np.stack([share, *genes])[:, order], value[order]
    is_same = (trained[:, 1:] == trained[:, :-1]).all(axis=0)
    return _differ(value[1:][is_same], value[:-1][is_same])


def fresh_seeds(values: np.ndarray) -> str:
    """How many fresh seeds gave values f32[N], and how many of them failed.

    >>> fresh_seeds(np.array([1.0, np.nan]))
    '2 fresh seeds, of which 1 failed'
    """
    num, num_failed = len(values), int((~np.isfinite(values)).sum())
    return f"{num} fresh seed{'s' * (num > 1)}" + (f", of which {num_failed} failed" if num_failed else "")


def deviation(values: np.ndarray) -> str:
    """The standard deviation of at least two values, a dash where one of them failed."""
    return f"{float(np.std(values, ddof=1)):.2g}" if np.isfinite(values).all() else "-"


def _differ(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether numbers differ by more than rounding, which another program of the same training may do otherwise."""
    return not np.allclose(a, b, rtol=1e-5, atol=0.0)


def winner_row(history: History, setting: dict[str, Any] | None) -> int | None:
    """The row of the winner's best evaluation; None where ``setting`` is None, or has no value in this history.

    A winner whose value the search was given at its start need not have been evaluated again.
    """
    if setting is None:
        return None
    loss = np.where(has_setting(history.columns, setting), history.loss, np.inf)
    return int(np.argmin(loss)) if np.isfinite(loss).any() else None


def best_row(history: History) -> int:
    """The row of the best value."""
    return int(np.argmin(history.loss))


def best_members(history: History) -> list[np.ndarray]:
    """The rows of the best members up to each generation, at most as many as the largest generation has."""
    groups, loss = history.generations, history.loss
    size, best, found = max(map(len, groups)), np.array([], int), []
    for rows in groups:
        best = np.concatenate([best, rows[np.isfinite(loss[rows])]])
        best = best[np.argsort(loss[best], kind="stable")][:size]
        found.append(best)
    return found


class Invasion(NamedTuple):
    """How many of the best members are invaders.

    Attributes:
        num_best: children and invaders among the best members.
        share: invaders among these, in [0, 1], with Wilson's interval.
        expected: the share if the children and invaders of one generation were equally likely among the best.
    """

    num_best: int
    share: Interval
    expected: float


def invasion(history: History) -> Invasion | None:
    """Whether invaders are among the best more often than children of the same generation; None without both species.

    Generations are compared one by one, because later members of either species are better than earlier ones.
    """
    species = history.columns["species"]
    is_best = np.zeros(len(species), bool)
    is_best[best_members(history)[-1]] = True
    num_best, num_invaders, expected = 0, 0, 0.0
    is_mixed = False
    for rows in history.generations:
        invades, bred = species[rows] == "invader", np.isin(species[rows], ("invader", "child"))
        if invades.any() and (bred & ~invades).any():
            is_mixed = True
            num_best += int((bred & is_best[rows]).sum())
            num_invaders += int((invades & is_best[rows]).sum())
            expected += (bred & is_best[rows]).sum() * invades.sum() / bred.sum()
    if not is_mixed:
        return None
    return Invasion(num_best, wilson(num_invaders, num_best), float(expected / num_best) if num_best else math.nan)


def wilson(count: int, total: int) -> Interval:
    """Wilson's score interval of a share (Wilson, 1927); [0, 1] where ``total`` is 0."""
    if not total:
        return Interval(math.nan, 0.0, 1.0)
    share, square = count / total, Z**2 / total
    centre = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * math.sqrt(share * (1 - share) / total + square / (4 * total))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))
