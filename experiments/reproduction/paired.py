"""Statistics of searches; search ``i`` of two methods has the same key and the same fresh seeds."""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from experiments.comparison.statistics import Estimate

_NUM_BOOTSTRAPS = 10_000
# The loss of a winner that failed: far above any that did not.
_FAILED = 1e9


class Paired(NamedTuple):
    """Attributes:
    win_rate: how often the first has the lower loss; a tie is half a win.
    gain: by how much, the median.
    p_value: of the exact sign test, two-sided, without the ties.
    """

    win_rate: Estimate
    gain: Estimate
    p_value: float

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` where the win rate's interval leaves a half out and the sign test agrees.

        The test is for few searches: of five that are all won the bootstrap gives an interval without width.
        """
        if self.p_value < 0.05 and not self.win_rate.low <= 0.5 <= self.win_rate.high:
            return "better" if self.win_rate.mean > 0.5 else "worse"
        return "no difference shown"


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
    """Of losses f64[S] and f64[S], with 95 % bootstrap intervals over the searches."""
    gains = _difference(first, second)
    wins = (np.sign(gains) + 1.0) / 2.0
    rows = np.random.default_rng(0).integers(len(wins), size=(_NUM_BOOTSTRAPS, len(wins)))
    return Paired(
        Estimate(float(wins.mean()), *_bounds(wins[rows].mean(1))),
        Estimate(float(np.median(gains)), *_bounds(np.median(gains[rows], axis=1))),
        _sign_test(int((gains > 0).sum()), int((gains < 0).sum())),
    )


def median(values: np.ndarray) -> Estimate:
    """The median of values f64[S], NaN for a failed search left out, with its 95 % bootstrap interval."""
    kept = values[~np.isnan(values)]
    rows = np.random.default_rng(0).integers(len(kept), size=(_NUM_BOOTSTRAPS, len(kept)))
    return Estimate(float(np.median(kept)), *_bounds(np.median(kept[rows], axis=1)))


def _difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``second - first``; 0 where both have failed, and ``_FAILED`` at most, so that medians stay numbers."""
    return np.minimum(second, _FAILED) - np.minimum(first, _FAILED)


def _sign_test(num_wins: int, num_losses: int) -> float:
    num = num_wins + num_losses
    return float(binomtest(num_wins, num).pvalue) if num else 1.0


def _bounds(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)
