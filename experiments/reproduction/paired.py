"""Paired statistics: search ``i`` of two methods has the same key and the same fresh seeds."""

from typing import NamedTuple

import numpy as np

from experiments.comparison.statistics import Estimate

_NUM_BOOTSTRAPS = 10_000
# The loss of a winner that failed: far above any that did not.
_FAILED = 1e9


class Paired(NamedTuple):
    """``win_rate``: how often the first has the lower loss, a tie half a win; ``gain``: by how much, the median."""

    win_rate: Estimate
    gain: Estimate

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, or ``no difference shown`` where the interval of the win rate holds a half."""
        if self.win_rate.low > 0.5:
            return "better"
        return "worse" if self.win_rate.high < 0.5 else "no difference shown"


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
    """Of losses f64[S] and f64[S], with 95 % bootstrap intervals over the searches."""
    gains = _difference(first, second)
    wins = (np.sign(gains) + 1.0) / 2.0
    rows = np.random.default_rng(0).integers(len(wins), size=(_NUM_BOOTSTRAPS, len(wins)))
    return Paired(
        Estimate(float(wins.mean()), *_bounds(wins[rows].mean(1))),
        Estimate(float(np.median(gains)), *_bounds(np.median(gains[rows], axis=1))),
    )


def _difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``second - first``; 0 where both have failed, and ``_FAILED`` at most, so that medians stay numbers."""
    return np.minimum(second, _FAILED) - np.minimum(first, _FAILED)


def _bounds(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)
