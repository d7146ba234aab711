"""The original's future work: the standard GA against the invasive one, and which model chooses the invaders."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from experiments.comparison.statistics import mean_ranks
from experiments.reproduction.paired import Paired, paired
from experiments.reproduction.plots import new_picture
from experiments.reproduction.searches import Searches
from experiments.reproduction.section import Data, Row, Section, interval, percent, quartiles, table
from experiments.reproduction.setups import MODELS, Setup, model_name
from jaxga.report.plots import STYLE

_TASKS = ("mnist", "cartpole")
# Of the winners and of the speed: text, colour, marker, and how far below the row's middle.
_MARKS = (("winner", "#D55E00", "o", -0.15), ("speed", "#0072B2", "D", 0.15))
_QUICK_MODELS = ("invasive_ga", "invasive_ga:quadratic_ridge")


def _models(is_quick: bool) -> tuple[str, ...]:
    return _QUICK_MODELS if is_quick else MODELS


def _tasks(is_quick: bool) -> tuple[str, ...]:
    return _TASKS[:1] if is_quick else _TASKS


def wanted(is_quick: bool) -> list[tuple[str, str]]:
    """The GA, and the invasive GA with each model, on both tasks."""
    return [(task, method) for task in _tasks(is_quick) for method in ("ga", *_models(is_quick))]


class Against(NamedTuple):
    """One model against the standard GA on one task: the winners under fresh seeds, and the means of the curves."""

    winner: Paired
    speed: Paired


def draw(data: Data) -> Section:
    """The paired win rates of each model against the standard GA, a panel a task."""
    models, names = _models(data.is_quick), _tasks(data.is_quick)
    searches = {name: {method: data.searches(name, method) for method in ("ga", *models)} for name in names}
    against = {name: {m: _against(found[m], found["ga"]) for m in models} for name, found in searches.items()}
    order = sorted(models, key=lambda m: -np.mean([against[name][m].winner.win_rate.mean for name in names]))
    found = [line for name in names for line in _sentences(data.setup(name), order, against[name])]
    rows: list[Row] = []
    with mpl.rc_context(STYLE):
        picture = new_picture((5.2 * len(names), 4.4))
        panels = picture.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, names, strict=True):
            setup = data.setup(name)
            _forest(axes, [(model_name(m), against[name][m]) for m in order])
            axes.set_title(f"{setup.title}, {setup.size}, {setup.num_searches} searches", fontsize=11)
            found += ["", f"{setup.title}, {setup.size}, {setup.num_searches} searches a method:"]
            found += _table(order, searches[name], against[name])
            rows += [
                {"setup": name, "method": method, "search": i, "winner on fresh seeds": fresh, "mean of curve": curve}
                for method, its in searches[name].items()
                for i, (fresh, curve) in enumerate(zip(its.fresh, its.sign * its.curve_losses, strict=True))
            ]
    return Section(picture, rows, found)


def _against(first: Searches, second: Searches) -> Against:
    return Against(
        paired(first.fresh_losses, second.fresh_losses),
        paired(first.curve_losses, second.curve_losses),
    )


def _table(order: Sequence[str], searches: dict[str, Searches], against: dict[str, Against]) -> list[str]:
    ranks = mean_ranks({method: {"": found.fresh_losses} for method, found in searches.items()}, [""])
    rows = [["none: standard GA", quartiles(searches["ga"].fresh), "-", "-", interval(ranks["ga"]), "-"]]
    for method in order:
        winner, speed = against[method]
        cells = [model_name(method), quartiles(searches[method].fresh)]
        cells += [f"{percent(winner.win_rate)}: {winner.verdict}", interval(winner.gain), interval(ranks[method])]
        rows.append([*cells, f"{percent(speed.win_rate)}: {speed.verdict}"])
    header = ["model", "winner on fresh seeds", "wins against GA", "median gain over GA", "mean rank", "faster than GA"]
    return table(header, rows)


def _sentences(setup: Setup, order: Sequence[str], against: dict[str, Against]) -> list[str]:
    """Invasive against standard, and which models make a difference."""
    default = against["invasive_ga"]
    lines = [
        f"- {setup.title}: the winner of the invasive GA (default model) against that of the standard GA:"
        f" **{default.winner.verdict}**, it wins {percent(default.winner.win_rate)} of {setup.num_searches} paired"
        f" searches. Its speed: **{default.speed.verdict}**, {percent(default.speed.win_rate)}."
    ]
    for what in Against._fields:
        verdicts = {model_name(m): getattr(against[m], what).verdict for m in order}
        named = {v: ", ".join(m for m in verdicts if verdicts[m] == v) or "no model" for v in ("better", "worse")}
        lines.append(
            f"- {setup.title}, {what}: better than the standard GA: {named['better']}; worse: {named['worse']}."
        )
    return lines


def _forest(axes: Axes, rows: Sequence[tuple[str, Against]]) -> None:
    """Two lines a model, labelled at the first one."""
    for place, (_, against) in enumerate(rows):
        for pair, (text, colour, marker, offset) in zip(against, _MARKS, strict=True):
            rate, height = pair.win_rate, place + offset
            axes.plot([100 * rate.low, 100 * rate.high], [height] * 2, color=colour, lw=2)
            axes.plot(100 * rate.mean, height, marker, color=colour, ms=6)
            if place == 0:
                end, side, align = (rate.high, 6, "left") if rate.high < 0.85 else (rate.low, -6, "right")
                looks: dict[str, Any] = {"ha": align, "va": "center", "color": colour}
                axes.annotate(text, (100 * end, height), (side, 0), textcoords="offset points", **looks)
    axes.axvline(50, color="#999999", lw=1, ls="--")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.8)
    axes.set(xlim=(0, 100), xlabel="% of paired searches won against the standard GA")
    axes.grid(axis="y", visible=False)
