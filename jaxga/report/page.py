"""The report of a run: one HTML file that needs no network."""

import html
import math
import shlex
from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from jaxga.report import figures
from jaxga.report.findings import Interval, Invasion, invasion, is_noisy, winner_row
from jaxga.report.importance import MIN_IMPORTANCE, Importances, importances, sample
from jaxga.report.ranking import Ranking, ranking
from jaxga.report.summary import title
from jaxga.runs.config import LENGTH
from jaxga.runs.draft import draft
from jaxga.runs.history import History
from jaxga.runs.saved import SavedRun
from jaxga.text import show

_MAX_PAIRS = 4
_MAX_AXES = 8

Section = tuple[str, str, list[go.Figure]]


def write_report(run: SavedRun, history: History) -> None:
    """``report.html`` in the run's folder; ``history`` is that of the run, or a sample of it."""
    with draft(run.path / "report.html") as made:
        made.write_text(_page(run, history), encoding="utf-8")


def _page(run: SavedRun, history: History) -> str:
    makers = (_progress, _winner, _species, _surrogate, _hyperparameters, _curves, _time, _how)
    return _PAGE.format(
        title=html.escape(title(run, history)),
        summary=_summary(run, history),
        sections="\n".join(_section(*section) for make in makers for section in make(run, history)),
        plotly=get_plotlyjs(),
        style=_STYLE,
    )


def _section(title: str, text: str, drawn: list[go.Figure]) -> str:
    """A section of the page; ``text`` is HTML."""
    parts = "".join(f"<div class='figure'>{figures.as_html(figure)}</div>" for figure in drawn)
    body = f"<div class='figures'>{parts}</div>" if parts else ""
    return f"<section><h2>{html.escape(title)}</h2>{text}{body}</section>"


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _facts(facts: dict[str, Any]) -> str:
    """A table of names and values."""
    rows = "".join(
        f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(show(value))}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _percent(interval: Interval) -> str:
    return f"{100 * interval.estimate:.0f} % [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"


def _seeds(num: int) -> str:
    return f"{num} fresh seed{'s' * (num > 1)}"


# --- the head ---


def _summary(run: SavedRun, history: History) -> str:
    cells = "".join(_tile(*tile) for tile in _tiles(run, history))
    config, result = run.config, run.result
    # Details in brackets, such as why a download failed, are in the last section.
    source = (config.get("data") or {}).get("source", "").split(" (")[0]
    about = [f"{source}."] if source else []
    about += [f"Seed {config['options'].get('seed')}, {_devices(config)}. Run {config['run']}, {config['created']}."]
    about += [f"Ended early: {result['reason']}."] if result.get("reason") else []
    about += ["Interrupted by Ctrl-C."] if result.get("status") == "interrupted" else []
    if history.num_omitted:
        about += [
            f"The figures show {len(history):,} of {_num_members(history):,} members: every n-th generation, and each "
            "with a new best value."
        ]
    return f"<p class='about'>{html.escape(' '.join(about))}</p><div class='tiles'>{cells}</div>"


def _tile(value: str, name: str, about: str) -> str:
    value, name, about = html.escape(value), html.escape(name), html.escape(about)
    return f"<div class='tile'><b>{value}</b><strong>{name}</strong><span>{about}</span></div>"


def _devices(config: dict[str, Any]) -> str:
    return f"{len(config['devices'])} x {config['devices'][0]}, {config['processor']}"


def _num_members(history: History) -> int:
    return len(history) + history.num_omitted


def _tiles(run: SavedRun, history: History) -> Iterator[tuple[str, str, str]]:
    """The page's first figures: each with its name, and what it is."""
    name, num = history.objective.name, _num_members(history)
    value = run.best_value if run.result else _last(history.estimates)
    whose = "of the winner" if run.result else "of the best setting so far (the run did not end)"
    if is_noisy(history):
        yield show(value), f"{name}, estimate", f"{whose}, by the search from all its evaluations"
        best = _last(history.best_evaluations)
        yield show(best), f"{name}, best evaluation", f"of all {num:,} members; partly chance, because values are noisy"
    else:
        yield show(value), f"{name}, best", f"{whose}, in the search; chosen as the best of {num:,}"
    for metric, values in _fresh(run).items():
        spread = f"± {_deviation(values)} (standard deviation); " if len(values) > 1 else ""
        mean = "mean of " if len(values) > 1 else ""
        label = name if metric == name else metric.replace("_", " ")
        yield show(float(np.mean(values))), f"{label}, fresh", f"{spread}of the winner, {mean}{_seeds(len(values))}"
    first = history.columns["value"][history.generations[0]]
    if np.isfinite(first).any():
        median = float(np.median(first[np.isfinite(first)]))
        yield show(median), f"{name}, at first", "median of the first generation"
    yield f"{num:,}", "members trained", f"of which {_num_failed(run, history):,} failed"


def _last(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else math.nan


def _fresh(run: SavedRun) -> dict[str, np.ndarray]:
    """The winner's value under fresh seeds, and its metrics on test data."""
    found = {k: np.asarray(v, float) for k, v in run.result.get("fresh", {}).items() if np.ndim(v) == 1 and len(v)}
    return {k: v for k, v in found.items() if k == run.objective.name or k.startswith("test_")}


def _deviation(values: np.ndarray) -> str:
    return f"{float(np.std(values, ddof=1)):.2g}"


def _num_failed(run: SavedRun, history: History) -> int:
    """Of all members of the run, also of those that ``history`` omits."""
    told = {e["generation"]: e["failed"] for e in run.events if e["event"] == "generation"}
    untold = ~np.isin(history.columns["generation"], list(told)) & ~np.isfinite(history.loss)
    return sum(told.values()) + int(untold.sum())


# --- the sections ---


def _progress(run: SavedRun, history: History) -> Iterator[Section]:
    text = "The best value so far, and the middle half of each generation."
    if is_noisy(history):
        text = (
            "The thick line is the search's estimate of its best setting after each generation. The estimate gets "
            "worse where further evaluations correct one that was good by chance. The dotted line is the best "
            "evaluation of a single member so far."
        )
    yield "Progress", _paragraph(text), [figures.progress(history)]


def _winner(run: SavedRun, history: History) -> Iterator[Section]:
    if not run.result:
        return
    name, value = run.objective.name, run.best_value
    fresh = _fresh(run).get(name, np.empty(0))
    if not len(fresh):
        text = f"Its {name} in the search is {show(value)}. It was not evaluated on fresh seeds."
    elif np.allclose(fresh, value, rtol=1e-6, atol=0.0):
        text = f"Its {name} is {show(value)}, in the search and on {_seeds(len(fresh))}."
    else:
        what = "the search's estimate" if is_noisy(history) else "the best value observed"
        spread = f" ± {_deviation(fresh)} (mean ± standard deviation)" if len(fresh) > 1 else ""
        text = (
            f"Its {name} in the search is {show(value)}: {what}. The winner was chosen by this value, which is "
            f"therefore too good on average. On {_seeds(len(fresh))} its {name} is "
            f"{show(float(np.mean(fresh)))}{spread}."
        )
    setting = f"<div class='setting'>{_facts(run.best)}</div>"
    yield "The winner", _paragraph(text) + setting, [figures.winner(history, fresh)]


def _species(run: SavedRun, history: History) -> Iterator[Section]:
    text, found = (
        "The members of each species: all of a generation, and those among the best so far.",
        invasion(history),
    )
    if found is not None and not found.num_best:
        text += " No child and no invader is among the best: nothing can be said about the invasion."
    elif found is not None:
        text += _invasion(found, max(map(len, history.generations)))
    yield "Where members came from", _paragraph(text), figures.species(history)


def _invasion(found: Invasion, size: int) -> str:
    verdict = "there are too few to say whether the invasion helps here"
    if found.share.low > found.expected:
        verdict = "the invasion helps here"
    elif found.share.high < found.expected:
        verdict = "the invasion does not help here"
    return (
        f" Of the {found.num_best} children and invaders among the best {size}, {_percent(found.share)} are invaders "
        "(95 % interval by Wilson). If the children and the invaders of one generation were equally good, "
        f"{100 * found.expected:.0f} % would be expected: {verdict}."
    )


def _surrogate(run: SavedRun, history: History) -> Iterator[Section]:
    found = ranking(history)
    if found is None:
        return
    drawn = [figures.predictions(history)]
    if not len(found.numbers):
        text = "No generation has three members with different predictions: too few to say."
    else:
        drawn.append(figures.rankings(found))
        text = _verdict(found)
    yield "Is the surrogate right?", _paragraph(text), drawn


def _verdict(found: Ranking) -> str:
    pooled, num = found.pooled, len(found.numbers)
    of = f"{found.num_members} members of {num} generation{'s' * (num > 1)}"
    if math.isnan(pooled.estimate):
        return f"{of} have predictions: too few to say."
    if pooled.low > 0:
        strength = "well" if pooled.estimate >= 0.7 else "in part" if pooled.estimate >= 0.4 else "a little"
        verdict = f"the surrogate distinguishes the better members of a generation from the worse {strength}"
    elif pooled.high < 0:
        verdict = "the surrogate ranks the worse members of a generation above the better"
    else:
        verdict = "no ability to distinguish the better members of a generation from the worse was seen"
    text = (
        f"Within a generation the predicted and the observed order have a rank correlation of {pooled.estimate:z.2f} "
        f"[{pooled.low:z.2f}, {pooled.high:z.2f}] (Spearman, mean of {of} and its 95 % interval; from "
        f"{found.correlations.min():z.2f} to {found.correlations.max():z.2f} in single generations): {verdict}. The "
        "members of a generation are hard to rank because all of them were chosen to be good. Over all generations "
        f"together the rank correlation is {found.overall:z.2f}."
    )
    if math.isnan(found.ceiling):
        return text + " Each member was trained once, so the effect of noise on this was not measured."
    if found.ceiling > 0.995:
        return text + " The replicates of a member differ too little for noise to explain the rest."
    reaches = ", which is inside the interval" if pooled.high >= found.ceiling else ""
    return text + (
        " With the noise between replicates, even a surrogate that predicts every true value would have about "
        f"{found.ceiling:z.2f}{reaches}."
    )


def _hyperparameters(run: SavedRun, history: History) -> Iterator[Section]:
    rows = sample(history)
    if not len(rows):
        return
    names = list(history.space.names)
    if len(names) > 1:
        found, text = importances(history, rows), "The members' values are too equal to choose the best tenth."
        if found is not None:
            names.sort(key=lambda name: -found.shares[name])
            text = _importance(names, found)
        elif len(rows) < MIN_IMPORTANCE:
            text = f"{len(rows)} members have a value: too few to say ({MIN_IMPORTANCE} are needed)."
        drawn = [] if found is None else [figures.importance(found)]
        yield "Which hyperparameters matter", _paragraph(text), drawn
    part = ""
    if len(rows) < _num_members(history) - _num_failed(run, history):
        part = f" Shown are {len(rows):,}: the best {len(rows) // 2:,}, and a random sample of the others."
    text = f"Every member by one of its hyperparameters, over the whole range searched; later is darker.{part}"
    yield "Each hyperparameter", _paragraph(text), figures.slices(history, names, rows)
    if len(names) > 1:
        pairs = [(a, b) for i, b in enumerate(names) for a in names[:i]]
        which = " The pairs of the most important hyperparameters." if len(pairs) > _MAX_PAIRS else ""
        text = f"Every member by two of its hyperparameters; better is darker, the worst tenth has one colour.{which}"
        yield "Pairs of hyperparameters", _paragraph(text), figures.pairs(history, pairs[:_MAX_PAIRS], rows)
        text = "One line a member, through its value and its hyperparameters; better is darker."
        yield "Parallel coordinates", _paragraph(text), [figures.parallel(history, names[:_MAX_AXES], rows)]


def _importance(names: list[str], found: Importances) -> str:
    above = [name for name in names if found.shares[name] > found.by_chance[name]]
    told = "no hyperparameter exceeds"
    if len(above) > 3:
        told = f"{len(above)} of {len(names)} hyperparameters exceed"
    elif above:
        told = f"{', '.join(name.replace('_', ' ') for name in above)} exceed{'s' * (len(above) == 1)}"
    return (
        "Bars show how much the best tenth of the members differs from all members in each hyperparameter (PED-ANOVA), "
        f"marks how much random tenths do: {told} chance. A hyperparameter may matter and still not show here, where "
        "the search fixed it early for all its members."
    )


def _curves(run: SavedRun, history: History) -> Iterator[Section]:
    label = "winner, its best training" if run.result else "best member"
    if drawn := figures.curves(history, winner_row(history, run.result.get("best")), label):
        whose = "winner" if run.result else "best member"
        yield "Learning curves", _paragraph(f"The {whose} and the other members; bands are the middle half."), drawn


def _time(run: SavedRun, history: History) -> Iterator[Section]:
    timed = [e for e in run.events if e["event"] == "generation"]
    if not timed:
        return
    seconds = np.maximum(1e-9, [e["seconds"] - e["compile_seconds"] for e in timed])
    size = len(history.generations[0])
    rate = figures.throughput(np.array([e["generation"] for e in timed]), size / seconds)
    parts = dict(run.result.get("seconds", {}))
    what = "the seconds that each part of the run took (after a resume, of the part since)"
    if not parts:
        what = "the seconds that the generations took"
        parts = {"compile": sum(e["compile_seconds"] for e in timed), "generations": float(seconds.sum())}
    yield (
        "Time",
        _paragraph(f"Members trained per second without compiling, and {what}."),
        [
            rate,
            figures.time_parts(parts),
        ],
    )


def _how(run: SavedRun, history: History) -> Iterator[Section]:
    config, objective = run.config, run.objective
    about = {"run": config["run"], "started": config["created"], "command": _command(config.get("command"))}
    for i, resumed in enumerate(config.get("resumed", []), 1):
        about[f"resumed ({i})"] = f"{resumed['time']}: {_command(resumed.get('command'))}"
    about["objective"] = f"{objective.direction}imise the {objective.name}"
    machine = {k: config[k] for k in ("processor", "cores", "platform", "python", "git_commit") if config.get(k)}
    machine |= {"devices": ", ".join(config["devices"]), **config["versions"]}
    groups = {
        "Run": about,
        "Options": _options(config),
        "Searched": {name: repr(dimension) for name, dimension in run.space.items},
        "Held fixed": config.get("constants", {}),
        "Data": {k: v for k, v in (config.get("data") or {}).items() if not isinstance(v, dict)},
        "Machine and versions": machine,
    }
    tables = "".join(f"<div><h3>{title}</h3>{_facts(facts)}</div>" for title, facts in groups.items() if facts)
    yield "How it was run", f"<div class='facts'>{tables}</div>", []


def _command(words: list[str] | None) -> str:
    return "started in code" if words is None else shlex.join(words)


def _options(config: dict[str, Any]) -> dict[str, Any]:
    """The options given that say what was searched and how long, and the task's arguments."""
    options = {k: v for k, v in config["options"].items() if k in config["identity"] or k in LENGTH}
    options |= config.get("task_arguments") or {}
    return {name.replace("_", " "): value for name, value in options.items() if value is not None}


_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f3f5f9; color: #1d2433; font: 15px/1.5 system-ui, -apple-system, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 8px 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
h3 { font-size: 14px; margin: 8px 0 0; }
.facts h3 { margin: 0; }
p { margin: 0 0 10px; color: #4a5365; overflow-wrap: anywhere; }
.about { font-size: 13px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 16px 0; }
.tile { background: white; border-radius: 10px; padding: 12px; box-shadow: 0 1px 3px #0001; }
.tile b { display: block; font-size: 20px; color: #0b4f7d; }
.tile strong { display: block; font-size: 12.5px; font-weight: 600; }
.tile span { display: block; font-size: 12.5px; line-height: 1.35; color: #5a6375; }
.tile b, .tile strong, .tile span { overflow-wrap: anywhere; }
section { background: white; border-radius: 10px; padding: 18px; margin: 16px 0; box-shadow: 0 1px 3px #0001; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 12px; }
.figure { min-width: 0; overflow-x: auto; overflow-y: hidden; }
table { border-collapse: collapse; margin-top: 8px; font-size: 14px; color: #1d2433; }
td { padding: 3px 18px 3px 0; border-bottom: 1px solid #e6e9ef; overflow-wrap: anywhere; vertical-align: top; }
.setting tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 230px), 1fr)); gap: 0 28px; }
.setting tr { display: flex; justify-content: space-between; border-bottom: 1px solid #e6e9ef; }
.setting td { border: 0; }
.setting td + td { flex: none; max-width: 60%; padding-right: 0; }
.setting table { width: 100%; }
.facts { columns: 3 300px; column-gap: 28px; }
.facts div { break-inside: avoid; padding-bottom: 16px; }
.facts table { margin-top: 2px; font-size: 13px; width: 100%; }
.facts td { font-weight: normal; }
.facts td:first-child { width: 42%; color: #5a6375; }
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
// Each figure was drawn as wide as the page, before the next one in its row existed.
addEventListener("load", () => document.querySelectorAll(".js-plotly-plot").forEach((p) => Plotly.Plots.resize(p)));
</script>
</body>
</html>
"""
