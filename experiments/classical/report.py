"""What is written of grids and searches: tables, a picture, and the page."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from experiments.reproduction.plots import COLOURS, log_axis, new_picture
from experiments.reproduction.section import table
from experiments.reproduction.setups import LABELS
from jaxga.report.plots import STYLE
from jaxga.runs.records import environment

# By how many per cent the time of a grid is "reduced" by the genetic algorithm in Wicaksono's study.
MODELS = {"svm": 425, "knn": 397, "adaboost": 651, "random_forest": 17}
# How much greater an error "as good as the grid's" may be: one row of breast_cancer.
TOLERANCE = 0.002
_RATIOS = ("evaluations", "seconds")


@dataclass(frozen=True, eq=False)
class Grid:
    """An exhaustive grid: its size, the seconds of one core of all its evaluations, and its least error."""

    model: str
    dataset: str
    evaluations: int
    seconds: float
    best: float
    setting: dict[str, Any]


@dataclass(frozen=True)
class Search:
    """One search: the error of each evaluation in order, and its seconds with those of the algorithm."""

    model: str
    dataset: str
    method: str
    seed: int
    values: Sequence[float]
    seconds: Sequence[float]

    def reach(self, target: float) -> tuple[int, float] | None:
        """The evaluations and the seconds until an error of at most ``target``; None where there was none."""
        places = np.flatnonzero(np.asarray(self.values) <= target + 1e-12)
        return (int(places[0]) + 1, float(np.sum(self.seconds[: places[0] + 1]))) if len(places) else None


def ratios(grid: Grid, searches: Sequence[Search], tolerance: float) -> np.ndarray:
    """f64[S, 2]: a grid's evaluations and seconds divided by each search's until it is as good; 0 where it is not."""
    reached = [search.reach(grid.best + tolerance) for search in searches]
    return np.array([(grid.evaluations / r[0], grid.seconds / r[1]) if r else (0.0, 0.0) for r in reached])


def cited(model: str) -> float:
    """The study's ratio of the times, in our reading: "reduced by 425 %" means 5.25 times as long."""
    return 1.0 + MODELS[model] / 100.0


def write(
    folder: Path, grids: Sequence[Grid], searches: Sequence[Search], command: str, about: str, is_quick: bool
) -> Path:
    """All files into ``folder``; returns the page."""
    by_grid = {(g.model, g.dataset): g for g in grids}
    rows = []
    for search in searches:
        best = by_grid[search.model, search.dataset].best
        row: dict[str, Any] = {name: getattr(search, name) for name in ("dataset", "model", "method", "seed")}
        row |= {"made": len(search.values), "best": min(search.values)}
        for label, tolerance in (("equal", 0.0), ("as_good", TOLERANCE)):
            numbers = search.reach(best + tolerance) or ("", "")
            row |= {f"{label}_{name}": number for name, number in zip(_RATIOS, numbers, strict=True)}
        rows.append(row)
    _write_csv(folder / "searches.csv", rows)
    _write_csv(folder / "grids.csv", [asdict(grid) for grid in grids])
    methods = list(dict.fromkeys(search.method for search in searches))
    groups = {
        (grid, method): [s for s in searches if (s.model, s.dataset, s.method) == (grid.model, grid.dataset, method)]
        for grid in grids
        for method in methods
    }
    _draw(folder / "ratios.png", grids, methods, groups)
    here = environment()
    versions = ", ".join(f"{name} {here['versions'][name]}" for name in ("jaxga", "jax", "numpy"))
    lines = ["# Searches beside grids", ""]
    if is_quick:
        lines += ["**A test of the program: the figures mean nothing.**", ""]
    lines += [about, "", "![Ratios](ratios.png)", *_table(grids, methods, groups)]
    lines.append(
        f"`{command}`; {here['cores']} cores of {here['processor']}, Python {here['python']}, {versions}. "
        "[Each search](searches.csv), [the grids](grids.csv)."
    )
    path = folder / "README.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _table(grids: Sequence[Grid], methods: Sequence[str], groups: dict[tuple[Grid, str], list[Search]]) -> list[str]:
    rows = []
    for grid in grids:
        start = [f"{grid.dataset}, {grid.model}", f"{grid.evaluations}, {grid.seconds:.1f} s", f"{grid.best:.4f}"]
        for method in methods:
            found = groups[grid, method]
            good, equal = (ratios(grid, found, tolerance) for tolerance in (TOLERANCE, 0.0))
            counts = [f"{np.count_nonzero(r[:, 0])} of {len(r)}" for r in (equal, good)]
            rows.append([*start, LABELS[method], *counts, *(_spread(column) for column in good.T)])
            rows[-1].append(f"{cited(grid.model):.2f}")
            start = ["", "", ""]
    header = ["task", "grid", "its error", "method", "equal", "as good", "evaluations", "time", "time, cited"]
    return table(header, rows)


def _spread(values: np.ndarray) -> str:
    """The median, in brackets the least and the greatest; a search that is not as good has "-"."""
    # One of the values, never a mean of two: a search that is not as good has no ratio.
    low, middle, high = np.quantile(values, (0.0, 0.5, 1.0), method="lower")
    return "{} [{}, {}]".format(*(f"{x:.3g}" if x else "-" for x in (middle, low, high)))


def _draw(
    path: Path, grids: Sequence[Grid], methods: Sequence[str], groups: dict[tuple[Grid, str], list[Search]]
) -> None:
    """A row a task, a panel each for evaluations and time; a point a search, a bar at the median."""
    with mpl.rc_context(STYLE):
        picture = new_picture((10.5, 1.6 + 0.6 * len(grids)))
        panels = picture.subplots(1, 2, sharey=True)
        everything = [ratios(grid, found, TOLERANCE) for (grid, _), found in groups.items()]
        low = 0.5 * min(1.0, *(r[r > 0].min(initial=1.0) for r in everything))
        for column, (axes, name) in enumerate(zip(panels, _RATIOS, strict=True)):
            for place, grid in enumerate(grids):
                for i, method in enumerate(methods):
                    height = place + 0.22 * (i - (len(methods) - 1) / 2)
                    values = ratios(grid, groups[grid, method], TOLERANCE)[:, column]
                    _points(axes, values, height, low, COLOURS[method], LABELS[method] if place == 0 else None)
                if name == "seconds":
                    label = "cited" if place == 0 else None
                    axes.plot([cited(grid.model)] * 2, [place - 0.4, place + 0.4], color="black", lw=1.5, label=label)
            axes.axvline(1.0, color="#999999", lw=1, ls="--")
            log_axis(axes, "x", np.concatenate(everything)[:, column].clip(low), most=5)
            axes.set_xlabel(f"{'time' if name == 'seconds' else name} of the grid / of the search (open: not as good)")
            axes.set_yticks(range(len(grids)), [f"{grid.dataset}, {grid.model}" for grid in grids])
            axes.set_ylim(len(grids) - 0.5, -0.5)
            axes.grid(axis="y", visible=False)
        handles, labels = panels[1].get_legend_handles_labels()
        picture.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
        picture.savefig(path)


def _points(axes: Axes, values: np.ndarray, height: float, low: float, colour: str, label: str | None) -> None:
    """Searches that were not as good are open points at ``low``, the left end."""
    reached = values[values > 0]
    axes.plot(reached, np.full(len(reached), height), "o", color=colour, ms=4, alpha=0.6, lw=0)
    missed = len(values) - len(reached)
    axes.plot([low] * missed, [height] * missed, "o", color=colour, ms=5, mfc="none")
    median = np.quantile(values, 0.5, method="lower")
    axes.plot([median or low] * 2, [height - 0.1, height + 0.1], color=colour, lw=3, label=label)


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
