"""The original's future work: the standard GA against the invasive one, and which model chooses the invaders."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from experiments.comparison.statistics import mean_ranks
from experiments.reproduction.paired import Paired, paired
from experiments.reproduction.plots import COLOURS, new_picture
from experiments.reproduction.section import Data, Row, Section, interval, percent, quartiles, table
from experiments.reproduction.setups import MODELS, model_name
from jaxga.report.plots import STYLE

_TASKS = ("mnist", "cartpole")
_QUICK_MODELS = ("invasive_ga", "invasive_ga:quadratic_ridge")


def _models(is_quick: bool) -> tuple[str, ...]:
    return _QUICK_MODELS if is_quick else MODELS


def _tasks(is_quick: bool) -> tuple[str, ...]:
    return _TASKS[:1] if is_quick else _TASKS


def wanted(is_quick: bool) -> list[tuple[str, str]]:
    """The GA, and the invasive GA with each model, on both tasks."""
    return [(task, method) for task in _tasks(is_quick) for method in ("ga", *_models(is_quick))]


def draw(data: Data) -> Section:
    """The paired win rate of each model against the standard GA, a panel a task."""
    models, names = _models(data.is_quick), _tasks(data.is_quick)
    losses = {method: {name: data.searches(name, method).fresh_losses for name in names} for method in ("ga", *models)}
    pairs = {(name, m): paired(losses[m][name], losses["ga"][name]) for name in names for m in models}
    order = sorted(models, key=lambda m: -np.mean([pairs[name, m].win_rate.mean for name in names]))
    with mpl.rc_context(STYLE):
        picture = new_picture((5.2 * len(names), 4.2))
        panels = picture.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, names, strict=True):
            _forest(axes, [(model_name(m), pairs[name, m]) for m in order])
            setup = data.setup(name)
            axes.set_title(f"{setup.title}, {setup.size}, {setup.num_searches} searches", fontsize=11)
    rows: list[Row] = [
        {"setup": name, "method": method, "series": "winner on fresh seeds (loss)", "search": i, "value": value}
        for method, by_task in losses.items()
        for name, values in by_task.items()
        for i, value in enumerate(values)
    ]
    found = _sentences(data, names, order, pairs)
    for name in names:
        setup = data.setup(name)
        ranks = mean_ranks({method: {name: by_task[name]} for method, by_task in losses.items()}, [name])
        cells = [
            [
                "none: standard GA" if method == "ga" else model_name(method),
                quartiles(data.searches(name, method).fresh),
                "-" if method == "ga" else f"{percent(pairs[name, method].win_rate)}: {pairs[name, method].verdict}",
                "-" if method == "ga" else interval(pairs[name, method].gain),
                interval(ranks[method]),
            ]
            for method in ("ga", *order)
        ]
        found += ["", f"{setup.title}, {setup.size}, {setup.num_searches} searches a method:"]
        found += table(["model", "winner on fresh seeds", "wins against GA", "median gain over GA", "mean rank"], cells)
    return Section(picture, rows, found)


def _sentences(
    data: Data, names: Sequence[str], order: Sequence[str], pairs: dict[tuple[str, str], Paired]
) -> list[str]:
    """Invasive against standard on each task, and how the models rank."""
    lines = []
    for name in names:
        pair, setup = pairs[name, "invasive_ga"], data.setup(name)
        lines.append(
            f"- {setup.title}: the invasive GA (default model) against the standard GA: **{pair.verdict}**, it wins"
            f" {percent(pair.win_rate)} of {setup.num_searches} paired searches."
        )
        better = [model_name(m) for m in order if pairs[name, m].verdict == "better"]
        worse = [model_name(m) for m in order if pairs[name, m].verdict == "worse"]
        lines.append(
            f"- {setup.title}: better than the standard GA: {', '.join(better) or 'no model'}; worse: "
            f"{', '.join(worse) or 'no model'}; the others show no difference."
        )
    return lines


def _forest(axes: Axes, rows: Sequence[tuple[str, Paired]]) -> None:
    """One line a model; the default model in the colour of the invasive GA."""
    for place, (_, pair) in enumerate(rows):
        rate = pair.win_rate
        colour = COLOURS["invasive_ga"] if pair.verdict == "better" else "#555555"
        axes.plot([100 * rate.low, 100 * rate.high], [place] * 2, color=colour, lw=2)
        axes.plot(100 * rate.mean, place, "o", color=colour, ms=7)
    axes.axvline(50, color="#999999", lw=1, ls="--")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set(xlim=(0, 100), xlabel="% of paired searches won against the standard GA")
    axes.grid(axis="y", visible=False)
