"""The pictures of a run: convergence, and the search space by species."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from jaxga.base import Objective, Species
from jaxga.space import Categorical, LogInteger, LogUniform, SearchSpace

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

# Okabe and Ito's colours, told apart by colour-blind readers too; a marker each for print.
_LOOKS = {
    Species.FOUNDER: ("#999999", "o"),
    Species.CHILD: ("#0072B2", "s"),
    Species.INVADER: ("#D55E00", "^"),
    Species.SURVIVOR: ("#009E73", "D"),
}
# The house style of every figure.
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.dpi": 150,
    "savefig.bbox": "tight",
}

Columns = dict[str, np.ndarray]


def convergence(path: Path, columns: Columns, objective: Objective, title: str) -> None:
    """Best so far, and the median and quartiles of each generation."""
    generation = columns["generation"]
    numbers = np.unique(generation)
    value = np.where(np.isfinite(columns["value"]), columns["value"], np.nan)
    rows = [value[generation == g] for g in numbers]
    quartiles = np.array(
        [np.nanpercentile(row, [25, 50, 75]) if np.isfinite(row).any() else [np.nan] * 3 for row in rows]
    )
    best = objective.sign * np.fmin.accumulate([np.nanmin(np.append(objective.sign * row, np.inf)) for row in rows])
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(figsize=(6.4, 4))
        axes.fill_between(numbers + 1, quartiles[:, 0], quartiles[:, 2], color="#0072B2", alpha=0.18, lw=0)
        axes.plot(numbers + 1, quartiles[:, 1], color="#0072B2", label="median and quartiles of a generation")
        axes.plot(numbers + 1, best, color="#D55E00", lw=2, marker="o", ms=3.5, label="best so far")
        if objective.direction == "min" and _spans_decades(np.append(quartiles[np.isfinite(quartiles)], best)):
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="generation", ylabel=objective.name, title=title)
        axes.legend()
        figure.savefig(path)
        plt.close(figure)


def search_space(path: Path, columns: Columns, space: SearchSpace, objective: Objective, title: str, best: int) -> None:
    """Where every member lies, by species: a map of two hyperparameters, else one panel a hyperparameter.

    ``best`` is the row to mark.
    """
    value = np.where(np.isfinite(columns["value"]), columns["value"], np.nan)
    with plt.style.context(STYLE):
        if space.size == 2:
            figure, axes = plt.subplots(figsize=(6.4, 4.8))
            (name_x, _), (name_y, _) = space.items
            _scatter(axes, columns, _positions(columns, space, name_x), _positions(columns, space, name_y), best)
            _label(axes, space, name_x, "x")
            _label(axes, space, name_y, "y")
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
            axes.set_title(title)
        else:
            num_columns = min(4, space.size)
            num_rows = -(-space.size // num_columns)
            shape = (3.2 * num_columns, 2.7 * num_rows)
            figure, grid = plt.subplots(num_rows, num_columns, figsize=shape, squeeze=False, layout="constrained")
            for axes, name in zip(grid.flat, space.names, strict=False):
                _scatter(axes, columns, _positions(columns, space, name), value, best)
                _label(axes, space, name, "x")
                if objective.direction == "min" and _spans_decades(value[np.isfinite(value)]):
                    axes.set_yscale("log")
            for axes in grid[:, 0]:
                axes.set_ylabel(objective.name)
            for axes in grid.flat[space.size :]:
                axes.set_axis_off()
            handles, labels = grid.flat[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
            figure.suptitle(title)
        figure.savefig(path)
        plt.close(figure)


def _scatter(axes: Axes, columns: Columns, x: np.ndarray, y: np.ndarray, best: int) -> None:
    failed = ~np.isfinite(columns["value"])
    for species, (colour, marker) in _LOOKS.items():
        rows = (columns["species"] == species.name.lower()) & ~failed
        if rows.any():
            label = species.name.lower()
            axes.scatter(x[rows], y[rows], s=16, c=colour, marker=marker, alpha=0.65, lw=0, label=label)
    if failed.any():
        axes.scatter(x[failed], y[failed], s=18, c="black", marker="x", lw=0.8, label="failed")
    axes.scatter(x[best], y[best], s=130, c="#F0E442", marker="*", ec="black", lw=0.8, zorder=5, label="best")


def _positions(columns: Columns, space: SearchSpace, name: str) -> np.ndarray:
    dimension = dict(space.items)[name]
    if isinstance(dimension, Categorical):
        return np.array([dimension.encode(value) * dimension.num_levels - 0.5 for value in columns[name]])
    return columns[name].astype(float)


def _label(axes: Axes, space: SearchSpace, name: str, which: str) -> None:
    dimension: Any = dict(space.items)[name]
    axis = getattr(axes, f"{which}axis")
    axis.set_label_text(name.replace("_", " "))
    if isinstance(dimension, Categorical):
        axis.set_ticks(range(len(dimension.choices)), [str(choice) for choice in dimension.choices])
    elif isinstance(dimension, LogUniform | LogInteger):
        getattr(axes, f"set_{which}scale")("log")


def _spans_decades(values: np.ndarray) -> bool:
    return bool(values.size) and values.min() > 0 and values.max() > 30 * values.min()
