"""The pictures of a run as PNG and SVG: convergence, and the search space by species."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from jaxga.base import Objective, Species
from jaxga.report.findings import choice_places, log_ticks, quartiles, shortened, spans_decades
from jaxga.runs.draft import draft
from jaxga.space import Categorical, Integer, LogInteger, LogUniform, SearchSpace

if TYPE_CHECKING:
    from jaxga.report.table import Table  # which needs pyarrow

# Okabe and Ito's colours, told apart by colour-blind readers too; a marker each for print.
_LOOKS = {
    Species.FOUNDER: ("#999999", "o"),
    Species.CHILD: ("#0072B2", "s"),
    Species.INVADER: ("#D55E00", "^"),
    Species.SURVIVOR: ("#009E73", "D"),
}
# The house style of every figure.
STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.dpi": 150,
    "savefig.bbox": "tight",
}
# An SVG with a shape for each of more points than this takes a browser seconds to show.
_MAX_SHAPES = 5000

Columns = dict[str, np.ndarray]


def convergence(path: Path, table: "Table") -> None:
    """The best so far, and the median and quartiles of each generation: ``path`` as PNG and SVG."""
    x = np.unique(table.columns["generation"]) + 1
    low, middle, high = quartiles(table.columns["value"], table.generations)
    shown = [low, middle, high, table.believed]
    marker = {"marker": "o", "ms": 3.5}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4))
        axes = figure.subplots()
        axes.fill_between(x, low, high, color="#0072B2", alpha=0.18, lw=0)
        point = "." if len(x) == 1 else ""  # no line to be seen
        axes.plot(x, middle, color="#0072B2", label="median and quartiles of a generation", marker=point)
        if table.is_noisy:
            shown.append(table.least)
            axes.plot(x, table.least, color="#666666", lw=1, ls=":", label="best value of one member so far", **marker)
        label = "believed of the best setting" if table.is_noisy else "best so far"
        axes.plot(x, table.believed, color="#D55E00", lw=2, label=label, **marker)
        if spans_decades(np.concatenate(shown), table.objective.direction):
            _log_axis(axes, "y", np.concatenate(shown))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(
            xlim=(x.min() - 0.5, x.max() + 0.5),
            xlabel="generation",
            ylabel=_text(table.objective.name),
            title=_title(table.title, 60),
        )
        axes.legend()
        _save(figure, path)


def search_space(path: Path, columns: Columns, space: SearchSpace, objective: Objective, title: str, best: int) -> None:
    """Where every member lies, by species: a map of two hyperparameters, else one panel a hyperparameter.

    Written as PNG and SVG, whatever the suffix of ``path``; ``best`` is the row to mark.
    """
    value = np.where(np.isfinite(columns["value"]), columns["value"], np.nan).astype(float)
    with mpl.rc_context(STYLE):
        if space.size == 2:
            figure = Figure(figsize=(6.4, 4.8))
            axes = figure.subplots()
            (name_x, _), (name_y, _) = space.items
            _scatter(axes, columns, _positions(columns, space, name_x), _positions(columns, space, name_y), best)
            _label(axes, space, name_x, "x")
            _label(axes, space, name_y, "y")
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
            axes.set_title(_title(title, 60))
        else:
            num_columns = min(4, space.size)
            num_rows = -(-space.size // num_columns)
            shape = (max(5.0, 3.2 * num_columns), 2.7 * num_rows + 0.6)
            figure = Figure(figsize=shape, layout="constrained")
            grid = figure.subplots(num_rows, num_columns, squeeze=False)
            for axes, name in zip(grid.flat, space.names, strict=False):
                _scatter(axes, columns, _positions(columns, space, name), value, best)
                _label(axes, space, name, "x", most=4)
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
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    for suffix in (".png", ".svg"):
        with draft(path.with_suffix(suffix)) as made:
            figure.savefig(made)


def _text(text: str, width: int = 36) -> str:
    """A name of the user's: not so long that no plot is left, and a dollar sign does not begin a formula."""
    return shortened(text, width).replace("$", r"\$")


def _title(title: str, width: int) -> str:
    return "\n".join(textwrap.wrap(title, width)).replace("$", r"\$")


def _scatter(axes: Axes, columns: Columns, x: np.ndarray, y: np.ndarray, best: int) -> None:
    failed = ~np.isfinite(columns["value"])
    is_bitmap = len(x) > _MAX_SHAPES
    for species, (colour, marker) in _LOOKS.items():
        rows = (columns["species"] == species.name.lower()) & ~failed
        if rows.any():
            label = species.name.lower()
            axes.scatter(
                x[rows], y[rows], s=16, c=colour, marker=marker, alpha=0.65, lw=0, label=label, rasterized=is_bitmap
            )
    if failed.any():
        # A member without a value lies at the foot of a panel whose axis is the value.
        has_place = np.isfinite(y[failed]).all()
        foot, transform = (y[failed], axes.transData) if has_place else (0.02, axes.get_xaxis_transform())
        crosses = np.broadcast_to(foot, failed.sum())
        axes.scatter(x[failed], crosses, s=18, c="black", marker="x", lw=0.8, label="failed", transform=transform)
    axes.scatter(x[best], y[best], s=130, c="#F0E442", marker="*", ec="black", lw=0.8, zorder=5, label="best")


def _positions(columns: Columns, space: SearchSpace, name: str) -> np.ndarray:
    dimension = dict(space.items)[name]
    if isinstance(dimension, Categorical):
        return choice_places(columns[name], dimension)
    return columns[name].astype(float)


def _label(axes: Axes, space: SearchSpace, name: str, which: str, most: int = 8) -> None:
    dimension: Any = dict(space.items)[name]
    axis = getattr(axes, f"{which}axis")
    axis.set_label_text(_text(name.replace("_", " ")))
    if isinstance(dimension, Categorical):
        axis.set_ticks(range(dimension.num_levels), [_text(str(choice), 14) for choice in dimension.choices])
    elif isinstance(dimension, LogUniform | LogInteger):
        _log_axis(axes, which, np.array([dimension.low, dimension.high]), most)
    elif isinstance(dimension, Integer):
        axis.set_major_locator(MaxNLocator(integer=True))


def _log_axis(axes: Axes, which: str, values: np.ndarray, most: int = 8) -> None:
    """Plain text for ticks: matplotlib's formulas take half the time of a figure."""
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    axis.set_ticks(*log_ticks(values, most))
    axis.set_minor_locator(NullLocator())
