"""The figures of a report, drawn by plotly."""

import html
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io
from plotly.colors import sample_colorscale

from jaxga.base import Species
from jaxga.report.findings import (
    Importances,
    Ranking,
    best_so_far,
    choice_places,
    log_ticks,
    quartiles,
    shortened,
    spans_decades,
)
from jaxga.report.table import Table
from jaxga.space import Categorical, Dimension, Integer, LogInteger, LogUniform
from jaxga.text import show

# Okabe and Ito's colours, told apart by colour-blind readers too.
_SPECIES = {"founder": "#8a8f98", "child": "#0072B2", "invader": "#D55E00", "survivor": "#009E73"}
_FIRST, _BAND, _BEST, _QUIET = "#8a8f98", "#0072B2", "#D55E00", "#555555"
_FILLS = {_FIRST: "rgba(138,143,152,0.2)", _BAND: "rgba(0,114,178,0.18)"}
_AXIS = {"gridcolor": "#e8ebf1", "zeroline": False, "linecolor": "#c5cad6", "ticks": "", "automargin": True}
# Ours instead of plotly's own, which is 7 kB in each figure.
_STYLE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#1d2433"},
        "margin": {"l": 60, "r": 16, "t": 12, "b": 46},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "plot_bgcolor": "white",
        "paper_bgcolor": "white",
        "hovermode": "closest",
    }
)
# More shapes make a page slow and show no more.
_MAX_POINTS = 2000
_MAX_BARS = 400
_NUM_COLOURS = 12
_HOVER = "%{x}, %{y}, generation %{marker.color}<extra></extra>"
_COLOUR_BAR = {"orientation": "h", "y": 1, "yanchor": "bottom", "thickness": 8, "outlinewidth": 0}


def as_html(figure: go.Figure) -> str:
    """The figure as a part of a page that has plotly's script; its title stands above it, where it can wrap."""
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
    # On a screen that is narrower it is moved sideways.
    return f"{title}<div style='min-width: {layout.meta or 0}px'>{drawn}</div>"


def _figure(title: str = "", *, height: int = 340, **layout: Any) -> go.Figure:
    return go.Figure(layout={"template": _STYLE, "title": {"text": title}, "height": height, **layout})


def _name(text: str, width: int = 32) -> str:
    """A name of the user's as plotly shows it: tags in it are text."""
    return html.escape(shortened(text.replace("_", " "), width))


def _numbers(values: np.ndarray) -> np.ndarray:
    """As in the history, where numbers are float32: half the bytes of a page of float64."""
    if np.issubdtype(values.dtype, np.floating):
        return values.astype(np.float32)
    return values.astype(np.int32) if np.abs(values).max(initial=0) < 2**31 else values


def _generations(figure: go.Figure, numbers: np.ndarray) -> None:
    span = [numbers.min() + 0.5, numbers.max() + 1.5]
    # Few generations would get halves between them.
    figure.update_xaxes(title="generation", range=span, tickvals=numbers + 1 if len(numbers) <= 12 else None)


def _value_axis(update: Callable[..., Any], title: str, values: np.ndarray, direction: str = "max") -> None:
    """Title the axis of a value; logarithmic where the values span decades."""
    is_log = spans_decades(values, direction)
    update(title=_name(title), **({"type": "log", **_log_ticks(values)} if is_log else {"exponentformat": "power"}))


def _log_ticks(values: np.ndarray) -> dict[str, Any]:
    places, texts = log_ticks(values)
    return {"tickvals": places, "ticktext": texts}


def _gene_axis(update: Callable[..., Any], name: str, dimension: Dimension) -> None:
    """The whole range of a hyperparameter, searched there or not."""
    if isinstance(dimension, Categorical):
        choices = [_name(str(choice), 16) for choice in dimension.choices]
        span = [-0.5, dimension.num_levels - 0.5]
        update(title=_name(name), tickvals=list(range(dimension.num_levels)), ticktext=choices, range=span)
    elif isinstance(dimension, LogUniform | LogInteger):
        span = [math.log10(dimension.low), math.log10(dimension.high)]
        margin = 0.03 * (span[1] - span[0])
        ticks = _log_ticks(np.array([dimension.low, dimension.high]))
        update(title=_name(name), type="log", range=[span[0] - margin, span[1] + margin], **ticks)
    else:
        margin = 0.03 * (dimension.high - dimension.low)
        whole = {"dtick": 1} if isinstance(dimension, Integer) and dimension.num_levels <= 12 else {}
        span = [dimension.low - margin, dimension.high + margin]
        update(title=_name(name), range=span, exponentformat="power", **whole)


def _positions(table: Table, name: str, rows: np.ndarray) -> np.ndarray:
    """Where members lie along a hyperparameter's axis; those of one choice are spread, to be seen."""
    dimension, column = dict(table.space.items)[name], table.columns[name][rows]
    if not isinstance(dimension, Categorical):
        return _numbers(column)
    places = choice_places(column, dimension)
    return _numbers(places + np.random.default_rng(0).uniform(-0.25, 0.25, len(places)))


def _band(figure: go.Figure, x: np.ndarray, bounds: np.ndarray, colour: str, name: str) -> None:
    """The middle half, and the median with ``name``; ``bounds``: f64[3, N]."""
    low, middle, high = _numbers(bounds)
    edge = {"x": _numbers(x), "mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    figure.add_scatter(**edge, y=high)
    figure.add_scatter(**edge, y=low, fill="tonexty", fillcolor=_FILLS[colour])
    mode = "lines" if len(x) > 1 else "markers"
    figure.add_scatter(x=_numbers(x), y=middle, mode=mode, line={"color": colour}, name=name)


def progress(table: Table) -> go.Figure:
    """The best believed, and the middle half of each generation; with noise the luckiest, and the fresh seeds."""
    numbers = np.unique(table.columns["generation"])
    bounds = quartiles(table.columns["value"], table.generations)
    best, shown = table.believed, [bounds.ravel(), table.believed]
    figure = _figure(height=380)
    _band(figure, numbers + 1, bounds, _BAND, "median and middle half of a generation")
    if table.is_noisy:
        shown.append(table.least)
        luckiest = {"color": _QUIET, "width": 1.5, "dash": "dot"}
        figure.add_scatter(x=numbers + 1, y=_numbers(table.least), mode="lines", line=luckiest, name="luckiest member")
    name = "believed of the best setting" if table.is_noisy else "best so far"
    figure.add_scatter(
        x=numbers + 1, y=_numbers(best), mode="lines+markers", line={"color": _BEST, "width": 3}, name=name
    )
    _generations(figure, numbers)
    _value_axis(figure.update_yaxes, table.objective.name, np.concatenate(shown), table.objective.direction)
    return figure


def winner(table: Table) -> go.Figure:
    """The winner's fresh seeds beside the first and the last generation."""
    groups, value = table.generations, table.columns["value"]
    boxes = {
        "first<br>generation": value[groups[0]],
        "last<br>generation": value[groups[-1]],
        "winner,<br>fresh seeds": np.asarray(table.result["fresh"][table.objective.name], float),
    }
    figure = _figure(height=380, showlegend=False)
    for (label, values), colour in zip(boxes.items(), (_FIRST, _BAND, _BEST), strict=True):
        values = _numbers(values[np.isfinite(values)])
        points = "all" if len(values) <= 200 else "outliers"
        figure.add_box(y=values, name=label, boxpoints=points, jitter=0.4, marker_color=colour, marker_size=5)
    shown = np.concatenate(list(boxes.values()))
    _value_axis(figure.update_yaxes, table.objective.name, shown, table.objective.direction)
    return figure


def species(table: Table) -> list[go.Figure]:
    """Who bred the members of each generation, and the best so far."""
    numbers, column = np.unique(table.columns["generation"]), table.columns["species"]
    best = best_so_far(table)
    size = max(map(len, table.generations))
    some = slice(None, None, -(-len(numbers) // _MAX_BARS))
    figures = []
    for title, groups in (
        ("Members bred, by species", table.generations),
        (f"The best {size} so far, by who bred them", best),
    ):
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


def predictions(table: Table) -> go.Figure:
    """Each predicted member: what the surrogate expected, and what it had."""
    columns = table.columns
    rows = np.flatnonzero(np.isfinite(columns["predicted"]) & np.isfinite(columns["value"]))
    if len(rows) > _MAX_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(rows, _MAX_POINTS, replace=False))
    predicted, value = columns["predicted"][rows], columns["value"][rows]
    number = columns["generation"][rows] + 1
    figure = _figure("Triangles are invaders; darker is later", showlegend=False)
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
    _value_axis(figure.update_xaxes, f"predicted {table.objective.name}", both, table.objective.direction)
    _value_axis(figure.update_yaxes, f"observed {table.objective.name}", both, table.objective.direction)
    return figure


def _by_generation(number: np.ndarray) -> dict[str, Any]:
    """A colour axis: later is darker."""
    low, high = int(number.min()), int(number.max())
    return {"colorscale": "Viridis", "reversescale": True, "cmin": low, "cmax": max(high, low + 1), "showscale": False}


def rankings(found: Ranking) -> go.Figure:
    """The rank correlation of predicted and observed by generation."""
    figure = _figure("Rank correlation within a generation", showlegend=math.isfinite(found.ceiling))
    x = found.numbers + 1
    line = {"mode": "lines+markers", "line": {"color": _BAND}}
    figure.add_scatter(x=x, y=_numbers(found.correlations), **line, name="this surrogate")
    if math.isfinite(found.ceiling):
        ends, dashed = [x[0] - 0.5, x[-1] + 0.5], {"color": _BEST, "dash": "dash"}
        name = "one that knew every true value, about"
        figure.add_scatter(x=ends, y=[found.ceiling] * 2, mode="lines", line=dashed, name=name)
    figure.add_hline(y=0, line={"dash": "dot", "color": _QUIET})
    _generations(figure, found.numbers)
    figure.update_yaxes(title="Spearman", range=[min(-0.1, found.correlations.min() - 0.1), 1.05])
    return figure


def importance(found: Importances) -> go.Figure:
    """The share of each hyperparameter, and what chance gives."""
    names = sorted(found.shares, key=lambda name: found.shares[name])
    places = np.arange(len(names))  # two long names may be shortened to one
    figure = _figure(height=120 + 30 * len(names), showlegend=True)
    figure.add_bar(
        y=places, x=[found.shares[n] for n in names], orientation="h", name="share", marker_color=_BAND, width=0.6
    )
    mark = {"symbol": "line-ns", "size": 20, "line": {"width": 3, "color": _BEST}}
    chance, label = [found.by_chance[n] for n in names], "chance: 95 of 100 random tenths have less"
    figure.add_scatter(y=places, x=chance, mode="markers", marker=mark, name=label)
    figure.update_xaxes(title="share", rangemode="tozero")
    figure.update_yaxes(tickvals=places, ticktext=[_name(name) for name in names])
    return figure


def slices(table: Table, names: Sequence[str], rows: np.ndarray) -> list[go.Figure]:
    """Every member by one hyperparameter, a figure each."""
    value, number = table.columns["value"][rows], table.columns["generation"][rows] + 1
    dimensions, figures = dict(table.space.items), []
    # The first members are pale: a line keeps them visible.
    line = {"width": 0.5, "color": _QUIET}
    for name in names:
        figure = _figure(height=300, coloraxis=_by_generation(number))
        figure.add_scatter(
            x=_positions(table, name, rows),
            y=_numbers(value),
            mode="markers",
            marker={"color": _numbers(number), "coloraxis": "coloraxis", "size": 6, "line": line},
            hovertemplate=_HOVER,
        )
        _gene_axis(figure.update_xaxes, name, dimensions[name])
        _value_axis(figure.update_yaxes, table.objective.name, value, table.objective.direction)
        figures.append(figure)
    return figures


def _by_value(table: Table, value: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """What colours members by their value, better is darker, and the colour axis; the worst tenth has one colour."""
    is_log = spans_decades(value, table.objective.direction)
    bounds = np.percentile(value, [0, 90] if table.objective.direction == "min" else [10, 100]).astype(float)
    bar = {"title": {"text": _name(table.objective.name), "side": "top"}, **_COLOUR_BAR}
    if is_log:
        bar |= _logarithms(_log_ticks(bounds))
        value, bounds = np.log10(value), np.log10(bounds)
    if bounds[0] == bounds[1]:
        bounds[1] += 1.0
    scale = {"colorscale": "Viridis", "cmin": bounds[0], "cmax": bounds[1], "colorbar": bar}
    return _numbers(value), scale | {"reversescale": table.objective.direction == "max"}


def pairs(table: Table, names: Sequence[tuple[str, str]], rows: np.ndarray) -> list[go.Figure]:
    """Every member by two hyperparameters, a figure each pair; the best lie on top."""
    rows = rows[np.argsort(-table.loss[rows], kind="stable")]
    colour, scale = _by_value(table, table.columns["value"][rows])
    dimensions, figures = dict(table.space.items), []
    for x, y in names:
        figure = _figure(height=400, showlegend=False, coloraxis=scale)
        places = {name: _positions(table, name, rows) for name in (x, y)}
        marker = {"color": colour, "coloraxis": "coloraxis", "size": 7, "line": {"width": 0.5, "color": "white"}}
        figure.add_scatter(x=places[x], y=places[y], mode="markers", marker=marker)
        _gene_axis(figure.update_xaxes, x, dimensions[x])
        _gene_axis(figure.update_yaxes, y, dimensions[y])
        figures.append(figure)
    return figures


def parallel(table: Table, names: Sequence[str], rows: np.ndarray) -> go.Figure:
    """A line a member across the axes of the hyperparameters, the value first; the best lie on top.

    Plain lines, a trace a colour: what plotly has for this needs WebGL and stays empty without.
    """
    rows = rows[np.argsort(-table.loss[rows], kind="stable")]
    value = table.columns["value"][rows]
    colour, scale = _by_value(table, value)
    dimensions = dict(table.space.items)
    axes = [(_name(table.objective.name, 18), *_unit(value, spans_decades(value, table.objective.direction)))]
    axes += [(_name(name, 18), *_unit_gene(_positions(table, name, rows), dimensions[name])) for name in names]
    # A gap after each member.
    places = np.column_stack([unit for _, unit, _ in axes] + [np.full(len(rows), np.nan)])
    x = np.append(np.arange(len(axes)), np.nan)
    share = np.clip((colour - scale["cmin"]) / (scale["cmax"] - scale["cmin"]), 0, 1)
    bins = np.minimum((share * _NUM_COLOURS).astype(int), _NUM_COLOURS - 1)
    shades = sample_colorscale("Viridis", np.linspace(0, 1, _NUM_COLOURS)[:: -1 if scale["reversescale"] else 1])
    order = range(_NUM_COLOURS) if scale["reversescale"] else reversed(range(_NUM_COLOURS))
    layout: dict[str, Any] = {"meta": 90 * len(axes), "margin": {"l": 40, "r": 40, "t": 12, "b": 46}}
    figure = _figure(height=400, showlegend=False, **layout)
    for i in order:
        if (bins == i).any():
            figure.add_scatter(
                x=_numbers(np.tile(x, (bins == i).sum())),
                y=_numbers(places[bins == i].ravel()),
                mode="lines",
                line={"color": shades[i], "width": 1},
                opacity=0.7,
                hoverinfo="skip",
            )
    for i, (_, _, marks) in enumerate(axes):
        for place, text in marks:
            figure.add_annotation(
                x=i, y=place, text=text, showarrow=False, font={"size": 11}, bgcolor="white", opacity=0.9
            )
    ticks = {"tickvals": list(range(len(axes))), "ticktext": [label for label, _, _ in axes]}
    figure.update_xaxes(range=[-0.3, len(axes) - 0.7], gridcolor="#8a8f98", **ticks)
    figure.update_yaxes(range=[-0.1, 1.1], visible=False)
    return figure


Marks = list[tuple[float, str]]


def _unit(values: np.ndarray, is_log: bool, bounds: Sequence[float] | None = None) -> tuple[np.ndarray, Marks]:
    """Values between their bounds, or the least and the greatest of them, as 0 to 1; what to write at both ends."""
    low, high = (float(values.min()), float(values.max())) if bounds is None else bounds
    marks = [(-0.05, show(low)), (1.05, show(high))]
    values, ends = values.astype(float), np.array([low, high], float)
    if is_log:
        values, ends = np.log10(values), np.log10(ends)
    return (values - ends[0]) / ((ends[1] - ends[0]) or 1.0), marks


def _unit_gene(places: np.ndarray, dimension: Dimension) -> tuple[np.ndarray, Marks]:
    if isinstance(dimension, Categorical):
        num = dimension.num_levels
        texts = [_name(str(choice), 12) for choice in dimension.choices] if num <= 8 else []
        return (places + 0.5) / num, [((i + 0.5) / num, text) for i, text in enumerate(texts)]
    return _unit(places, isinstance(dimension, LogUniform | LogInteger), (dimension.low, dimension.high))


def _logarithms(ticks: dict[str, Any]) -> dict[str, Any]:
    """Ticks of a logarithmic axis for a scale of logarithms."""
    return {**ticks, "tickvals": [math.log10(tick) for tick in ticks["tickvals"]]}


def curves(table: Table) -> list[go.Figure]:
    """What each member recorded of its training: the first generation, the later ones, the winner."""
    figures, groups = [], table.generations
    best = "winner, its best training" if table.result else "best member"
    parts = [("first generation", groups[0], _FIRST)]
    if len(groups) > 1:
        parts.append(("later members", np.concatenate(groups[1:]), _BAND))
    for name, column in table.columns.items():
        if column.ndim != 2 or column.shape[1] < 2:
            continue
        figure = _figure(_name(name))
        x = np.arange(1, column.shape[1] + 1) / column.shape[1] * 100
        shown = [column[table.best_row]]
        for label, rows, colour in parts:
            bounds = np.concatenate([quartiles(point, [rows]) for point in column.T], axis=1)
            _band(figure, x, bounds, colour, f"{label}, median")
            shown.append(bounds.ravel())
        line = {"color": _BEST, "width": 3}
        figure.add_scatter(x=_numbers(x), y=_numbers(shown[0]), mode="lines", line=line, name=best)
        figure.update_xaxes(title="training done, %", range=[0, 100])
        _value_axis(figure.update_yaxes, "", np.concatenate(shown))
        figures.append(figure)
    return figures


def throughput(numbers: np.ndarray, members_per_second: np.ndarray) -> go.Figure:
    """Members trained per second by generation."""
    figure = _figure("Throughput", height=300, showlegend=False)
    figure.add_scatter(x=numbers + 1, y=_numbers(members_per_second), mode="lines+markers", line_color=_BAND)
    _generations(figure, numbers)
    figure.update_yaxes(title="members per second", rangemode="tozero", exponentformat="power")
    return figure


def time_parts(seconds: dict[str, float]) -> go.Figure:
    """Where the time went."""
    figure = _figure("Where the time went", height=300, showlegend=False)
    spent = np.array(list(seconds.values()))
    figure.add_bar(x=_numbers(spent), y=[_name(part) for part in seconds], orientation="h", marker_color=_BAND)
    figure.update_xaxes(title="seconds")
    figure.update_yaxes(autorange="reversed")
    return figure
