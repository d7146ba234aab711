"""Figures of a run for papers and notebooks, by matplotlib: convergence, and the search space by species."""

import io
import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from jaxga.base import Species
from jaxga.report.axes import log_ticks, shortened, spans_decades, whole_range
from jaxga.report.findings import best_row, has_estimates, quartiles, winner_row
from jaxga.runs.draft import draft
from jaxga.runs.history import History

# Okabe and Ito's colours, which colour-blind readers can distinguish; the markers differ in black and white too.
_LOOKS = {
    Species.FOUNDER: ("#999999", "o"),
    Species.CHILD: ("#0072B2", "s"),
    Species.INVADER: ("#D55E00", "^"),
    Species.SURVIVOR: ("#009E73", "D"),
    Species.HEIR: ("#CC79A7", "v"),
}
# For every figure of the project.
STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.dpi": 150,
    "savefig.bbox": "tight",
}
# An SVG file with more shapes takes a browser seconds to show.
_MAX_SHAPES = 5000


class NotebookFigure(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def convergence_figure(history: History, title: str = "") -> Figure:
    """The estimate of the best setting, the quartiles of each generation, the best evaluation where it differs."""
    x, estimates, objective = history.numbers + 1, history.estimates, history.objective
    low, middle, high = quartiles(history.columns["value"], history.generations)
    shown = [low, middle, high, estimates]
    marker = {"marker": "o", "ms": 3.5}
    with mpl.rc_context(STYLE):
        figure = NotebookFigure(figsize=(6.4, 4), layout="constrained")
        axes = figure.subplots()
        axes.fill_between(x, low, high, color="#0072B2", alpha=0.18, lw=0)
        point = "." if len(x) == 1 else ""  # one point makes no visible line
        axes.plot(x, middle, color="#0072B2", label="median and quartiles of a generation", marker=point)
        label = "best so far"
        if has_estimates(history):
            best, label = history.best_evaluations, "estimate of the best setting"
            shown.append(best)
            axes.plot(x, best, color="#666666", lw=1, ls=":", label="best single evaluation", **marker)
        axes.plot(x, estimates, color="#D55E00", lw=2, label=label, **marker)
        if spans_decades(np.concatenate(shown), objective.direction):
            _log_axis(axes, "y", np.concatenate(shown))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(
            xlim=(x.min() - 0.5, x.max() + 0.5),
            xlabel="generation",
            ylabel=_text(objective.name),
            title=_title(title, 60),
        )
        axes.legend()
    return figure


def search_space_figure(history: History, best: dict[str, Any] | None = None, title: str = "") -> Figure:
    """Every member by species: on a map of two hyperparameters, else in one panel a hyperparameter.

    A star marks the best evaluation of the setting ``best``; that of all members where it is None or was not evaluated.
    """
    space, objective, columns = history.space, history.objective, history.columns
    row = winner_row(history, best)
    star = best_row(history) if row is None else row
    places = {name: dimension.positions(columns[name]) for name, dimension in space.items}
    value = np.where(np.isfinite(columns["value"]), columns["value"], np.nan).astype(float)
    with mpl.rc_context(STYLE):
        if space.size == 2:
            figure = NotebookFigure(figsize=(6.4, 4.8), layout="constrained")
            axes = figure.subplots()
            name_x, name_y = space.names
            _scatter(axes, columns, places[name_x], places[name_y], star)
            _label(axes, history, name_x, "x")
            _label(axes, history, name_y, "y")
            figure.legend(loc="outside right center")
            axes.set_title(_title(title, 60))
            return figure
        num_columns = min(4, space.size)
        num_rows = -(-space.size // num_columns)
        shape = (max(5.0, 3.2 * num_columns), 2.7 * num_rows + 0.6)
        figure = NotebookFigure(figsize=shape, layout="constrained")
        grid = figure.subplots(num_rows, num_columns, squeeze=False)
        for axes, name in zip(grid.flat, space.names, strict=False):
            _scatter(axes, columns, places[name], value, star)
            _label(axes, history, name, "x", most=4)
            if spans_decades(value, objective.direction):
                _log_axis(axes, "y", value)
        for axes in grid[:, 0]:
            axes.set_ylabel(_text(objective.name, 24))
        for axes in grid.flat[space.size :]:
            axes.set_axis_off()
        entries: dict[str, Any] = {}
        for axes in grid.flat[: space.size]:
            entries |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(entries.values(), entries, loc="outside lower center", ncols=min(3, len(entries)))
        figure.suptitle(_title(title, int(11 * shape[0])))
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write ``path`` as PNG and SVG, each complete or not at all.

    Each is drawn once, and the first drawing computes the layout of both: ``savefig`` would draw each twice.
    """
    with draft(path.with_suffix(".png")) as made:
        FigureCanvasAgg(figure).print_png(made)
    figure.set_layout_engine("none")
    with draft(path.with_suffix(".svg")) as made:
        FigureCanvasSVG(figure).print_svg(made)


def _text(text: str, width: int = 36) -> str:
    """A name that the user chose, short enough for an axis; its dollar signs do not begin a formula."""
    return shortened(text, width).replace("$", r"\$")


def _title(title: str, width: int) -> str:
    return "\n".join(textwrap.wrap(title, width)).replace("$", r"\$")


def _scatter(axes: Axes, columns: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray, best: int) -> None:
    failed = ~np.isfinite(columns["value"])
    is_bitmap = len(x) > _MAX_SHAPES
    for species, (colour, marker) in _LOOKS.items():
        rows = (columns["species"] == species.name.lower()) & ~failed
        if rows.any():
            looks: dict[str, Any] = {"s": 16, "c": colour, "marker": marker, "alpha": 0.65, "lw": 0}
            axes.scatter(x[rows], y[rows], label=species.name.lower(), rasterized=is_bitmap, **looks)
    if failed.any():
        # Where the axis is the value, a member without a value is drawn at the bottom.
        has_place = np.isfinite(y[failed]).all()
        foot, transform = (y[failed], axes.transData) if has_place else (0.02, axes.get_xaxis_transform())
        crosses = np.broadcast_to(foot, failed.sum())
        axes.scatter(x[failed], crosses, s=18, c="black", marker="x", lw=0.8, label="failed", transform=transform)
    axes.scatter(x[best], y[best], s=130, c="#F0E442", marker="*", ec="black", lw=0.8, zorder=5, label="best")


def _label(axes: Axes, history: History, name: str, which: str, most: int = 8) -> None:
    dimension = dict(history.space.items)[name]
    axis = getattr(axes, f"{which}axis")
    axis.set_label_text(_text(name.replace("_", " ")))
    # The whole range: failed members may lie where no other one does.
    getattr(axes, f"set_{which}lim")(*whole_range(dimension))
    if dimension.labels:
        axis.set_ticks(range(len(dimension.labels)), [_text(label, 14) for label in dimension.labels])
    elif dimension.is_log:
        _log_axis(axes, which, np.array([dimension.low, dimension.high], float), most)
    elif dimension.is_discrete:
        axis.set_major_locator(MaxNLocator(integer=True))


def _log_axis(axes: Axes, which: str, values: np.ndarray, most: int = 8) -> None:
    """A logarithmic axis with plain text for ticks, because matplotlib's formulas take half the time of a figure."""
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    axis.set_ticks(*log_ticks(values, most))
    axis.set_minor_locator(NullLocator())
