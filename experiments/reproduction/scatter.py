"""Random samples against those of the genetic algorithms, over the search space."""

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm

from experiments.reproduction.paired import median, paired
from experiments.reproduction.plots import log_colours, new_picture, space_axes
from experiments.reproduction.samples import sample_rows
from experiments.reproduction.section import Data, Row, Section, interval, percent, sentence, table
from experiments.reproduction.setups import LABELS
from jaxga.report.plots import STYLE

_SCATTERED = ("random_search", "ga", "invasive_ga")


def wanted(is_quick: bool) -> list[tuple[str, str]]:
    """Random search and the two genetic algorithms."""
    return [("mnist", method) for method in _SCATTERED]


def draw(data: Data) -> Section:
    """All members of one search of each method over the space, coloured by their loss."""
    setup = data.setup("mnist")
    space = setup.task().space
    searches = {method: data.searches("mnist", method) for method in _SCATTERED}
    finite = np.concatenate([found.values[0].ravel() for found in searches.values()])
    limit = float(np.nanquantile(searches["random_search"].values, 0.1))
    norm = LogNorm(float(np.nanmin(finite)), float(np.nanquantile(finite, 0.9)))
    rows: list[Row] = []
    cells = []
    with mpl.rc_context(STYLE):
        picture = new_picture((11, 3.9))
        panels = picture.subplots(1, len(searches), sharey=True)
        for axes, (method, found) in zip(panels, searches.items(), strict=True):
            x, y = (column[0].ravel() for column in found.settings.values())
            losses = np.where(np.isfinite(found.values[0]), found.values[0], np.inf).ravel()
            axes.scatter(x, y, c=losses, cmap="viridis_r", norm=norm, s=26, ec="black", lw=0.4, clip_on=False)
            best = int(losses.argmin())
            axes.scatter(x[best], y[best], s=190, c="#F0E442", marker="*", ec="black", lw=0.9, zorder=5)
            space_axes(axes, space)
            axes.set_title(f"{len(losses)} samples: {LABELS[method]}", fontsize=11)
            rows += sample_rows("mnist", method, found, 0)
        for axes in panels[1:]:
            axes.set_ylabel("")
        log_colours(
            picture, panels, ScalarMappable(norm, "viridis_r"), "validation loss (star: the best)", extend="max"
        )
    good = {m: (found.values <= limit).mean((1, 2)) for m, found in searches.items()}
    more = {m: percent(paired(-good[m], -good["random_search"]).win_rate) for m in ("ga", "invasive_ga")}
    for method, found in searches.items():
        medians = np.nanmedian(found.values, axis=(1, 2))
        cells.append(
            [LABELS[method], *(interval(median(values)) for values in (medians, 100 * good[method], found.fresh))]
        )
    header = ["method", "median loss of a search", f"% of samples below {limit:.3g}", "winner on fresh seeds"]
    found_lines = [
        f"{setup.num_searches} searches a method, {setup.num_evaluations} samples each; the first one is drawn."
        f" A loss of {limit:.3g} is the best tenth of all random samples. Medians over the searches, in"
        " brackets their 95 % bootstrap intervals.",
        *table(header, cells),
        f"- Good samples: GA has more than random in {more['ga']} of searches, invasive GA in {more['invasive_ga']}.",
        f"- {sentence(searches, 'ga', 'random_search')}",
        f"- {sentence(searches, 'invasive_ga', 'random_search')}",
    ]
    return Section(picture, rows, found_lines)
