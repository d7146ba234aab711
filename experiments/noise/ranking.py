"""How many seeds rank two settings rightly."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import PercentFormatter

from experiments.comparison.statistics import Estimate
from experiments.noise.resampling import best_quarter, estimates, pairs_ranked
from experiments.noise.setups import Setup
from experiments.noise.trainings import Trainings
from experiments.reproduction.plots import new_picture
from experiments.reproduction.section import Section, percent, table
from jaxga.report.plots import STYLE

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def draw(trained: Mapping[Setup, Trainings]) -> Section:
    """Two panels, all settings and the best quarter: the share of pairs ranked rightly against the seeds."""
    counts = [k for k in (1, 2, 3, 4, 6) if k <= 3 * next(iter(trained)).num_seeds // 8]
    rows, cells = [], []
    with mpl.rc_context(STYLE):
        picture = new_picture((10.5, 3.9))
        panels = picture.subplots(1, 2, sharey=True)
        for axes, which, chosen in zip(
            panels, ("all settings", "the best quarter"), (lambda t: t, best_quarter), strict=True
        ):
            for colour, (setup, trainings) in zip(_COLOURS, trained.items(), strict=False):
                each = estimates(chosen(trainings), lambda t, *rest: [pairs_ranked(t, k, *rest) for k in counts])
                share = Estimate(*np.transpose(each))
                axes.plot(counts, share.mean, "o-", color=colour, label=setup.title)
                axes.fill_between(counts, share.low, share.high, color=colour, alpha=0.15, lw=0)
                cells.append([setup.title, which, *map(percent, each)])
                rows += [
                    {"environment": setup.name, "settings": which, "seeds": k, **e._asdict()}
                    for k, e in zip(counts, each, strict=True)
                ]
            axes.set(xlabel="seeds a setting", title=f"pairs of {which}", xticks=counts)
        panels[0].set_ylabel("ranked as by the held-out seeds")
        panels[0].yaxis.set_major_formatter(PercentFormatter(1.0))
        panels[0].legend(loc="lower right")  # the other panel is full of bands
    header = ["environment", "settings", *[f"{k} seed{'s' * (k > 1)}" for k in counts]]
    found = [
        "Two settings are drawn; one that has the better mean of so many seeds also has the better mean of the held-out"
        " seeds in this share of the pairs (50 %: by chance). Pairs that the held-out seeds do not tell apart are left"
        " out.",
        *table(header, cells),
    ]
    return Section(picture, rows, found)
