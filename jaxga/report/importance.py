"""Which hyperparameters distinguish the best members: PED-ANOVA."""

import math
from typing import NamedTuple

import numpy as np

from jaxga.runs.history import History
from jaxga.space import Dimension

# As in Optuna's PED-ANOVA: the best tenth has at least 5 members.
MIN_IMPORTANCE = 50
_NUM_CELLS = 10
_NUM_RANDOM = 200


class Importances(NamedTuple):
    """By hyperparameter: its share of the importance, and the 95th percentile of that share in random subsets."""

    shares: dict[str, float]
    by_chance: dict[str, float]


def sample(history: History, size: int = 1000) -> np.ndarray:
    """Rows of members that have a value: all, or the best ``size / 2`` and as many drawn at random from the others."""
    loss = history.loss
    rows = np.flatnonzero(np.isfinite(loss))
    if len(rows) <= size:
        return rows
    order = rows[np.argsort(loss[rows], kind="stable")]
    others = np.random.default_rng(0).permutation(order[size // 2 :])[: size - size // 2]
    return np.sort(np.append(order[: size // 2], others))


def importances(history: History, rows: np.ndarray) -> Importances | None:
    """How much the distribution of the best tenth of these members differs from that of all of them, by hyperparameter.

    The measure is the Pearson divergence; the same is computed for random subsets of as many members (Watanabe, Bansal
    and Hutter, PED-ANOVA, 2023). None for fewer than :data:`MIN_IMPORTANCE` members, for one hyperparameter, and where
    the best tenth does not differ: all values are equal, or each hyperparameter is.
    """
    loss, space = history.loss[rows], history.space
    if len(rows) < MIN_IMPORTANCE or space.size < 2:
        return None
    is_best = loss <= np.sort(loss)[math.ceil(len(loss) / 10) - 1]
    if is_best.all():
        return None
    rng = np.random.default_rng(0)
    chosen = np.stack([is_best, *(rng.permutation(is_best) for _ in range(_NUM_RANDOM))])
    columns = history.columns
    found = {name: _divergences(columns[name][rows], dimension, chosen) for name, dimension in space.items}
    total = sum(divergences[0] for divergences in found.values())
    if not total:
        return None
    return Importances(
        {name: float(divergences[0] / total) for name, divergences in found.items()},
        {name: float(np.percentile(divergences[1:], 95) / total) for name, divergences in found.items()},
    )


def _divergences(column: np.ndarray, dimension: Dimension, chosen: np.ndarray) -> np.ndarray:
    """f64[K]: Pearson divergence of the members in each subset bool[K, N] from all N members.

    By a histogram. Its cells hold equally many of all members, as far as equal values allow: in a cell with few, a
    single member would decide. A categorical dimension has one cell a choice.
    """
    places = dimension.positions(column)
    # Members in which it is inactive have a cell of their own.
    places = np.where(np.isnan(places), dimension.low - 1.0, places)
    cuts = np.unique(places)
    if len(cuts) > _NUM_CELLS and not dimension.is_categorical:
        cuts = np.unique(np.quantile(places, np.linspace(0, 1, _NUM_CELLS + 1)[:-1], method="higher"))
    cells = np.searchsorted(cuts, places, side="right") - 1
    every = np.bincount(cells) / len(cells)
    counts = np.stack([np.bincount(cells[rows], minlength=len(every)) for rows in chosen])
    shares = counts / chosen.sum(1, keepdims=True)
    return ((shares - every) ** 2 / every).sum(1)
