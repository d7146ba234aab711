"""How fast the methods converge: guess-the-numbers, the network on digits, PPO on CartPole."""

from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.reproduction.plots import COLOURS, bands, is_logarithmic, log_axis, new_picture, spreads
from experiments.reproduction.searches import Searches
from experiments.reproduction.section import Data, Row, Section, sentence, speed_sentence, winners_table
from experiments.reproduction.setups import COMPARED, LABELS, Setup
from jaxga.report.plots import STYLE

_RACES = (("invasive_ga", "ga"), ("invasive_ga", "random_search"), ("ga", "random_search"))


def wanted(*names: str) -> Callable[[bool], list[tuple[str, str]]]:
    """All methods at these setups; where quick, at the first one."""
    return lambda is_quick: [(name, method) for name in (names[:1] if is_quick else names) for method in COMPARED]


def draw(names: Sequence[str], data: Data) -> Section:
    """A row of two panels a setup: the best value met so far, and what the winners are worth."""
    names = names[:1] if data.is_quick else names
    rows: list[Row] = []
    found: list[str] = []
    with mpl.rc_context(STYLE):
        picture = new_picture((10.5, 3.9 * len(names)))
        panels = picture.subplots(len(names), 2, squeeze=False, width_ratios=(1.5, 1))
        for row_panels, name in zip(panels, names, strict=True):
            setup = data.setup(name)
            searches = {method: data.searches(name, method) for method in COMPARED}
            _draw_setup(row_panels, setup, searches)
            rows += [row for method in COMPARED for row in csv_rows(setup, method, searches[method])]
            found += [
                f"{setup.size} ({setup.num_evaluations} evaluations), {setup.num_searches} searches a method.",
                "",
            ]
            found += [f"- {sentence(searches, 'invasive_ga', other)}" for other in ("ga", "random_search")]
            found.append(f"- {sentence(searches, 'ga', 'random_search')}")
            found += [f"- {speed_sentence(searches, *pair)}" for pair in _RACES]
            found += winners_table(searches)
    return Section(picture, rows, found)


def _draw_setup(panels: Sequence[Axes], setup: Setup, searches: dict[str, Searches]) -> None:
    objective = setup.task().objective
    left, right = panels
    curves = {method: found.best for method, found in searches.items()}
    x = setup.population_size * np.arange(1, setup.num_generations + 1)
    is_log = is_logarithmic(curves, objective.direction)
    left.set(xlabel="evaluations", ylabel=f"{objective.name}, best so far")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_title(f"{setup.title}, {setup.size}: median and quartiles", fontsize=11)
    bands(left, x, curves, LABELS, is_log)
    spreads(right, [(LABELS[method], found.fresh, COLOURS[method]) for method, found in searches.items()])
    fresh = np.concatenate([found.fresh for found in searches.values()])
    if is_log and np.nanmin(fresh) > 0:
        log_axis(right, "x", fresh)
    right.set_xlabel(objective.name)
    right.set_title("winners under fresh seeds", fontsize=11)


def csv_rows(setup: Setup, method: str, found: Searches) -> list[Row]:
    """The quartiles of the best value after each generation, and every winner's value."""
    start = {"setup": f"{setup.name} {setup.size}", "method": method}
    quartiles = np.nanpercentile(found.best, (25, 50, 75), axis=0)
    rows = [
        {
            **start,
            "series": "best so far",
            "at": (g + 1) * setup.population_size,
            "statistic": statistic,
            "value": value,
        }
        for statistic, curve in zip(("quartile 1", "median", "quartile 3"), quartiles, strict=True)
        for g, value in enumerate(curve)
    ]
    return rows + [
        {**start, "series": "winner on fresh seeds", "at": search, "statistic": "search", "value": value}
        for search, value in enumerate(found.fresh)
    ]
