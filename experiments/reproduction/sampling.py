"""A comparison of sampling methods: dense, sparse, random, Sobol, GA, invasive GA."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm

from experiments.reproduction.paired import median, paired
from experiments.reproduction.plots import log_colours, new_picture, space_axes
from experiments.reproduction.samples import genes, largest_hole, nearest, sample_rows, settings
from experiments.reproduction.section import Data, Row, Section, interval, percent, sentence, table
from experiments.reproduction.setups import COMPARED, LABELS
from jaxga.report.plots import STYLE
from jaxga.space import SearchSpace

# The part of the space that counts as good.
_GOOD_SHARE = 0.05


def wanted(is_quick: bool) -> list[tuple[str, str]]:
    """The dense grid, and all methods."""
    return [("mnist-dense", "grid_search"), *(("mnist", method) for method in COMPARED)]


def draw(data: Data) -> Section:
    """The dense grid's losses as a map, and on the same map the points of one search of each method."""
    setup, dense_setup = data.setup("mnist"), data.setup("mnist-dense")
    space, dense = setup.task().space, data.searches("mnist-dense", "grid_search")
    grid = genes(space, dense)[0].reshape(-1, 2)
    losses = np.nanmedian(np.where(np.isfinite(dense.values), dense.values, np.inf), axis=0).ravel()
    good = losses <= np.quantile(losses, _GOOD_SHARE)
    searches = {method: data.searches("mnist", method) for method in COMPARED}
    rows: list[Row] = []
    cells, shares = [], {}
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        picture = new_picture((11, 6.6))
        panels = picture.subplots(2, 3, sharex=True, sharey=True)
        image = _map(panels.flat[0], space, grid, losses)
        panels.flat[0].set_title(f"dense: grid, {dense_setup.num_evaluations} points", fontsize=11)
        for axes, (method, found) in zip(panels.flat[1:], searches.items(), strict=True):
            _map(axes, space, grid, losses)
            units = genes(space, found).reshape(len(found.fresh), -1, 2)
            points = [column[0].ravel() for column in found.settings.values()]
            axes.scatter(*points, s=14, c="white", ec="black", lw=0.7, clip_on=False)
            name = "sparse: grid" if method == "grid_search" else LABELS[method]
            axes.set_title(f"{name}, {setup.num_evaluations} points", fontsize=11)
            shares[method] = np.array([good[nearest(grid, of_search)].mean() for of_search in units])
            holes = np.array([largest_hole(of_search) for of_search in units])
            cells.append([name, *(interval(median(values)) for values in (100 * shares[method], holes, found.fresh))])
            rows += sample_rows("mnist", method, found, 0)
        for axes in panels[0]:
            axes.set_xlabel("")
        for axes in panels[:, 1:].flat:
            axes.set_ylabel("")
        log_colours(picture, panels, image, "validation loss on the dense grid", shrink=0.7, extend="max")
    cells.insert(0, [f"dense: grid ({dense_setup.num_evaluations})", "-", "-", interval(median(dense.fresh))])
    header = ["method", f"% of points in the best {100 * _GOOD_SHARE:.0f} %", "largest hole", "winner on fresh seeds"]
    more = paired(-shares["invasive_ga"], -shares["ga"])
    rows += [
        {"setup": "mnist-dense", "method": "dense", "series": "map", "search": -1, "loss": loss}
        | dict(zip(space.names, point, strict=True))
        for point, loss in zip(settings(dense), losses, strict=True)
    ]
    found_lines = [
        f"{setup.num_searches} searches a method, {dense_setup.num_searches} dense grids. Largest hole: the distance,"
        " in the unit square, from a place to its nearest sample, the greatest over the square. Medians over the"
        " searches, in brackets their 95 % bootstrap intervals.",
        *table(header, cells),
        f"- {sentence(searches, 'ga', 'grid_search')}",
        f"- {sentence(searches, 'invasive_ga', 'grid_search')}",
        f"- The invasive GA puts more points into the best part than the GA in {percent(more.win_rate)} of searches.",
    ]
    return Section(picture, rows, found_lines)


def _map(axes: Axes, space: SearchSpace, grid: np.ndarray, losses: np.ndarray) -> QuadMesh:
    """The losses of a full grid, its first gene the fastest."""
    first, second = (np.unique(grid[:, i].round(6)) for i in range(2))
    x, y = ([dimension.decode(u) for u in us] for (_, dimension), us in zip(space.items, (first, second), strict=True))
    shown = np.where(np.isfinite(losses), losses, np.nan).reshape(len(y), len(x))
    norm = LogNorm(float(np.nanmin(shown)), float(np.nanquantile(shown, 0.95)))
    image = axes.pcolormesh(x, y, shown, norm=norm, cmap="viridis_r", shading="nearest", rasterized=True)
    space_axes(axes, space)
    return image
