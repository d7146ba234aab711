"""What the members of a run say in numbers: quartiles, species, surrogate, hyperparameters."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxga.space import Categorical, Dimension

if TYPE_CHECKING:
    from jaxga.report.table import Table  # which needs pyarrow


# Two sides of the normal distribution leave 5 % beyond it.
_Z = 1.959964
# Optuna's figure for PED-ANOVA: at least 5 of them in the best tenth.
MIN_IMPORTANCE = 50
_NUM_CELLS = 10
_NUM_RANDOM = 200
_NUM_NOISES = 20


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    estimate: float
    low: float
    high: float


def spans_decades(values: np.ndarray, direction: str = "max") -> bool:
    """Whether values need a logarithmic axis, and can have one: all are above 0, and they span enough.

    A logarithm opens the low end, where the best values of a minimised objective lie: one decade is enough there.
    It closes the high end, so that anything else has to span two.
    """
    values = values[np.isfinite(values)].astype(float)
    return bool(values.size) and values.min() > 0 and values.max() > (10 if direction == "min" else 100) * values.min()


def log_ticks(values: np.ndarray, most: int = 8) -> tuple[list[float], list[str]]:
    """At most so many ticks between the least and the greatest value, and their texts.

    1, 2 and 5 of each decade where that is few enough, else each decade, or every second, and so on.
    """
    finite = values[np.isfinite(values)].astype(float)
    low, high = float(finite.min()), float(finite.max())
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks: list[tuple[int, int]] = []
    for mantissas, step in [((1, 2, 5), 1), *(((1,), step) for step in range(1, last - first + 1))]:
        ticks = [(m, decade) for decade in range(first, last + 1, step) for m in mantissas]
        # What float32 takes from a bound does not take its tick.
        ticks = [(m, d) for m, d in ticks if low * (1 - 1e-5) <= m * 10.0**d <= high * (1 + 1e-5)]
        if len(ticks) <= most:
            break
    if len(ticks) < 2:
        return [low, high], [f"{low:.4g}", f"{high:.4g}"]
    return [m * 10.0**d for m, d in ticks], [_power(m, d) for m, d in ticks]


def _power(mantissa: int, decade: int) -> str:
    if -5 < decade < 6:
        return f"{mantissa * 10.0**decade:,.{max(0, -decade)}f}"
    power = "10" + str(decade).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if mantissa == 1 else f"{mantissa}·{power}"


def shortened(text: str, width: int = 32) -> str:
    """A text of at most ``width`` characters, its middle left out."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"


def quartiles(values: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """f64[3, G], quartiles of the finite values of each group of rows, NaN where it has none."""
    finite = [values[rows][np.isfinite(values[rows])].astype(float) for rows in groups]
    return np.array([np.percentile(v, [25, 50, 75]) if v.size else [math.nan] * 3 for v in finite]).T


def choice_places(column: np.ndarray, dimension: Categorical) -> np.ndarray:
    """i64[N], the place of each value among the choices; a column of words and others has words alone."""
    if dimension.is_numeric:
        return np.array([round(dimension.encode(value) * dimension.num_levels - 0.5) for value in column.tolist()])
    place = {str(choice): i for i, choice in enumerate(dimension.choices)}
    return np.array([place[str(value)] for value in column.tolist()])


# --- species ---


class Invasion(NamedTuple):
    """Attributes:
    num_best: bred members, invaders or children, among the best.
    share: of invaders among them, a part of 1, with Wilson's interval.
    expected: the share if the members of a generation were equally likely among the best, whoever bred them.
    """

    num_best: int
    share: Interval
    expected: float


def best_so_far(table: "Table") -> list[np.ndarray]:
    """Rows of the best members up to each generation, as many as the largest has, at most."""
    groups, loss = table.generations, table.loss
    size, best, found = max(map(len, groups)), np.array([], int), []
    for rows in groups:
        best = np.concatenate([best, rows[np.isfinite(loss[rows])]])
        best = best[np.argsort(loss[best], kind="stable")][:size]
        found.append(best)
    return found


def invasion(table: "Table") -> Invasion | None:
    """Whether invaders are more often among the best than children of the same generations; None without both.

    Compared within generations: a late member is better than an early one whoever bred it.
    """
    species = table.columns["species"]
    is_best = np.zeros(len(species), bool)
    is_best[best_so_far(table)[-1]] = True
    num_best, num_invaders, expected = 0, 0, 0.0
    is_mixed = False
    for rows in table.generations:
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
    """Wilson's score interval of a share (Wilson, 1927); all of [0, 1] where there is nothing to count."""
    if not total:
        return Interval(math.nan, 0.0, 1.0)
    share, square = count / total, _Z**2 / total
    centre = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * math.sqrt(share * (1 - share) / total + square / (4 * total))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


# --- surrogate ---


class Ranking(NamedTuple):
    """How well the surrogate orders the members of one generation, by Spearman's rank correlation.

    Attributes:
        numbers: i64[G], the generations that can be judged, from 0.
        correlations: f64[G].
        pooled: their mean, weighted by their sizes less one; NaN where there are too few.
        num_members: in these generations.
        overall: the correlation over all of them together.
        ceiling: about the most that the noise between replicates leaves to a perfect surrogate (1 where they
            agree); NaN where a member is trained once.
    """

    numbers: np.ndarray
    correlations: np.ndarray
    pooled: Interval
    num_members: int
    overall: float
    ceiling: float


def ranking(table: "Table") -> Ranking | None:
    """Predicted against observed; None where no member was predicted."""
    predicted, value = table.columns["predicted"].astype(float), table.columns["value"].astype(float)
    known = np.isfinite(predicted) & np.isfinite(value)
    if not known.any():
        return None
    numbers, correlations, sizes, ceilings = [], [], [], []
    rng = np.random.default_rng(0)
    for rows in table.generations:
        rows = rows[known[rows]]
        correlation = rank_correlation(predicted[rows], value[rows])
        if math.isfinite(correlation):
            numbers.append(int(table.columns["generation"][rows[0]]))
            correlations.append(correlation)
            sizes.append(len(rows))
            noise = table.columns["spread"][rows] / np.sqrt(table.columns["replicates"][rows])
            ceilings.append(_ceiling(value[rows], noise.astype(float), rng))
    weights = np.array(sizes) - 1
    pooled, ceiling = Interval(math.nan, math.nan, math.nan), math.nan
    if weights.sum() > 5:
        pooled = _pooled(np.array(correlations), weights)
        if table.columns["replicates"].max() > 1:
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
    """Spearman's; NaN of fewer than three pairs, or where one side is constant."""
    ranks = [_ranks(values) for values in (x, y)]
    if len(x) < 3 or any(np.ptp(rank) == 0 for rank in ranks):
        return math.nan
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _pooled(correlations: np.ndarray, weights: np.ndarray) -> Interval:
    """Mean of rank correlations and its interval by Fisher's z; each weighs as many as its pairs less one.

    The variance is that of Bonett and Wright (2000), or of the mean over the generations where they differ by more.
    """
    total = weights.sum()
    mean = float(np.average(correlations, weights=weights))
    deviations = weights * (correlations - mean) / total
    mean = max(-0.999999, min(0.999999, mean))
    within = (1 + mean**2 / 2) / (total - 2)
    between = (deviations**2).sum() / (1 - mean**2) ** 2
    z, half = math.atanh(mean), _Z * math.sqrt(max(within, between))
    return Interval(mean, math.tanh(z - half), math.tanh(z + half))


def _ceiling(value: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> float:
    """The rank correlation that noise-free values have with the observed ones, about.

    The noise is added once more, and the correlation c of once and twice noisy values is found. For normal values
    c^2 = V / (V + N) of the variance V and its part N that is noise, and what is asked for is sqrt(1 - N / V). Of
    ranks, as one bad member with a large noise would decide of variances.

    Args:
        value: f64[N], as observed.
        noise: f64[N], the standard error of each.
        rng: draws the noise.
    """
    found = [rank_correlation(value, value + noise * rng.normal(size=len(value))) for _ in range(_NUM_NOISES)]
    again = float(np.mean(np.nan_to_num(found)))
    return math.sqrt(max(0.0, 2 - again**-2)) if again > 0 else 0.0


# --- hyperparameters ---


class Importances(NamedTuple):
    """By hyperparameter: its share of the importance, and the share below which 95 of 100 random choices are."""

    shares: dict[str, float]
    by_chance: dict[str, float]


def sample(table: "Table", size: int = 1000) -> np.ndarray:
    """Rows of the members that have a value: of more than ``size`` the best half of it, and as many of the others."""
    rows = np.flatnonzero(np.isfinite(table.loss))
    if len(rows) <= size:
        return rows
    order = rows[np.argsort(table.loss[rows], kind="stable")]
    others = np.random.default_rng(0).permutation(order[size // 2 :])[: size - size // 2]
    return np.sort(np.append(order[: size // 2], others))


def importances(table: "Table", rows: np.ndarray) -> Importances | None:
    """How far the best tenth of these members lie otherwise than all of them: PED-ANOVA.

    The Pearson divergence of the best from all, by hyperparameter; beside it that of as many members chosen at random
    (Watanabe, Bansal and Hutter, PED-ANOVA, 2023). None where there are fewer than :data:`MIN_IMPORTANCE` members,
    one hyperparameter, or the best tenth cannot be told.
    """
    loss = table.loss[rows]
    if len(rows) < MIN_IMPORTANCE or table.space.size < 2:
        return None
    is_best = loss <= np.sort(loss)[math.ceil(len(loss) / 10) - 1]
    if is_best.all():
        return None
    rng = np.random.default_rng(0)
    chosen = np.stack([is_best, *(rng.permutation(is_best) for _ in range(_NUM_RANDOM))])
    found = {name: _divergences(table.columns[name][rows], dimension, chosen) for name, dimension in table.space.items}
    total = sum(divergences[0] for divergences in found.values())
    return Importances(
        {name: float(divergences[0] / total) for name, divergences in found.items()},
        {name: float(np.percentile(divergences[1:], 95) / total) for name, divergences in found.items()},
    )


def _divergences(column: np.ndarray, dimension: Dimension, chosen: np.ndarray) -> np.ndarray:
    """f64[K], Pearson divergence of each choice bool[K, N] of the members' values from all of them.

    By a histogram whose cells have as many of all members each, as far as equal values allow: where a density is
    low, a single member would decide. A categorical dimension has a cell a choice.
    """
    if isinstance(dimension, Categorical):
        column = choice_places(column, dimension)
    cuts = np.unique(column)
    if len(cuts) > _NUM_CELLS and not isinstance(dimension, Categorical):
        cuts = np.unique(np.quantile(column, np.linspace(0, 1, _NUM_CELLS + 1)[:-1], method="higher"))
    cells = np.searchsorted(cuts, column, side="right") - 1
    every = np.bincount(cells) / len(cells)
    shares = np.stack([np.bincount(cells[rows], minlength=len(every)) / rows.sum() for rows in chosen])
    return ((shares - every) ** 2 / every).sum(1)
