"""What a comparison writes: comparison.json, comparison.md and two pictures."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from experiments.comparison.problems import Problem
from experiments.comparison.protocols import Protocol
from experiments.comparison.statistics import mean_ranks, relative_regrets, scores, win_rates
from jaxga.report.plots import STYLE

# Below it regrets are tied: float32 resolves no less of values of the size of the offset.
FLOOR = 1e-6
# What a protocol's figure is, and its digits.
_FIGURES = {
    "regret": (
        [
            "Mean over the problems of a method's median regret, in units of the median regret of random sampling that",
            "is published",
        ],
        3,
    ),
    "score": (
        [
            "Score, the mean over problems and seeds: 100 for the best loss that any method met here, 0 for the loss",
            "of the median random setting or a worse one",
        ],
        1,
    ),
}
_COLOURS = [
    "#D55E00",
    "#0072B2",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#999999",
    "#882255",
    "#117733",
]
_MARKERS = "osD^v<>PX*"


class Budget(NamedTuple):
    """Everything at one budget.

    Attributes:
        name: e.g. ``8x10``.
        size, num_generations: P and G.
        curves: by method and problem, f64[S, G].
        seconds: by method, of one ask and tell of a generation.
        seconds_alone: the same of a single search, of ours alone.
    """

    name: str
    size: int
    num_generations: int
    curves: dict[str, dict[str, np.ndarray]]
    seconds: dict[str, float]
    seconds_alone: dict[str, float]


def scored(budget: Budget, problems: Sequence[Problem]) -> dict[str, dict[str, np.ndarray]]:
    """The curves as regrets: from the best value met where the optimum is not known, else with ties below FLOOR."""
    regrets: dict[str, dict[str, np.ndarray]] = {method: {} for method in budget.curves}
    for problem in problems:
        # Ours are float32: so rounded, equal losses of a peer are ties.
        rows = {
            method: np.asarray(by_problem[problem.name], np.float32).astype(np.float64)
            for method, by_problem in budget.curves.items()
            if problem.name in by_problem
        }
        if not rows:
            continue
        least = 0.0 if problem.knows_optimum else min(float(np.nanmin(curve)) for curve in rows.values())
        for method, curve in rows.items():
            regret = np.where(np.isnan(curve), np.inf, curve - least)
            regrets[method][problem.name] = np.maximum(regret, FLOOR)
    return regrets


def summarise(budget: Budget, problems: Sequence[Problem]) -> dict[str, Any]:
    """The figures of one budget, ready for JSON."""
    regrets = scored(budget, problems)
    finals = {m: {p: curve[:, -1] for p, curve in rows.items()} for m, rows in regrets.items() if rows}
    run = [problem.name for problem in problems if any(problem.name in rows for rows in finals.values())]
    ranked = {method: rows for method, rows in finals.items() if len(rows) == len(run)}
    groups = {p.group: [q.name for q in problems if q.group == p.group and q.name in run] for p in problems}
    pairs = {
        method: {other: win_rates(finals, method, other) for other in finals if other != method} for method in finals
    }
    unknown = [problem for problem in problems if not problem.knows_optimum and problem.name in run]
    return {
        "population_size": budget.size,
        "num_generations": budget.num_generations,
        "problems": run,
        "mean_rank": {m: e._asdict() for m, e in mean_ranks(ranked, run).items()} if ranked else {},
        "mean_rank_by_group": {
            group: {m: e.mean for m, e in mean_ranks(ranked, names).items()}
            for group, names in groups.items()
            if names and ranked
        },
        "win_rate": {
            method: {o: {**pair[0]._asdict(), "problems": pair[1]} for o, pair in rates.items() if pair}
            for method, rates in pairs.items()
        },
        "median_regret": {
            method: {problem: np.median(curve, axis=0).tolist() for problem, curve in rows.items()}
            for method, rows in regrets.items()
        },
        # In units of the loss, where the regret is only that from the best value met.
        "median_value": {
            method: {p.name: np.median(rows[p.name], axis=0).tolist() for p in unknown if p.name in rows}
            for method, rows in budget.curves.items()
        },
        "final_value_quartiles": {
            p.name: {
                method: np.percentile(rows[p.name][:, -1], (25, 50, 75)).tolist()
                for method, rows in budget.curves.items()
                if p.name in rows
            }
            for p in unknown
        },
        "final_regret": {m: {p: values.tolist() for p, values in rows.items()} for m, rows in finals.items()},
        "num_seeds": {m: {p: len(v) for p, v in rows.items()} for m, rows in finals.items()},
        "seconds_per_ask": budget.seconds,
        "seconds_per_ask_alone": budget.seconds_alone,
    }


def protocol_figures(budget: Budget, problems: Sequence[Problem], protocol: Protocol) -> dict[str, Any]:
    """A protocol's figure of every method that ran on all of its problems, the best first, and its terms."""
    units, is_score = protocol.units, protocol.figure == "score"
    curves = budget.curves if is_score else scored(budget, problems)
    finals = {m: {p: rows[p][:, -1] for p in units} for m, rows in curves.items() if len(rows) == len(units)}
    if is_score:
        best = {p: min(float(rows[p].min()) for rows in curves.values() if p in rows) for p in units}
        figures = {m: scores(rows, best, units) for m, rows in finals.items()}
    else:
        figures = {m: relative_regrets(rows, units) for m, rows in finals.items()}
    return {
        method: {**mean._asdict(), "by_problem": dict(zip(units, values, strict=True))}
        for method, (mean, values) in sorted(figures.items(), key=lambda item: item[1][0].mean, reverse=is_score)
    }


def write(
    folder: Path,
    head: dict[str, Any],
    budgets: Sequence[Budget],
    problems: Sequence[Problem],
    focus: str,
    protocol: Protocol | None = None,
) -> dict[str, Any]:
    """Write all files (of a score no regrets); returns what is in the JSON."""
    summaries = {budget.name: summarise(budget, problems) for budget in budgets}
    if protocol:
        head = {**head, "figure": protocol.figure, "published": protocol.published, "published_in": protocol.source}
        for budget in budgets:
            summaries[budget.name]["protocol"] = protocol_figures(budget, problems, protocol)
    record = {**head, "budgets": summaries}
    (folder / "comparison.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / "comparison.md").write_text(_markdown(record, focus))
    if protocol is None or protocol.figure != "score":  # the losses of a score are in different units
        _plot_regret(folder / "regret.png", budgets, summaries, problems)
    _plot_wins(folder / "win_rates.png", summaries, focus)
    return record


def _interval(estimate: dict[str, float], digits: int = 2) -> str:
    return f"{estimate['mean']:.{digits}f} [{estimate['low']:.{digits}f}, {estimate['high']:.{digits}f}]"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *(f"| {' | '.join(row)} |" for row in rows), ""]


def _markdown(record: dict[str, Any], focus: str) -> str:
    lines = ["# Comparison at equal budgets", ""]
    lines += [f"- {name}: {record[name]}" for name in ("command", "machine", "date", "problems", "seeds")]
    lines += [f"- versions: {', '.join(f'{n} {v}' for n, v in record['versions'].items())}", ""]
    lines += [
        "A method is judged by the true, noise-free regret of what it recommends at the end. Mean rank: 1 is the best;",
        "only methods that ran on every problem are ranked, the rest appear in the win rates, on the problems they",
        "share. Win rate: how often a run of the first beats one of the second, a tie being half a win. In brackets:",
        "95 % bootstrap intervals over problems and seeds. Seconds: one ask and tell of a generation on one core.",
        "",
    ]
    for name, budget in record["budgets"].items():
        lines += [f"## {name} (members x generations), {len(budget['problems'])} problems", ""]
        if "protocol" in budget:
            lines += _protocol_tables(budget["protocol"], record)
        methods = sorted(budget["win_rate"], key=lambda m, b=budget: b["mean_rank"].get(m, {"mean": 99.0})["mean"])
        rows = []
        for method in methods:
            rank, rate = budget["mean_rank"].get(method), budget["win_rate"].get(focus, {}).get(method)
            seeds = sorted(set(budget["num_seeds"][method].values()))
            alone = budget["seconds_per_ask_alone"].get(method)
            rows.append(
                [
                    method,
                    _interval(rank) if rank else "-",
                    f"{_interval(rate)} ({rate['problems']})" if rate else "-",
                    "-".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))),
                    f"{budget['seconds_per_ask'][method]:.2g}" + (f" ({alone:.2g} alone)" if alone else ""),
                ]
            )
        lines += _table(["method", "mean rank", f"win rate of {focus} (problems)", "seeds", "seconds per ask"], rows)
        if budget["mean_rank"]:
            ranked = [method for method in methods if method in budget["mean_rank"]]
            groups = budget["mean_rank_by_group"]
            lines += ["Mean rank by kind of problem:", ""]
            lines += _table(["method", *groups], [[m, *(f"{groups[g][m]:.2f}" for g in groups)] for m in ranked])
            lines += ["Win rate of the row against the column:", ""]
            rates = budget["win_rate"]
            cells = [[m, *(f"{rates[m][o]['mean']:.2f}" if o != m else "" for o in ranked)] for m in ranked]
            lines += _table(["", *ranked], cells)
        for problem, quartiles in ({} if "protocol" in budget else budget["final_value_quartiles"]).items():
            lines += [f"Loss of {problem} for what is recommended, median over the seeds and quartiles:", ""]
            cells = [[m, f"{q[1]:.5g} [{q[0]:.5g}, {q[2]:.5g}]"] for m, q in quartiles.items()]
            lines += _table(["method", "loss"], cells)
    lines += ["## Methods", ""]
    lines += _table(["method", "settings"], [list(row) for row in record["methods"].items()])
    if record["failures"]:
        lines += ["## Runs that failed", "", *(f"- {line}" for line in record["failures"]), ""]
    return "\n".join(lines)


def _protocol_tables(figures: dict[str, Any], record: dict[str, Any]) -> list[str]:
    what, digits = _FIGURES[record["figure"]]
    lines = [*what, f"({record['published_in']}). In brackets: 95 % bootstrap intervals over the seeds.", ""]
    # One search of each has no interval.
    rows = [
        [method, _interval(figure, digits) if figure["low"] < figure["high"] else f"{figure['mean']:.{digits}f}"]
        for method, figure in figures.items()
    ]
    rows += [[f"{name}, published", f"{value:.3f}"] for name, value in record["published"].items()]
    lines += _table(["method", "mean"], rows)
    columns = [figure["by_problem"] for figure in figures.values()]
    cells = [[p, *(f"{column[p]:.{digits}f}" for column in columns)] for p in columns[0]] if columns else []
    return lines + _table(["problem", *figures], cells)


def _looks(methods: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """Colour, marker and line of each method; the second ten are dashed."""
    return {method: (_COLOURS[i % 10], _MARKERS[i % 10], "-" if i < 10 else "--") for i, method in enumerate(methods)}


def _plot_regret(path: Path, budgets: Sequence[Budget], summaries: dict[str, Any], problems: Sequence[Problem]) -> None:
    """The median over the problems of the median over the seeds, of the methods that ran on all of them.

    Of the loss itself where no optimum is known.
    """
    known = {problem.name for problem in problems if problem.knows_optimum}
    what = "median_regret" if known else "median_value"
    looks = _looks(list(dict.fromkeys(method for budget in budgets for method in budget.curves)))
    with plt.style.context(STYLE):
        shape = (4.6 * len(budgets), 4.2)
        figure, grid = plt.subplots(1, len(budgets), figsize=shape, squeeze=False, layout="constrained")
        for axes, budget in zip(grid.flat, budgets, strict=True):
            summary = summaries[budget.name]
            evaluations = budget.size * np.arange(1, budget.num_generations + 1)
            for method in summary["mean_rank"]:
                rows = [curve for problem, curve in summary[what][method].items() if problem in known or not known]
                colour, marker, line = looks[method]
                if rows:
                    median = np.median(np.array(rows), axis=0)
                    marks = {"marker": marker, "ms": 4, "markevery": max(1, budget.num_generations // 10)}
                    axes.plot(evaluations, median, line, color=colour, label=method, **marks)
            axes.set(yscale="log" if known else "linear", xlabel="evaluations", title=budget.name.replace("x", " x "))
        # Those of the project's own tasks and of BBOB are in their own units.
        unit = "" if all(problem.group in ("own", "bbob") for problem in problems) else " (1: a random point)"
        grid[0, 0].set_ylabel(f"median regret{unit}" if known else "median loss")
        _legend_of_all(figure, grid)
        figure.savefig(path)
        plt.close(figure)


def _legend_of_all(figure: Any, grid: np.ndarray) -> None:
    """One legend for all panels, each method once."""
    handles: dict[str, Any] = {}
    for axes in grid.flat:
        lines, labels = axes.get_legend_handles_labels()
        handles.update(zip(labels, lines, strict=True))
    # About a twelfth of an inch a letter, and the marks.
    ncols = 1 + len(handles) // 18
    inches = ncols * (0.7 + 0.085 * max(map(len, handles), default=0))
    figure.set_figwidth(figure.get_figwidth() + inches)
    figure.legend(handles.values(), handles, loc="outside right upper", ncols=ncols)


def _plot_wins(path: Path, summaries: dict[str, Any], focus: str) -> None:
    """The win rates of one method against every other, with their intervals."""
    with plt.style.context(STYLE):
        shape = (4.6 * len(summaries), 3.8)
        figure, grid = plt.subplots(1, len(summaries), figsize=shape, squeeze=False, layout="constrained")
        for axes, (name, summary) in zip(grid.flat, summaries.items(), strict=True):
            rates = sorted(summary["win_rate"].get(focus, {}).items(), key=lambda item: -item[1]["mean"])
            _forest(axes, [other for other, _ in rates], [rate for _, rate in rates])
            axes.set(xlabel=f"win rate of {focus}", title=name.replace("x", " x "))
        figure.savefig(path)
        plt.close(figure)


def _forest(axes: Axes, names: Sequence[str], rates: Sequence[dict[str, float]]) -> None:
    means = np.array([rate["mean"] for rate in rates])
    # A bootstrap interval may leave its mean out by a rounding error.
    bounds = [np.maximum(means - [r["low"] for r in rates], 0.0), np.maximum([r["high"] for r in rates] - means, 0.0)]
    axes.errorbar(means, np.arange(len(names)), xerr=np.array(bounds), fmt="o", color="#D55E00", capsize=3)
    axes.axvline(0.5, color="#999999", lw=1)
    axes.set_yticks(np.arange(len(names)), [f"against {name}" for name in names])
    axes.set_xlim(0.0, 1.02)
