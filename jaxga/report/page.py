"""The report of a run as one file that opens without a network."""

import html
import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from jaxga.report import figures
from jaxga.report.findings import MIN_IMPORTANCE, Importances, Interval, Ranking, importances, invasion, ranking, sample
from jaxga.report.table import Table, read_table
from jaxga.runs.draft import draft
from jaxga.runs.folder import OUTSIDE
from jaxga.text import show

_MAX_PAIRS = 4
_MAX_AXES = 8

Section = tuple[str, str, list[go.Figure]]


def write_report(path: Path, table: Table | None = None) -> Path:
    """``report.html`` in the run's folder; ``ValueError`` where the folder has no recorded generation."""
    table = read_table(path) if table is None else table
    target = path / "report.html"
    with draft(target) as made:
        made.write_text(_page(table), encoding="utf-8")
    return target


def _page(table: Table) -> str:
    sections = []
    for make in (_progress, _winner, _species, _surrogate, _hyperparameters, _curves, _time, _how):
        sections += [_section(*section) for section in make(table)]
    return _PAGE.format(
        title=html.escape(table.title),
        summary=_summary(table),
        sections="\n".join(sections),
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


# --- the head ---


def _summary(table: Table) -> str:
    cells = "".join(_tile(*tile) for tile in _tiles(table))
    config, result = table.config, table.result
    # What stands in brackets, such as why a download failed, is below.
    source = config["data"].get("source", "").split(" (")[0]
    about = [f"{config['data']['name']}: {source}."] if source else []
    about += [f"Seed {config['options']['seed']}, {_devices(config)}. Run {config['run']}, {config['created']}."]
    about += [f"Ended early: {result['reason']}."] if result.get("reason") else []
    about += ["Interrupted by Ctrl-C."] if result.get("status") == "interrupted" else []
    if len(table.loss) < table.num_members:
        about += [
            f"The figures show {len(table.loss):,} of {table.num_members:,} members: every n-th generation, and each "
            "that bettered the best."
        ]
    return f"<p class='about'>{html.escape(' '.join(about))}</p><div class='tiles'>{cells}</div>"


def _tile(value: str, name: str, about: str) -> str:
    value, name, about = html.escape(value), html.escape(name), html.escape(about)
    return f"<div class='tile'><b>{value}</b><strong>{name}</strong><span>{about}</span></div>"


def _devices(config: dict[str, Any]) -> str:
    return f"{len(config['devices'])} x {config['devices'][0]}, {config['processor']}"


def _tiles(table: Table) -> Iterator[tuple[str, str, str]]:
    """The page's first figures: each with its name, and what it is."""
    name, result = table.objective.name, table.result
    believed = result["best_value"] if result else _last(table.believed)
    whose = "the winner" if result else "the best so far; the run did not end"
    if table.is_noisy:
        yield show(believed), f"{name}, believed", f"of {whose}: what the search makes of all it has seen"
        yield show(_last(table.least)), f"{name}, luckiest", f"the best of {table.num_members:,} members, luck included"
    else:
        yield show(believed), f"{name}, best seen", f"of {whose}; it was chosen for it"
    for metric, values in _fresh(table).items():
        num = len(values)
        spread = f"± {_deviation(values)} (standard deviation); " if num > 1 else ""
        about = f"{spread}of the winner, {f'mean of {num} fresh seeds' if num > 1 else '1 fresh seed'}"
        label = name if metric == name else metric.replace("_", " ")
        yield show(float(np.mean(values))), f"{label}, fresh", about
    first = table.columns["value"][table.generations[0]]
    if np.isfinite(first).any():
        yield show(float(np.median(first[np.isfinite(first)]))), f"{name}, at first", "median of the first generation"
    yield f"{table.num_members:,}", "members trained", f"of which {_num_failed(table):,} failed"


def _last(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else math.nan


def _fresh(table: Table) -> dict[str, np.ndarray]:
    """The winner's value under fresh seeds, and its figures on test data."""
    found = {k: np.asarray(v, float) for k, v in table.result.get("fresh", {}).items() if np.ndim(v) == 1}
    return {k: v for k, v in found.items() if k == table.objective.name or k.startswith("test_")}


def _deviation(values: np.ndarray) -> str:
    return f"{float(np.std(values, ddof=1)):.2g}"


def _num_failed(table: Table) -> int:
    """Of all members, those that the table left out too."""
    told = {e["generation"]: e["failed"] for e in table.events if e["event"] == "generation"}
    untold = ~np.isin(table.columns["generation"], list(told)) & ~np.isfinite(table.loss)
    return sum(told.values()) + int(untold.sum())


# --- the sections ---


def _progress(table: Table) -> Iterator[Section]:
    text = "The best value so far, and the middle half of each generation."
    if table.is_noisy:
        text = (
            "The thick line is the value that the search believed of its best setting after each generation. It may "
            "get worse: what a lucky evaluation promised, later ones correct. The dotted line is the luckiest member "
            "so far."
        )
    yield "Progress", _paragraph(text), [figures.progress(table)]


def _winner(table: Table) -> Iterator[Section]:
    if not table.result:
        return
    name, believed = table.objective.name, table.result["best_value"]
    fresh = _fresh(table)[name]
    seeds = f"{len(fresh)} fresh seed{'s' * (len(fresh) > 1)}"
    if np.allclose(fresh, believed, rtol=1e-6, atol=0.0):
        text = f"Its {name} is {show(believed)}, in the search and on {seeds}."
    else:
        why = "what the search believes of it" if table.is_noisy else "the best that it observed"
        text = (
            f"Its {name} in the search, {show(believed)}, is {why}; it was chosen by that, which tends to flatter it. "
            f"On {seeds} it has {show(float(np.mean(fresh)))}"
            f"{f' ± {_deviation(fresh)} (mean ± standard deviation)' if len(fresh) > 1 else ''}."
        )
    yield (
        "The winner",
        _paragraph(text) + f"<div class='setting'>{_facts(table.result['best'])}</div>",
        [figures.winner(table)],
    )


def _species(table: Table) -> Iterator[Section]:
    text, found = "Who bred the members, and whose are among the best.", invasion(table)
    if found is not None:
        share, percent = found.share, f"{100 * found.expected:.0f} %"
        if not found.num_best:
            text += " None of the bred members is among the best: nothing can be said of the invasion."
        else:
            verdict = "too few to say whether the invasion pays here"
            if share.low > found.expected:
                verdict = "the invasion pays here"
            elif share.high < found.expected:
                verdict = "the invasion does not pay here"
            size = max(map(len, table.generations))
            text += (
                f" Of the {found.num_best} children and invaders among the best {size}, {_percent(share)} are invaders "
                "(95 % interval by Wilson). If the children and the invaders of one generation were equally good, "
                f"it would be {percent}: {verdict}."
            )
    yield "Where children came from", _paragraph(text), figures.species(table)


def _surrogate(table: Table) -> Iterator[Section]:
    found = ranking(table)
    if found is None:
        return
    drawn = [figures.predictions(table)]
    if not len(found.numbers):
        text = "No generation has three members that were predicted with different values: too few to say."
    else:
        drawn.append(figures.rankings(found))
        text = _verdict(found)
    yield "Is the surrogate right?", _paragraph(text), drawn


def _verdict(found: Ranking) -> str:
    pooled, num = found.pooled, len(found.numbers)
    of = f"{found.num_members} members of {num} generation{'s' * (num > 1)}"
    if math.isnan(pooled.estimate):
        return f"{of} were predicted: too few to say."
    if pooled.low > 0:
        strength = "well" if pooled.estimate >= 0.7 else "in part" if pooled.estimate >= 0.4 else "a little"
        verdict = f"it tells the better members of a generation from the worse {strength}"
    elif pooled.high < 0:
        verdict = "it puts the worse members of a generation before the better"
    else:
        verdict = "it was not seen to tell the better members of a generation from the worse"
    text = (
        f"Within a generation the predicted and the observed order have a rank correlation of {pooled.estimate:z.2f} "
        f"[{pooled.low:z.2f}, {pooled.high:z.2f}] (Spearman, mean of {of} and its 95 % interval; in one generation "
        f"from {found.correlations.min():z.2f} to {found.correlations.max():z.2f}): {verdict}. Its members were all "
        f"chosen to be good, which makes that hard; over all generations together it is {found.overall:z.2f}."
    )
    if math.isnan(found.ceiling):
        return text + " Each member was trained once: how much of the rest is noise was not measured."
    if found.ceiling > 0.995:
        return text + " The replicates of a member differ too little for noise to explain the rest."
    reaches = ", which the interval reaches" if pooled.high >= found.ceiling else ""
    return text + (
        " With the noise that the replicates show, a surrogate that knew the true value of every member would have "
        f"about {found.ceiling:z.2f}{reaches}."
    )


def _hyperparameters(table: Table) -> Iterator[Section]:
    rows = sample(table)
    if not len(rows):
        return
    names = list(table.space.names)
    found = importances(table, rows)
    if len(names) > 1:
        title = "Which hyperparameters matter"
        if found is None:
            num = int(np.isfinite(table.loss).sum())
            why = f"{num} members have a value: too few to say ({MIN_IMPORTANCE} are needed)."
            equal = "The members' values are too equal to choose the best tenth."
            yield title, _paragraph(why if num < MIN_IMPORTANCE else equal), []
        else:
            names.sort(key=lambda name: -found.shares[name])
            yield title, _paragraph(_importance(names, found)), [figures.importance(found)]
    part = ""
    if len(rows) < table.num_members - _num_failed(table):
        part = f" Drawn are {len(rows):,}: the best {len(rows) // 2:,}, and an even sample of the others."
    text = f"Every member by one of its hyperparameters, over the whole range searched; darker is later.{part}"
    yield "Each hyperparameter", _paragraph(text), figures.slices(table, names, rows)
    if len(names) > 1:
        pairs = [(a, b) for i, b in enumerate(names) for a in names[:i]]
        which = " The pairs of the first hyperparameters above." if len(pairs) > _MAX_PAIRS else ""
        text = f"Every member by two of its hyperparameters; darker is better, the worst tenth has one colour.{which}"
        yield "Pairs of hyperparameters", _paragraph(text), figures.pairs(table, pairs[:_MAX_PAIRS], rows)
        text = "A line is a member, across its value and its hyperparameters; darker is better."
        yield "Parallel coordinates", _paragraph(text), [figures.parallel(table, names[:_MAX_AXES], rows)]


def _importance(names: list[str], found: Importances) -> str:
    above = [name for name in names if found.shares[name] > found.by_chance[name]]
    told = "no hyperparameter stands out"
    if len(above) > 3:
        told = f"{len(above)} of {len(names)} hyperparameters stand out"
    elif above:
        told = f"{', '.join(name.replace('_', ' ') for name in above)} stand{'s' * (len(above) == 1)} out"
    return (
        "How far the best tenth of the members lie otherwise than all of them (PED-ANOVA), and how far a tenth chosen "
        f"at random does: {told} from chance. The search chose the members: a hyperparameter on which it settled "
        "early sets none of them apart."
    )


def _curves(table: Table) -> Iterator[Section]:
    if drawn := figures.curves(table):
        whose = "winner" if table.result else "best member"
        yield "Learning curves", _paragraph(f"The {whose} against the others; bands are the middle half."), drawn


def _time(table: Table) -> Iterator[Section]:
    timed = [e for e in table.events if e["event"] == "generation"]
    if not timed:
        return
    seconds = np.maximum(1e-9, [e["seconds"] - e["compile_seconds"] for e in timed])
    rate = figures.throughput(np.array([e["generation"] for e in timed]), table.config["options"]["pop"] / seconds)
    parts = dict(table.result.get("seconds", {}))
    last = "what the last start of the run spent" if parts else "what the generations took"
    parts = parts or {"compile": sum(e["compile_seconds"] for e in timed), "generations": float(seconds.sum())}
    text = f"Members trained per second, compiling left out, and {last}."
    yield "Time", _paragraph(text), [rate, figures.time_parts(parts)]


def _how(table: Table) -> Iterator[Section]:
    config, objective = table.config, table.objective
    run = {"run": config["run"], "started": config["created"], "command": shlex.join(config["command"])}
    for i, resumed in enumerate(config.get("resumed", []), 1):
        run[f"resumed ({i})"] = f"{resumed['time']}: {shlex.join(resumed['command'])}"
    run["objective"] = f"{objective.direction}imise the {objective.name}"
    options = {k: v for k, v in table.options.items() if k not in OUTSIDE and v is not None}
    machine = {k: config[k] for k in ("processor", "cores", "platform", "python", "git_commit") if config.get(k)}
    machine |= {"devices": ", ".join(config["devices"]), **config["versions"]}
    groups = {
        "Run": run,
        "Options": {name.replace("_", " "): value for name, value in options.items()},
        "Searched": {name: repr(dimension) for name, dimension in table.space.items},
        "Held fixed": config.get("constants", {}),
        "Data": {k: v for k, v in config["data"].items() if not isinstance(v, dict)},
        "Machine and versions": machine,
    }
    tables = "".join(f"<div><h3>{title}</h3>{_facts(facts)}</div>" for title, facts in groups.items() if facts)
    yield "How it was run", f"<div class='facts'>{tables}</div>", []


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
// A figure is drawn before its neighbour is there to share the row with.
addEventListener("load", () => document.querySelectorAll(".js-plotly-plot").forEach((p) => Plotly.Plots.resize(p)));
</script>
</body>
</html>
"""
