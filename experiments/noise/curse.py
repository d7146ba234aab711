"""The winner's curse: what a search shows of its winner, and what the winner is worth."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np

from experiments.noise.resampling import best_of, drawer, estimates
from experiments.noise.setups import Setup
from experiments.noise.trainings import Trainings
from experiments.reproduction.plots import new_picture
from experiments.reproduction.section import Section, interval, table
from jaxga.report.plots import STYLE

_SETTINGS = (8, 32)


def draw(trained: Mapping[Setup, Trainings]) -> Section:
    """A panel an environment: shown and true value of the best of n settings against the seeds."""
    counts = [k for k in (1, 3, 5) if k <= next(iter(trained)).num_seeds // 2]
    pairs = [(n, k) for n in _SETTINGS for k in counts]
    rows, cells = [], []
    with mpl.rc_context(STYLE):
        picture = new_picture((3.6 * len(trained), 3.6))
        for axes, (setup, trainings) in zip(
            picture.subplots(1, len(trained), squeeze=False)[0], trained.items(), strict=True
        ):

            def statistic(t: Trainings, num: int, rng: np.random.Generator) -> np.ndarray:
                found = [best_of(drawer(t, num, rng)(n), k) for n, k in pairs]
                return np.concatenate([(f.shown.mean(), f.true.mean(), f.shown.mean() - f.true.mean()) for f in found])

            flat = iter(estimates(trainings, statistic))
            each = dict(zip(pairs, zip(flat, flat, flat, strict=True), strict=True))
            for (n, k), (shown, true, excess) in each.items():
                cells.append([setup.title, str(n), str(k), *map(interval, (shown, true, excess))])
                start = {"environment": setup.name, "settings": n, "seeds": k}
                rows += [{**start, "value": name, **e._asdict()} for name, e in (("shown", shown), ("true", true))]
            for n, colour in zip(_SETTINGS, ("#0072B2", "#D55E00"), strict=True):
                for j, (what, style) in enumerate((("shown", "o--"), ("true", "o-"))):
                    middle, low, high = np.transpose([each[n, k][j] for k in counts])
                    axes.plot(counts, middle, style, color=colour, label=f"best of {n}, {what}")
                    axes.fill_between(counts, low, high, color=colour, alpha=0.12, lw=0)
            axes.set(xlabel="seeds a setting", title=setup.title, xticks=counts)
        picture.axes[0].set_ylabel("mean return of greedy episodes")
        picture.axes[0].legend(loc="lower right")
    header = ["environment", "settings", "seeds each", "shown", "true", "excess"]
    return Section(picture, rows, table(header, cells))
