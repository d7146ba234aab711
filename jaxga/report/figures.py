"""The figures of the report page, drawn by plotly."""

import html
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io
from plotly.colors import sample_colorscale
from plotly.graph_objects import Figure

from jaxga.base import Objective, Species
from jaxga.report.axes import log_ticks, shortened, spans_decades, whole_range
from jaxga.report.findings import best_members, has_estimates, quartiles
from jaxga.report.importance import Importances
from jaxga.report.lineage import Lineage
from jaxga.report.ranking import Ranking
from jaxga.report.rungs import Rung
from jaxga.runs.history import History
from jaxga.space import Dimension
from jaxga.text import show

# Okabe and Ito's colours, which colour-blind readers can distinguish.
_SPECIES = {"founder": "#8a8f98", "child": "#0072B2", "invader": "#D55E00", "survivor": "#009E73", "heir": "#CC79A7"}
_FIRST, _BAND, _BEST, _QUIET = "#8a8f98", "#0072B2", "#D55E00", "#555555"
_FILLS = {_FIRST: "rgba(138,143,152,0.2)", _BAND: "rgba(0,114,178,0.18)"}
_AXIS = {"gridcolor": "#e8ebf1", "zeroline": False, "linecolor": "#c5cad6", "ticks": "", "automargin": True}
# Plotly's default template adds 7 kB to each figure.
_STYLE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#1d2433"},
        "margin": {"l": 60, "r": 16, "t": 12, "b": 46},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        "xaxis": _AXIS,
        # With True, a label at the upper end changes the height of the plot, the height changes the range, and the
        # range changes the label: plotly draws the figure again and again.
        "yaxis": _AXIS | {"automargin": "left"},
        "plot_bgcolor": "white",
        "paper_bgcolor": "white",
        "hovermode": "closest",
    }
)
# More shapes make a page slow without showing more.
_MAX_POINTS = 2000
_MAX_BARS = 400
_NUM_COLOURS = 12
_HOVER = "%{x}, %{y}, generation %{marker.color}<extra></extra>"
_COLOUR_BAR = {"orientation": "h", "y": 1, "yanchor": "bottom", "thickness": 8, "outlinewidth": 0}


def as_html(figure: Figure) -> str:
    """The figure as a part of a page that has plotly's script; its title is HTML above it, so that it can wrap."""
    layout: Any = figure.layout
    title = f"<h3>{layout.title.text}</h3>" if layout.title.text else ""
    layout.title.text = None
    drawn = plotly.io.to_html(
        figure,
        full_html=False,
        include_plotlyjs=False,
        config={"responsive": True, "displayModeBar": False},
        default_height=f"{layout.height}px",
        validate=False,
    )
    # On a narrower screen the figure scrolls sideways.
    return f"{title}<div style='min-width: {layout.meta or 0}px'>{drawn}</div>"


def _figure(title: str = "", *, height: int = 340, **layout: Any) -> Figure:
    return Figure(layout={"template": _STYLE, "title": {"text": title}, "height": height, **layout})


def _name(text: str, width: int = 32) -> str:
    """A name that the user chose, for plotly, which would take tags in it for HTML."""
    return html.escape(shortened(text.replace("_", " "), width))


def _numbers(values: np.ndarray) -> np.ndarray:
    """Numbers as float32 or int32: the history has no more digits, and they take half the bytes of float64."""
    if np.issubdtype(values.dtype, np.floating):
        return values.astype(np.float32)
    return values.astype(np.int32) if np.abs(values).max(initial=0) < 2**31 else values


def _generations(figure: Figure, numbers: np.ndarray) -> None:
    span = [numbers.min() + 0.5, numbers.max() + 1.5]
    # Plotly would put ticks at halves between few generations.
    figure.update_xaxes(title="generation", range=span, tickvals=numbers + 1 if len(numbers) <= 12 else None)


def _value_axis(update: Callable[..., Any], title: str, values: np.ndarray, direction: str = "max") -> None:
    """Title the axis of a value; logarithmic where the values span decades."""
    is_log = spans_decades(values, direction)
    update(title=_name(title), **({"type": "log", **_log_ticks(values)} if is_log else {"exponentformat": "power"}))


def _log_ticks(values: np.ndarray) -> dict[str, Any]:
    places, texts = log_ticks(values)
    return {"tickvals": places, "ticktext": texts}


def _gene_axis(update: Callable[..., Any], name: str, dimension: Dimension) -> None:
    """The axis of a hyperparameter, over the whole range searched."""
    ends = np.array(whole_range(dimension))
    ticks: dict[str, Any] = {"exponentformat": "power"}
    if dimension.labels:
        ticks = {"tickvals": list(range(len(dimension.labels)))}
        ticks["ticktext"] = [_name(label, 16) for label in dimension.labels]
    elif dimension.is_log:
        ticks = {"type": "log", **_log_ticks(np.array([dimension.low, dimension.high], float))}
        ends = np.log10(ends)
    elif 0 < dimension.num_levels <= 12:
        ticks["dtick"] = 1
    update(title=_name(name), range=ends.tolist(), **ticks)


def _positions(history: History, name: str, rows: np.ndarray) -> np.ndarray:
    """Where members lie along a hyperparameter's axis; those of one choice are spread at random to be visible."""
    dimension = dict(history.space.items)[name]
    places = dimension.positions(history.columns[name][rows])
    if dimension.labels:
        places = places + np.random.default_rng(0).uniform(-0.25, 0.25, len(places))
    return _numbers(places)


def _band(figure: Figure, x: np.ndarray, bounds: np.ndarray, colour: str, name: str) -> None:
    """The middle half, and the median with ``name``; ``bounds``: f64[3, N]."""
    low, middle, high = _numbers(bounds)
    edge = {"x": _numbers(x), "mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    figure.add_scatter(**edge, y=high)
    figure.add_scatter(**edge, y=low, fill="tonexty", fillcolor=_FILLS[colour])
    mode = "lines" if len(x) > 1 else "markers"
    figure.add_scatter(x=_numbers(x), y=middle, mode=mode, line={"color": colour}, name=name)


def progress(history: History) -> Figure:
    """The estimate of the best setting and the middle half of each generation; the best evaluation where it differs."""
    numbers, objective, estimates = history.numbers, history.objective, history.estimates
    bounds = quartiles(history.columns["value"], history.generations)
    shown = [bounds.ravel(), estimates]
    figure = _figure(height=380)
    _band(figure, numbers + 1, bounds, _BAND, "median and middle half of a generation")
    name = "best so far"
    if has_estimates(history):
        best, name = history.best_evaluations, "estimate of the best setting"
        shown.append(best)
        dotted = {"color": _QUIET, "width": 1.5, "dash": "dot"}
        figure.add_scatter(x=numbers + 1, y=_numbers(best), mode="lines", line=dotted, name="best single evaluation")
    line = {"color": _BEST, "width": 3}
    figure.add_scatter(x=numbers + 1, y=_numbers(estimates), mode="lines+markers", line=line, name=name)
    _generations(figure, numbers)
    _value_axis(figure.update_yaxes, objective.name, np.concatenate(shown), objective.direction)
    return figure


def _generation(history: History) -> str:
    """What the rows of one generation are: under a schedule the trainings that ended in it, not those that began."""
    return "generation" if history.scored is history else "whole trainings"


def winner(history: History, fresh: np.ndarray) -> Figure:
    """The winner's values under fresh seeds beside the first and the last generation."""
    groups, value, objective = history.generations, history.columns["value"], history.objective
    what = _generation(history)
    boxes = {f"first<br>{what}": value[groups[0]], f"last<br>{what}": value[groups[-1]]}
    if len(fresh):
        boxes["winner,<br>fresh seeds"] = fresh
    figure = _figure(height=380, showlegend=False)
    for (label, values), colour in zip(boxes.items(), (_FIRST, _BAND, _BEST), strict=False):
        values = _numbers(values[np.isfinite(values)])
        points = "all" if len(values) <= 200 else "outliers"
        figure.add_box(y=values, name=label, boxpoints=points, jitter=0.4, marker_color=colour, marker_size=5)
    _value_axis(figure.update_yaxes, objective.name, np.concatenate(list(boxes.values())), objective.direction)
    return figure


def species(history: History) -> list[Figure]:
    """The members of each generation, and the best so far, by species."""
    numbers, column, generations = history.numbers, history.columns["species"], history.generations
    best, size = best_members(history), max(map(len, generations))
    some = slice(None, None, -(-len(numbers) // _MAX_BARS))
    figures = []
    for title, groups in (("Members by species", generations), (f"The best {size} so far by species", best)):
        figure = _figure(title, height=320, barmode="stack", bargap=0.15)
        for name in (s.name.lower() for s in Species):
            counts = np.array([int((column[rows] == name).sum()) for rows in groups[some]])
            if counts.any():
                figure.add_bar(x=numbers[some] + 1, y=counts, name=name, marker_color=_SPECIES[name])
        _generations(figure, numbers)
        figure.update_yaxes(title="members")
        figure.update_layout(showlegend=True)
        figures.append(figure)
    return figures


def predictions(history: History) -> Figure:
    """The surrogate's prediction and the observed value of each member that has both."""
    columns, objective = history.columns, history.objective
    rows = np.flatnonzero(np.isfinite(columns["predicted"]) & np.isfinite(columns["value"]))
    if len(rows) > _MAX_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(rows, _MAX_POINTS, replace=False))
    predicted, value = columns["predicted"][rows], columns["value"][rows]
    number = columns["generation"][rows] + 1
    figure = _figure("Triangles are invaders; later members are darker", showlegend=False)
    both = np.append(predicted, value)
    ends = _numbers(np.array([predicted.min(), predicted.max()]))
    figure.add_scatter(x=ends, y=ends, mode="lines", line={"dash": "dot", "color": _QUIET}, hoverinfo="skip")
    for is_invader, symbol in ((False, "circle"), (True, "triangle-up")):
        some = (columns["species"][rows] == "invader") == is_invader
        figure.add_scatter(
            x=_numbers(predicted[some]),
            y=_numbers(value[some]),
            mode="markers",
            marker={"color": _numbers(number[some]), "coloraxis": "coloraxis", "symbol": symbol, "size": 7},
            opacity=0.75,
            hovertemplate=_HOVER,
        )
    figure.update_layout(coloraxis=_by_generation(number))
    _value_axis(figure.update_xaxes, f"predicted {objective.name}", both, objective.direction)
    _value_axis(figure.update_yaxes, f"observed {objective.name}", both, objective.direction)
    return figure


def schedule(history: History, found: Sequence[Rung]) -> list[Figure]:
    """The scores of all members over their training by what became of them, and the rank correlation of each rung."""
    columns, objective = history.columns, history.objective
    scores = _figure("Scores of the members that went on and of those that others replaced", showlegend=True)
    value, share = columns["value"], 100 * columns["trained"]
    rng = np.random.default_rng(0)
    shown = []
    for outcome, colour in (("halted", _FIRST), ("went_on", _BAND), ("finished", _BEST)):
        rows = np.flatnonzero((columns["outcome"] == outcome) & np.isfinite(value))
        if not len(rows):
            continue
        rows = np.sort(rng.choice(rows, min(len(rows), _MAX_POINTS), replace=False))
        x = share[rows] + rng.uniform(-1.2, 1.2, len(rows))  # spread, so that they are visible
        marker = {"color": colour, "size": 5, "opacity": 0.6}
        name = outcome.replace("_", " ")
        scores.add_scatter(x=_numbers(x), y=_numbers(value[rows]), mode="markers", marker=marker, name=name)
        shown.append(value[rows])
    if not shown:
        return []
    scores.update_xaxes(title="training done, %", range=[0, 104])
    _value_axis(scores.update_yaxes, objective.name, np.concatenate(shown), objective.direction)
    ranks = _figure("Rank correlation of a rung with the end", showlegend=False)
    known = [rung for rung in found[:-1] if math.isfinite(rung.correlation)]
    if not known:
        return [scores]
    x, y = ([getattr(rung, name) for rung in known] for name in ("share", "correlation"))
    ranks.add_scatter(x=100 * np.array(x), y=y, mode="lines+markers", line_color=_BAND)
    ranks.add_hline(y=0, line={"dash": "dot", "color": _QUIET})
    ranks.update_xaxes(title="training done, %", range=[0, 104])
    ranks.update_yaxes(title="Spearman", range=[min(-0.1, min(y) - 0.1), 1.05])
    return [scores, ranks]


def lineage(history: History, found: Lineage) -> list[Figure]:
    """The trainings of the winner's cohort, who went on from whom, and the winner's hyperparameters part by part."""
    columns, objective = history.columns, history.objective
    value, share = columns["value"], 100 * columns["trained"]
    cohort = _figure("The trainings of its cohort; the winner's is the thick line", showlegend=True)
    for name, colour in (("took over another's training", _SPECIES["heir"]), ("went on", _QUIET)):
        is_kind = found.took_over == (colour != _QUIET)
        kept = is_kind & (found.before >= 0) & np.isfinite(value[found.rows]) & np.isfinite(value[found.before])
        ends = np.stack([found.before[kept], found.rows[kept], found.rows[kept]])  # a line from one to the next
        x, y = share[ends], value[ends].astype(float)
        y[2] = np.nan  # which ends it
        line = {"color": colour, "width": 1}
        cohort.add_scatter(
            x=_numbers(x.T.ravel()), y=_numbers(y.T.ravel()), mode="lines", line=line, name=name, hoverinfo="skip"
        )
    x, y = share[found.winner], value[found.winner]
    line = {"color": _BEST, "width": 3}
    cohort.add_scatter(x=_numbers(x), y=_numbers(y), mode="lines+markers", line=line, name="the winner")
    cohort.update_xaxes(title="training done, %", range=[0, 104])
    _value_axis(cohort.update_yaxes, objective.name, value[found.rows], objective.direction)
    drawn = [cohort]
    for name, dimension in history.space.items:
        told = columns[name][found.winner]
        if not np.issubdtype(told.dtype, np.number) or len(set(told.tolist())) == 1:
            continue  # a category is in the table of the winner
        figure = _figure(name.replace("_", " "), height=220, showlegend=False)
        step = {"color": _BEST, "shape": "vh"}  # a value holds in the part that ends at its point
        figure.add_scatter(x=_numbers(x), y=_numbers(told), mode="lines+markers", line=step)
        figure.update_xaxes(title="training done, %", range=[0, 104])
        figure.update_yaxes(type="log" if dimension.is_log else "linear")
        drawn.append(figure)
    return drawn


def _by_generation(number: np.ndarray) -> dict[str, Any]:
    """A colour axis by number of generation: later is darker."""
    low, high = int(number.min()), int(number.max())
    return {"colorscale": "Viridis", "reversescale": True, "cmin": low, "cmax": max(high, low + 1), "showscale": False}


def rankings(found: Ranking) -> Figure:
    """The rank correlation of predicted and observed values by generation."""
    figure = _figure("Rank correlation within a generation", showlegend=math.isfinite(found.ceiling))
    x = found.numbers + 1
    line = {"mode": "lines+markers", "line": {"color": _BAND}}
    figure.add_scatter(x=x, y=_numbers(found.correlations), **line, name="this surrogate")
    if math.isfinite(found.ceiling):
        ends, dashed = [x[0] - 0.5, x[-1] + 0.5], {"color": _BEST, "dash": "dash"}
        name = "a perfect surrogate, about"
        figure.add_scatter(x=ends, y=[found.ceiling] * 2, mode="lines", line=dashed, name=name)
    figure.add_hline(y=0, line={"dash": "dot", "color": _QUIET})
    _generations(figure, found.numbers)
    figure.update_yaxes(title="Spearman", range=[min(-0.1, found.correlations.min() - 0.1), 1.05])
    return figure


def importance(found: Importances) -> Figure:
    """The share of each hyperparameter, and what random subsets have."""
    names = sorted(found.shares, key=lambda name: found.shares[name])
    places = np.arange(len(names))  # as labels, two long names might be shortened to one
    figure = _figure(height=120 + 30 * len(names), showlegend=True)
    figure.add_bar(
        y=places, x=[found.shares[n] for n in names], orientation="h", name="share", marker_color=_BAND, width=0.6
    )
    mark = {"symbol": "line-ns", "size": 20, "line": {"width": 3, "color": _BEST}}
    chance, label = [found.by_chance[n] for n in names], "chance: 95 % of random subsets have less"
    figure.add_scatter(y=places, x=chance, mode="markers", marker=mark, name=label)
    figure.update_xaxes(title="share", rangemode="tozero")
    figure.update_yaxes(tickvals=places, ticktext=[_name(name) for name in names])
    return figure


def slices(history: History, names: Sequence[str], rows: np.ndarray) -> list[Figure]:
    """One figure a hyperparameter: its value and the objective's of every member."""
    columns, objective = history.columns, history.objective
    value, number = columns["value"][rows], columns["generation"][rows] + 1
    dimensions, figures = dict(history.space.items), []
    # Markers of the first generations are pale: an outline keeps them visible.
    line = {"width": 0.5, "color": _QUIET}
    for name in names:
        figure = _figure(height=300, coloraxis=_by_generation(number))
        figure.add_scatter(
            x=_positions(history, name, rows),
            y=_numbers(value),
            mode="markers",
            marker={"color": _numbers(number), "coloraxis": "coloraxis", "size": 6, "line": line},
            hovertemplate=_HOVER,
        )
        _gene_axis(figure.update_xaxes, name, dimensions[name])
        _value_axis(figure.update_yaxes, objective.name, value, objective.direction)
        figures.append(figure)
    return figures


def _by_value(objective: Objective, value: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Colours by value and their axis: better is darker, and the worst tenth has one colour."""
    is_log = spans_decades(value, objective.direction)
    bounds = np.percentile(value, [0, 90] if objective.direction == "min" else [10, 100]).astype(float)
    bar = {"title": {"text": _name(objective.name), "side": "top"}, **_COLOUR_BAR}
    if is_log:
        bar |= _logarithms(_log_ticks(bounds))
        value, bounds = np.log10(value), np.log10(bounds)
    if bounds[0] == bounds[1]:
        bounds[1] += 1.0
    scale = {"colorscale": "Viridis", "cmin": bounds[0], "cmax": bounds[1], "colorbar": bar}
    return _numbers(value), scale | {"reversescale": objective.direction == "max"}


def _logarithms(ticks: dict[str, Any]) -> dict[str, Any]:
    """Ticks of a logarithmic axis for a scale of logarithms."""
    return {**ticks, "tickvals": [math.log10(tick) for tick in ticks["tickvals"]]}


def _worst_first(history: History, rows: np.ndarray) -> np.ndarray:
    """Rows in drawing order: the best members on top."""
    return rows[np.argsort(-history.loss[rows], kind="stable")]


def pairs(history: History, names: Sequence[tuple[str, str]], rows: np.ndarray) -> list[Figure]:
    """One figure a pair of hyperparameters: both values of every member, coloured by the objective."""
    rows = _worst_first(history, rows)
    colour, scale = _by_value(history.objective, history.columns["value"][rows])
    dimensions, figures = dict(history.space.items), []
    for x, y in names:
        figure = _figure(height=400, showlegend=False, coloraxis=scale)
        places = {name: _positions(history, name, rows) for name in (x, y)}
        marker = {"color": colour, "coloraxis": "coloraxis", "size": 7, "line": {"width": 0.5, "color": "white"}}
        figure.add_scatter(x=places[x], y=places[y], mode="markers", marker=marker)
        _gene_axis(figure.update_xaxes, x, dimensions[x])
        _gene_axis(figure.update_yaxes, y, dimensions[y])
        figures.append(figure)
    return figures


def parallel(history: History, names: Sequence[str], rows: np.ndarray) -> Figure:
    """Parallel coordinates: a line a member across the objective's axis and those of the hyperparameters.

    Drawn as one trace of plain lines a colour, because plotly's own parallel coordinates need WebGL.
    """
    rows, objective = _worst_first(history, rows), history.objective
    value = history.columns["value"][rows]
    colour, scale = _by_value(objective, value)
    dimensions = dict(history.space.items)
    axes = [(_name(objective.name, 18), *_unit(value, spans_decades(value, objective.direction)))]
    axes += [(_name(name, 18), *_unit_gene(_positions(history, name, rows), dimensions[name])) for name in names]
    # NaN ends the line of each member, which has no point at the axis of what is inactive.
    places = np.column_stack([unit for _, unit, _ in axes] + [np.full(len(rows), np.nan)])
    x = np.broadcast_to(np.append(np.arange(len(axes)), np.nan), places.shape)
    has_point = np.isfinite(places) | np.isnan(x)
    share = np.clip((colour - scale["cmin"]) / (scale["cmax"] - scale["cmin"]), 0, 1)
    bins = np.minimum((share * _NUM_COLOURS).astype(int), _NUM_COLOURS - 1)
    shades = sample_colorscale("Viridis", np.linspace(0, 1, _NUM_COLOURS)[:: -1 if scale["reversescale"] else 1])
    layout: dict[str, Any] = {"meta": 90 * len(axes), "margin": {"l": 40, "r": 40, "t": 12, "b": 46}}
    figure = _figure(height=400, showlegend=False, **layout)
    for i in range(_NUM_COLOURS) if scale["reversescale"] else reversed(range(_NUM_COLOURS)):
        if (bins == i).any():
            figure.add_scatter(
                x=_numbers(x[bins == i][has_point[bins == i]]),
                y=_numbers(places[bins == i][has_point[bins == i]]),
                mode="lines",
                line={"color": shades[i], "width": 1},
                opacity=0.7,
                hoverinfo="skip",
            )
    for i, (_, _, marks) in enumerate(axes):
        for place, text in marks:
            font: Any = {"size": 11}
            figure.add_annotation(x=i, y=place, text=text, showarrow=False, font=font, bgcolor="white", opacity=0.9)
    ticks = {"tickvals": list(range(len(axes))), "ticktext": [label for label, _, _ in axes]}
    figure.update_xaxes(range=[-0.3, len(axes) - 0.7], gridcolor="#8a8f98", **ticks)
    figure.update_yaxes(range=[-0.1, 1.1], visible=False)
    return figure


Marks = list[tuple[float, str]]


def _unit(values: np.ndarray, is_log: bool, bounds: Sequence[float] | None = None) -> tuple[np.ndarray, Marks]:
    """Values scaled to [0, 1] by ``bounds`` or their own range, and the texts at both ends of the axis."""
    low, high = (float(values.min()), float(values.max())) if bounds is None else bounds
    marks = [(-0.05, show(low)), (1.05, show(high))]
    values, ends = values.astype(float), np.array([low, high], float)
    if is_log:
        values, ends = np.log10(values), np.log10(ends)
    return (values - ends[0]) / ((ends[1] - ends[0]) or 1.0), marks


def _unit_gene(places: np.ndarray, dimension: Dimension) -> tuple[np.ndarray, Marks]:
    if num := len(dimension.labels):
        texts = [_name(label, 12) for label in dimension.labels] if num <= 8 else []
        return (places + 0.5) / num, [((i + 0.5) / num, text) for i, text in enumerate(texts)]
    return _unit(places, dimension.is_log, (dimension.low, dimension.high))


def curves(history: History, best: int, label: str) -> list[Figure]:
    """One figure a recorded curve: the first generation, the later members, and the row ``best`` called ``label``."""
    figures, groups = [], history.generations
    parts = [(f"first {_generation(history)}", groups[0], _FIRST)]
    if len(groups) > 1:
        parts.append(("later members", np.concatenate(groups[1:]), _BAND))
    for name, column in history.columns.items():
        if column.ndim != 2 or column.shape[1] < 2:
            continue
        figure = _figure(_name(name))
        x = np.arange(1, column.shape[1] + 1) / column.shape[1] * 100
        shown = [column[best]]
        for part, rows, colour in parts:
            bounds = np.concatenate([quartiles(point, [rows]) for point in column.T], axis=1)
            _band(figure, x, bounds, colour, f"{part}, median")
            shown.append(bounds.ravel())
        line = {"color": _BEST, "width": 3}
        figure.add_scatter(x=_numbers(x), y=_numbers(shown[0]), mode="lines", line=line, name=label)
        figure.update_xaxes(title="training done, %", range=[0, 100])
        _value_axis(figure.update_yaxes, "", np.concatenate(shown))
        figures.append(figure)
    return figures


def throughput(numbers: np.ndarray, per_second: np.ndarray, unit: str) -> Figure:
    """Members, or what ``unit`` says, trained per second, by generation."""
    figure = _figure("Throughput", height=300, showlegend=False)
    figure.add_scatter(x=numbers + 1, y=_numbers(per_second), mode="lines+markers", line_color=_BAND)
    _generations(figure, numbers)
    figure.update_yaxes(title=f"{unit.lower()} per second", rangemode="tozero", exponentformat="power")
    return figure


def time_parts(seconds: dict[str, float]) -> Figure:
    """Seconds by part of the run."""
    figure = _figure("Seconds by part", height=300, showlegend=False)
    spent = np.array(list(seconds.values()))
    figure.add_bar(x=_numbers(spent), y=[_name(part) for part in seconds], orientation="h", marker_color=_BAND)
    figure.update_xaxes(title="seconds")
    figure.update_yaxes(autorange="reversed")
    return figure
