"""How much the returns of one setting vary over the seeds."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np

from experiments.noise.resampling import best_quarter, estimates
from experiments.noise.setups import Setup
from experiments.noise.trainings import Trainings
from experiments.reproduction.plots import new_picture
from experiments.reproduction.section import Section, interval, percent, table
from jaxga.report.plots import STYLE


def draw(trained: Mapping[Setup, Trainings]) -> Section:
    """A panel an environment: every setting in the order of its mean, with all its seeds."""
    rows, cells = [], []
    with mpl.rc_context(STYLE):
        picture = new_picture((5.2 * len(trained), 3.9))
        for axes, (setup, trainings) in zip(
            picture.subplots(1, len(trained), squeeze=False)[0], trained.items(), strict=True
        ):
            order = np.argsort(-trainings.values.mean(1))
            values = trainings.values[order]
            x = np.broadcast_to(1 + np.arange(len(values))[:, None], values.shape)
            axes.scatter(x, values, s=4, color="#0072B2", alpha=0.3, lw=0, label="one seed")
            axes.plot(x[:, 0], values.mean(1), color="#D55E00", lw=2, label="mean")
            axes.set(xlabel="settings, the best first", title=setup.title)
            rows += [
                {"environment": setup.name, "place": place, "setting": setting, "mean": m, "std": s}
                for place, (setting, m, s) in enumerate(
                    zip(order.tolist(), values.mean(1).tolist(), values.std(1, ddof=1).tolist(), strict=True), 1
                )
            ]
            cells.append(_cells(setup, trainings))
        picture.axes[0].set_ylabel("mean return of greedy episodes")
        picture.axes[0].legend(loc="lower left", markerscale=3)
    header = [
        "environment",
        "std over seeds: all",
        "best quarter",
        "the seed's share of the variance: all",
        "best quarter",
    ]
    found = [
        "The standard deviation over the seeds of one setting, the median over the settings; and the part of the"
        " variance of all returns that the settings do not explain.",
        *table(header, cells),
    ]
    return Section(picture, rows, found)


def _cells(setup: Setup, trainings: Trainings) -> list[str]:
    good = best_quarter(trainings)
    both = [
        estimates(some, lambda t, *_: [std_over_seeds(t.values), seed_share(t.values)]) for some in (trainings, good)
    ]
    stds, shares = zip(*both, strict=True)
    return [setup.title, *map(interval, stds), *map(percent, shares)]


def std_over_seeds(values: np.ndarray) -> float:
    """The standard deviation over the seeds of returns f32[N, S], the median over the settings."""
    return float(np.median(values.std(1, ddof=1)))


def seed_share(values: np.ndarray) -> float:
    """The part of the variance of returns f32[N, S] that is between the seeds of one setting, in [0, 1].

    Analysis of variance: the variance of the settings' means has a part S-th of that between the seeds in it.
    """
    within = values.var(1, ddof=1).mean()
    between = max(values.mean(1).var(ddof=1) - within / values.shape[1], 0.0)
    return float(within / (within + between))
