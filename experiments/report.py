"""The report of a run as one file that opens without a network: ``python experiments/report.py DIR``."""

import html
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import optuna
import plotly.graph_objects as go
import plotly.io
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.visualization import plot_contour, plot_parallel_coordinate, plot_slice
from plotly.offline import get_plotlyjs

from experiments.screen import show
from experiments.study import study
from experiments.table import Table, read_table
from jaxga.base import Species
from jaxga.space import LogInteger, LogUniform

_COLOURS = {"founder": "#8a8f98", "child": "#0072B2", "invader": "#D55E00", "survivor": "#009E73"}
_BEST, _BAND = "#D55E00", "#0072B2"
# Optuna's figures draw every trial as a point of the page; more would make it slow without showing more.
_MAX_TRIALS = 1000
_MAX_PAIRS = 4

Section = tuple[str, str, list[go.Figure]]


def write_report(path: Path, table: Table | None = None) -> Path:
    """``report.html`` in the run's folder; ``ValueError`` where the folder has no recorded generation."""
    table = read_table(path) if table is None else table
    target = path / "report.html"
    target.write_text(_page(table), encoding="utf-8")
    return target


def _page(table: Table) -> str:
    sections = []
    for make in (_progress, _winner, _species, _surrogate, _importance, _hyperparameters, _curves, _time):
        sections += [_section(*section) for section in make(table)]
    return _PAGE.format(
        title=html.escape(table.title),
        summary=_summary(table),
        sections="\n".join(sections),
        plotly=get_plotlyjs(),
        style=_STYLE,
    )


def _section(title: str, text: str, figures: list[go.Figure]) -> str:
    parts = []
    for figure in figures:
        _house_style(figure)
        content = plotly.io.to_html(
            figure, full_html=False, include_plotlyjs=False, config={"responsive": True, "displayModeBar": False}
        )
        parts.append(f'<div class="figure">{content}</div>')
    return f"<section><h2>{html.escape(title)}</h2><p>{text}</p><div class='figures'>{''.join(parts)}</div></section>"


def _house_style(figure: go.Figure) -> None:
    figure.update_layout(
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "size": 12, "color": "#1d2433"},
        margin={"l": figure.layout.margin.l or 60, "r": 20, "t": 36 if figure.layout.title.text else 12, "b": 50},
        height=figure.layout.height or 360,
        width=None,
        autosize=True,
        title={"font": {"size": 14}, "x": 0.01, "xanchor": "left"},
        legend={"orientation": "h", "y": -0.2, "x": 0, "yanchor": "top"},
        paper_bgcolor="white",
    )
    figure.update_xaxes(exponentformat="power")  # 10^-4, not 100 micro
    figure.update_yaxes(exponentformat="power")


def _whole(num_generations: int) -> int | None:
    """The step of an axis of generations: few of them would get halves between them."""
    return 1 if num_generations <= 12 else None


def _by_generation(table: Table) -> tuple[np.ndarray, list[np.ndarray]]:
    """The generations, counted from 1, and the rows of each."""
    numbers = np.unique(table.columns["generation"])
    return numbers + 1, [np.flatnonzero(table.columns["generation"] == number) for number in numbers]


def _loss(table: Table) -> np.ndarray:
    loss = table.objective.sign * table.columns["value"].astype(float)
    return np.where(np.isfinite(loss), loss, np.inf)


def _summary(table: Table) -> str:
    name, result, value = table.objective.name, table.result, table.columns["value"]
    first = value[table.columns["generation"] == 0]
    first = first[np.isfinite(first)]
    tiles = []
    if result:
        fresh = np.asarray(result["fresh"][name], float)
        spread = f" ± {show(float(np.std(fresh, ddof=1)))}" if fresh.size > 1 else ""
        tiles += [(f"{name} of the winner, search", show(result["best_value"]))]
        tiles += [(f"on {fresh.size} fresh seed{'s' * (fresh.size > 1)}", f"{show(float(fresh.mean()))}{spread}")]
        extra = {
            k: np.asarray(v, float) for k, v in result["fresh"].items() if k.startswith("test_") and np.ndim(v) == 1
        }
        tiles += [(k.replace("_", " "), show(float(v.mean()))) for k, v in extra.items()]
    else:
        best = table.objective.sign * _loss(table).min()
        tiles += [(f"best {name} so far; the run did not end", show(best))]
    if first.size:
        tiles += [("median of the first generation", show(float(np.median(first))))]
    failed = int((~np.isfinite(value)).sum())
    tiles += [("members trained", f"{table.num_members:,}"), ("of them failed", f"{failed:,}")]
    cells = "".join(f"<div class='tile'><b>{html.escape(v)}</b><span>{html.escape(k)}</span></div>" for k, v in tiles)
    config = table.config
    # What stands in brackets, such as why a download failed, is in config.json.
    source = config["data"].get("source", "").split(" (")[0]
    data = f"{config['data']['name']}: {source}. " if source else ""
    about = (
        f"{data}Seed {config['options']['seed']}, {len(config['devices'])} x {config['devices'][0]}, "
        f"{config['processor']}, jax {config['versions'].get('jax')}. Run {config['run']}, {config['created']}."
    )
    note = f" Ended early: {result['reason']}." if result.get("reason") else ""
    note += " Interrupted by Ctrl-C." if result.get("status") == "interrupted" else ""
    return f"<p class='about'>{html.escape(about + note)}</p><div class='tiles'>{cells}</div>"


def _log_axis(table: Table, values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    is_wide = values.size and values.min() > 0 and values.max() > 30 * values.min()
    return "log" if table.objective.direction == "min" and is_wide else "linear"


def _progress(table: Table) -> Iterator[Section]:
    x, groups = _by_generation(table)
    value, sign = table.columns["value"].astype(float), table.objective.sign
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a generation without a finite value is a gap
        quartiles = np.array(
            [np.nanpercentile(np.where(np.isfinite(value[g]), value[g], np.nan), [25, 50, 75]) for g in groups]
        )
    best = sign * np.minimum.accumulate([_loss(table)[g].min() for g in groups])
    figure = go.Figure()
    line = {"x": x, "mode": "lines"}
    figure.add_scatter(**line, y=quartiles[:, 2], line={"width": 0}, showlegend=False, hoverinfo="skip")
    figure.add_scatter(
        **line, y=quartiles[:, 0], line={"width": 0}, fill="tonexty", fillcolor="rgba(0,114,178,0.18)", name="quartiles"
    )
    figure.add_scatter(**line, y=quartiles[:, 1], line={"color": _BAND}, name="median of a generation")
    figure.add_scatter(x=x, y=best, mode="lines+markers", line={"color": _BEST, "width": 3}, name="best so far")
    figure.update_xaxes(title="generation", dtick=_whole(len(x)))
    figure.update_yaxes(title=table.objective.name, type=_log_axis(table, np.append(quartiles.ravel(), best)))
    yield "Progress", "The best value so far, and the middle half of each generation.", [figure]


def _winner(table: Table) -> Iterator[Section]:
    if not table.result:
        return
    name, columns = table.objective.name, table.columns
    figure = go.Figure()
    last = columns["generation"].max()
    boxes = {
        "first generation": columns["value"][columns["generation"] == 0],
        "last generation": columns["value"][columns["generation"] == last],
        "winner, fresh seeds": np.asarray(table.result["fresh"][name]),
    }
    for (label, values), colour in zip(boxes.items(), ("#8a8f98", _BAND, _BEST), strict=True):
        values = values[np.isfinite(values)]
        figure.add_box(y=values, name=label, boxpoints="all" if values.size <= 200 else "outliers", marker_color=colour)
    figure.update_layout(showlegend=False)
    finite = np.concatenate(list(boxes.values()))
    figure.update_yaxes(title=name, type=_log_axis(table, finite))
    rows = "".join(
        f"<tr><td>{html.escape(k)}</td><td>{html.escape(show(v))}</td></tr>" for k, v in table.result["best"].items()
    )
    text = (
        f"The setting believed best. Its {html.escape(name)} in the search, {show(table.result['best_value'])}, is "
        f"optimistic, for it was chosen by that; the fresh seeds were not.<table>{rows}</table>"
    )
    yield "The winner", text, [figure]


def _species(table: Table) -> Iterator[Section]:
    x, groups = _by_generation(table)
    species, loss = table.columns["species"], _loss(table)
    names = [s.name.lower() for s in Species]
    born = {name: [int((species[g] == name).sum()) for g in groups] for name in names}
    alive: dict[str, list[int]] = {name: [] for name in names}
    size, best = max(len(g) for g in groups), np.array([], int)
    for rows in groups:
        best = np.concatenate([best, rows])
        best = best[np.argsort(loss[best], kind="stable")][:size]
        for name in names:
            alive[name].append(int((species[best] == name).sum()))
    figures = []
    for title, counts in (("Members bred, by species", born), (f"The best {size} so far, by who bred them", alive)):
        figure = go.Figure()
        for name in names:
            if any(counts[name]):
                figure.add_bar(x=x, y=counts[name], name=name, marker_color=_COLOURS[name])
        figure.update_layout(barmode="stack", title=title, bargap=0.15)
        figure.update_xaxes(title="generation", dtick=_whole(len(groups)))
        figure.update_yaxes(title="members")
        figures.append(figure)
    invaders, children = species == "invader", species == "child"
    text = "Who bred the members, and whose are among the best."
    if invaders.any() and children.any():
        share = alive["invader"][-1] / max(1, alive["invader"][-1] + alive["child"][-1])
        offered = invaders.sum() / (invaders | children).sum()
        text += (
            f" Invaders were {100 * offered:.0f} % of what was bred after the first generation and are "
            f"{100 * share:.0f} % of those of them that survive: the invasion "
            f"{'pays' if share > offered else 'does not pay'} here."
        )
    yield "Where children came from", text, figures


def _surrogate(table: Table) -> Iterator[Section]:
    predicted, value = table.columns["predicted"].astype(float), table.columns["value"].astype(float)
    known = np.isfinite(predicted) & np.isfinite(value)
    if known.sum() < 3:
        return
    generation = table.columns["generation"]
    scatter = go.Figure()
    scatter.add_scatter(
        x=predicted[known],
        y=value[known],
        mode="markers",
        marker={
            "color": generation[known] + 1,
            "colorscale": "Viridis",
            "size": 7,
            "symbol": np.where(table.columns["species"][known] == "invader", "triangle-up", "circle"),
            "opacity": 0.75,
            "colorbar": {"title": "generation", "thickness": 10, "dtick": _whole(int(generation.max()) + 1)},
        },
        showlegend=False,
    )
    ends = [min(predicted[known].min(), value[known].min()), max(predicted[known].max(), value[known].max())]
    scatter.add_scatter(x=ends, y=ends, mode="lines", line={"dash": "dot", "color": "#555"}, showlegend=False)
    scale = _log_axis(table, np.append(predicted[known], value[known]))
    scatter.update_xaxes(title=f"predicted {table.objective.name}", type=scale)
    scatter.update_yaxes(title="observed", type=scale)
    scatter.update_layout(title="Each member that was predicted")
    numbers = np.unique(generation[known])
    error = [float(np.median(np.abs(predicted - value)[known & (generation == g)])) for g in numbers]
    bias = [float(np.median((value - predicted)[known & (generation == g)])) for g in numbers]
    line = go.Figure()
    line.add_scatter(
        x=numbers + 1, y=error, mode="lines+markers", name="median |observed - predicted|", line_color=_BAND
    )
    line.add_scatter(x=numbers + 1, y=bias, mode="lines+markers", name="median observed - predicted", line_color=_BEST)
    line.add_hline(y=0, line={"dash": "dot", "color": "#555"})
    line.update_xaxes(title="generation", dtick=_whole(int(generation.max()) + 1))
    line.update_yaxes(title=table.objective.name)
    line.update_layout(title="Its error by generation")
    yield (
        "Is the surrogate right?",
        "What the surrogate expected of a member, against what training it gave; triangles are invaders.",
        [scatter, line],
    )


def _trials(table: Table) -> optuna.Study | None:
    """The best, and an even sample of the rest, as a study."""
    rows = np.flatnonzero(np.isfinite(table.columns["value"]))
    if len(rows) > _MAX_TRIALS:
        order = rows[np.argsort(_loss(table)[rows], kind="stable")]
        rest = np.random.default_rng(0).permutation(order[_MAX_TRIALS // 2 :])[: _MAX_TRIALS // 2]
        rows = np.sort(np.append(order[: _MAX_TRIALS // 2], rest))
    if len(rows) < 4:
        return None
    columns = {name: column[rows] for name, column in table.columns.items()}
    return study(table.config["run"], table.space, table.objective, columns)


def _importances(trials: optuna.Study) -> dict[str, dict[str, float]]:
    found = {}
    for label, make in (("PED-ANOVA", PedAnovaImportanceEvaluator), ("fANOVA", _fanova)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found[label] = get_param_importances(trials, evaluator=make())
            except (ImportError, RuntimeError, ValueError):  # fANOVA without scikit-learn; values that are all equal
                continue
    return found


def _fanova() -> FanovaImportanceEvaluator:
    return FanovaImportanceEvaluator(seed=0)


def _importance(table: Table) -> Iterator[Section]:
    trials = _trials(table)
    found = _importances(trials) if trials is not None and table.space.size > 1 else {}
    if not found:
        return
    order = sorted(table.space.names, key=lambda name: next(iter(found.values())).get(name, 0.0))
    figure = go.Figure()
    for (label, shares), colour in zip(found.items(), (_BEST, _BAND), strict=False):
        figure.add_bar(
            y=[name.replace("_", " ") for name in order],
            x=[shares.get(name, 0.0) for name in order],
            orientation="h",
            name=label,
            marker_color=colour,
        )
    figure.update_layout(barmode="group", height=max(300, 60 + 34 * len(order)), margin_l=130)
    figure.update_xaxes(title="share of the importance")
    text = (
        "How much each hyperparameter matters: PED-ANOVA asks what sets the best members apart, fANOVA what explains "
        "the value over the whole space. Both by Optuna, of members that an evolution chose and did not sample evenly."
    )
    yield "Which hyperparameters matter", text, [figure]


def _hyperparameters(table: Table) -> Iterator[Section]:
    trials = _trials(table)
    if trials is None:
        return
    shares = next(iter(_importances(trials).values()), {}) if table.space.size > 1 else {}
    names = sorted(table.space.names, key=lambda name: -shares.get(name, 0.0))
    label = table.objective.name

    def draw(plot: Callable[..., go.Figure], params: list[str]) -> go.Figure:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = plot(trials, params=params, target_name=label)
        figure.update_layout(title=None, coloraxis_colorbar_thickness=10)
        logs = [d for name, d in table.space.items if name in params and isinstance(d, LogUniform | LogInteger)]
        if all(d.high >= 100 * d.low for d in logs):
            for update in (figure.update_xaxes, figure.update_yaxes):
                update(dtick=1, tickangle=0, selector={"type": "log"})  # decades: more do not fit a telephone
        return figure

    slices = []
    for name in names:
        figure = draw(plot_slice, [name])
        # The first members are almost white: a line keeps them visible.
        figure.update_traces(marker={"size": 6, "line_width": 0.5, "line_color": _BAND, "showscale": False})
        figure.update_yaxes(type=_log_axis(table, table.columns["value"]))
        figure.update_layout(height=300)
        slices.append(figure)
    yield "Each hyperparameter", "Every member by one of its hyperparameters; darker is later.", slices
    if len(names) > 1:
        pairs = [(a, b) for i, b in enumerate(names) for a in names[:i]][:_MAX_PAIRS]
        contours = [draw(plot_contour, [a, b]) for a, b in pairs]
        for figure in contours:
            figure.update_layout(height=400)
            figure.update_traces(colorbar_thickness=10, selector={"type": "contour"})
        more = " The pairs of the most important ones." if table.space.size > 3 else ""
        yield (
            "Pairs of hyperparameters",
            f"The value interpolated between the members, which are the points.{more}",
            contours,
        )
        figure = draw(plot_parallel_coordinate, names[:8])
        figure.update_layout(height=420, margin_b=30)
        yield "Parallel coordinates", "A line is a member; drag along an axis to pick some.", [figure]


def _curves(table: Table) -> Iterator[Section]:
    curves = {name: column for name, column in table.columns.items() if column.ndim == 2 and column.shape[1] > 1}
    figures = []
    best = table.best_row
    first = table.columns["generation"] == 0
    for name, curve in curves.items():
        figure = go.Figure()
        x = np.arange(1, curve.shape[1] + 1) / curve.shape[1] * 100
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            whole = np.where(np.isfinite(curve), curve, np.nan)
            for rows, label, colour, fill in (
                (first, "first generation", "#8a8f98", "rgba(138,143,152,0.2)"),
                (~first, "later members", _BAND, "rgba(0,114,178,0.18)"),
            ):
                if not rows.any():
                    continue
                low, middle, high = np.nanpercentile(whole[rows], [25, 50, 75], axis=0)
                figure.add_scatter(x=x, y=high, mode="lines", line_width=0, showlegend=False, hoverinfo="skip")
                figure.add_scatter(
                    x=x,
                    y=low,
                    mode="lines",
                    line_width=0,
                    fill="tonexty",
                    fillcolor=fill,
                    showlegend=False,
                    hoverinfo="skip",
                )
                figure.add_scatter(x=x, y=middle, mode="lines", line={"color": colour}, name=f"{label}, median")
        figure.add_scatter(x=x, y=curve[best], mode="lines", line={"color": _BEST, "width": 3}, name="winner")
        figure.update_layout(title=name.replace("_", " "))
        figure.update_xaxes(title="training done, %")
        figures.append(figure)
    if figures:
        yield "Learning curves", "The winner against the others; bands are the middle half.", figures


def _time(table: Table) -> Iterator[Section]:
    timed = [e for e in table.events if e["event"] == "generation"]
    size = table.config["options"]["pop"]
    x = np.array([e["generation"] + 1 for e in timed])
    seconds = np.maximum(1e-9, [e["seconds"] - e["compile_seconds"] for e in timed])
    rate = go.Figure()
    rate.add_scatter(x=x, y=size / seconds, mode="lines+markers", line_color=_BAND, showlegend=False)
    rate.update_xaxes(title="generation", dtick=_whole(len(x)))
    rate.update_yaxes(title="members per second", rangemode="tozero")
    rate.update_layout(title="Throughput")
    parts = dict(table.result.get("seconds", {})) or {
        "compile": sum(e["compile_seconds"] for e in timed),
        "generations": float(seconds.sum()),
    }
    share = go.Figure()
    share.add_bar(x=list(parts.values()), y=list(parts), orientation="h", marker_color=_BAND, showlegend=False)
    share.update_xaxes(title="seconds")
    share.update_yaxes(autorange="reversed")
    share.update_layout(title="Where the time went", margin_l=140)
    yield (
        "Time",
        "Members trained per second, compiling left out, and what the last start of the run spent.",
        [rate, share],
    )


_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f3f5f9; color: #1d2433; font: 15px/1.5 system-ui, -apple-system, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 8px 0 4px; }
h2 { font-size: 18px; margin: 0 0 4px; }
p { margin: 0 0 10px; color: #4a5365; }
.about { overflow-wrap: anywhere; font-size: 13px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 16px 0; }
.tile { background: white; border-radius: 10px; padding: 14px 16px; box-shadow: 0 1px 3px #0001; }
.tile b { display: block; font-size: 21px; color: #0b4f7d; }
.tile span { font-size: 12.5px; color: #5a6375; }
section { background: white; border-radius: 10px; padding: 18px; margin: 16px 0; box-shadow: 0 1px 3px #0001; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 12px; }
.figure { min-width: 0; overflow: hidden; }
table { border-collapse: collapse; margin-top: 8px; font-size: 14px; color: #1d2433; }
td { padding: 3px 18px 3px 0; border-bottom: 1px solid #e6e9ef; }
td + td { font-variant-numeric: tabular-nums; font-weight: 600; }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
<script>{plotly}</script>
</head>
<body><main><h1>{title}</h1>
{summary}
{sections}
</main>
<script>
// A figure is drawn before its neighbour is there to share the row with.
addEventListener("load", () => document.querySelectorAll(".js-plotly-plot").forEach((p) => Plotly.Plots.resize(p)));
</script>
</body>
</html>
"""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1 or given[0] in ("-h", "--help"):
        print("usage: python experiments/report.py DIR\nWrites report.html, figures, history.parquet into DIR.")
        return 0 if given and given[0] in ("-h", "--help") else 2
    from experiments.outputs import write_outputs

    try:
        write_outputs(Path(given[0]))
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(Path(given[0]) / "report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
