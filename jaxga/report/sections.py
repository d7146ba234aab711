"""The sections of the report page: what each says in words, and its figures."""

import html
import itertools
import math
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxga.report import figures
from jaxga.report.findings import (
    Interval,
    Invasion,
    best_row,
    deviation,
    fresh_seeds,
    has_estimates,
    invasion,
    is_noisy,
    winner_row,
)
from jaxga.report.importance import MIN_IMPORTANCE, Importances, importances, sample
from jaxga.report.lineage import by_part, lineage
from jaxga.report.ranking import Ranking, ranking
from jaxga.report.rungs import Audit, Rung, audit, rungs
from jaxga.runs.config import LENGTH
from jaxga.runs.history import HEIR, History
from jaxga.runs.saved import SavedRun
from jaxga.text import show, unfinished

_MAX_PAIRS = 4
_MAX_AXES = 8

# Its title, its text as HTML, and its figures.
Section = tuple[str, str, list[figures.Figure]]


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


def summary(run: SavedRun, history: History) -> str:
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
    if history.trained < 1:
        whose += f", after {100 * history.trained:.0f} % of a training at most"
    if has_estimates(history):
        yield show(value), f"{name}, estimate", f"{whose}, by the search from all that it knows"
        chance = "; partly chance, because values are noisy" if is_noisy(history) else ""
        yield show(_last(history.best_evaluations)), f"{name}, best evaluation", f"of all {num:,} members{chance}"
    else:
        yield show(value), f"{name}, best", f"{whose}, in the search; chosen as the best of {num:,}"
    for metric, values in _fresh(run).items():
        spread = f"± {deviation(values)} (standard deviation); " if len(values) > 1 else ""
        mean = "mean of " if len(values) > 1 else ""
        label = name if metric == name else metric.replace("_", " ")
        yield show(float(np.mean(values))), f"{label}, fresh", f"{spread}of the winner, {mean}{fresh_seeds(values)}"
    first = history.columns["value"][history.generations[0]]
    if np.isfinite(first).any() and "schedule" not in run.config:  # there the first to end were chosen by scores
        median = float(np.median(first[np.isfinite(first)]))
        yield show(median), f"{name}, at first", "median of the first generation"
    failed = f"of which {_num_failed(run, history):,} failed"
    if "schedule" in run.config:
        begun = len(np.unique(history.scored.columns["member"]))
        worth = (
            f"all parts together are worth {show(run.result['evaluations'])} trainings" if run.result else "of these"
        )
        yield f"{begun:,}", "members begun", failed
        yield f"{num if history.trained == 1 else 0:,}", "trained to the end", unfinished(history.trained) or worth
    else:
        yield f"{num:,}", "members trained", failed


def _last(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else math.nan


def _fresh(run: SavedRun) -> dict[str, np.ndarray]:
    """The winner's value under fresh seeds, and its metrics on test data."""
    found = {k: np.asarray(v, float) for k, v in run.result.get("fresh", {}).items() if np.ndim(v) == 1 and len(v)}
    return {k: v for k, v in found.items() if k == run.objective.name or k.startswith("test_")}


def _num_failed(run: SavedRun, history: History) -> int:
    """Of all members of the run, also of those that ``history`` omits."""
    told = {e["generation"]: e["failed"] for e in run.events if e["event"] == "generation"}
    untold = ~np.isin(history.columns["generation"], list(told)) & ~np.isfinite(history.loss)
    return sum(told.values()) + int(untold.sum())


# --- the sections ---


def _progress(run: SavedRun, history: History) -> Iterator[Section]:
    text = "The best value so far, and the middle half of each generation."
    if has_estimates(history):
        why = "It follows from all that the search knows: from unfinished trainings and values given at the start too."
        if is_noisy(history):
            why = "The estimate gets worse where further evaluations correct one that was good by chance."
        text = (
            f"The thick line is the search's estimate of its best setting after each generation. {why} The dotted line "
            "is the best evaluation of a single member so far."
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
        text = f"Its {name} is {show(value)}, in the search and on {fresh_seeds(fresh)}."
    else:
        what = "the search's estimate" if has_estimates(history) else "the best value observed"
        spread = f" ± {deviation(fresh)} (mean ± standard deviation)" if len(fresh) > 1 else ""
        text = (
            f"Its {name} in the search is {show(value)}: {what}. The winner was chosen by this value, which is "
            f"therefore too good on average. On {fresh_seeds(fresh)} its {name} is "
            f"{show(float(np.mean(fresh)))}{spread}."
        )
    settings = run.result.get("best_by_part", [run.best])
    if len(settings) > 1 and len(fresh):
        text += " There it was trained from nothing, with the setting of each part."
    kind = "setting by-part" if len(settings) > 1 else "setting"
    setting = f"<div class='{kind}'>{_facts(by_part(settings))}</div>"
    yield "The winner", _paragraph(text) + setting, [figures.winner(history, fresh)]


def _schedule(run: SavedRun, history: History) -> Iterator[Section]:
    schedule, found = run.config.get("schedule"), rungs(history.scored)
    if schedule is None or not found:
        return
    text = (
        f"{schedule['lanes']} lanes were trained one of {schedule['num_parts']} parts a generation. "
        f"{schedule['new']} members began in each generation"
    )
    if schedule["name"] == "population_based":
        yield from _population(run, schedule, history)
        return
    if schedule["eta"] == 1:
        text += ", and each was trained to the end; the search learned from every score."
    else:
        text += f", and at each rung about 1 in {schedule['eta']} of them went on."
    audited = None
    if schedule["name"] == "successive_halving" and len(schedule["brackets"]) > 1:
        audited = audit(history.scored, len(schedule["brackets"]) - 1)
    text += _correlation(found[:-1]) + (_audited(audited, history) if audited is not None else "")
    yield "What the schedule did", _paragraph(text), figures.schedule(history.scored, found)


def _population(run: SavedRun, schedule: dict[str, Any], history: History) -> Iterator[Section]:
    scored, settings = history.scored, run.result.get("best_by_part")
    since = "" if schedule["first"] == 1 else f" from part {schedule['first']} on"
    text = (
        f"{schedule['lanes']} lanes were trained one of {schedule['num_parts']} parts a generation, all from their "
        f"beginning to their end together. After each part{since} the worst {schedule['taken_over']} took over the "
        f"trainings of the best {schedule['taken_over']}, under settings bred for them. A failed member's lane is "
        "taken over too."
    )
    if again := schedule.get("repeated"):  # runs of earlier versions have none
        text += f" In each later cohort {again} of the lanes trained the best settings so far again, from nothing."
    found = lineage(scored, settings)
    if found is None:
        yield "What the schedule did", _paragraph(text), []
        return
    if settings is not None:
        changes = sum(setting != before for before, setting in itertools.pairwise(settings))
        text += f" In the winner's training the setting changed {changes} time{'s' * (changes != 1)}."
    yield "What the schedule did", _paragraph(text), figures.lineage(scored, found)


def _correlation(found: list[Rung]) -> str:
    known = [rung for rung in found if math.isfinite(rung.correlation)]
    if not known:
        return " Too few members were trained to the end to say how well a rung ranks them."
    first = known[0]
    return (
        f" After {100 * first.share:.0f} % of the training the order of the values had a rank correlation of "
        f"{first.correlation:.2f} with the order at the end (Spearman, {first.num_compared} members that were trained "
        "to the end; most of these were chosen by their scores, which makes them harder to rank)."
    )


def _audited(found: Audit, history: History) -> str:
    name, sign = history.objective.name, history.objective.sign
    text = (
        f" {found.num_members} members were trained to the end whatever their scores: by its scores alone the first "
        f"rung would have kept {found.num_kept} of them."
    )
    if not found.num_kept:
        return text
    if found.best_kept == found.best:
        return text + " The best of all these is among those kept: here stopping cost nothing."
    return text + (
        f" The best {name} of all these is {show(sign * found.best)}, of those kept {show(sign * found.best_kept)}: "
        "what stopping cost here."
    )


def _has_heirs(history: History) -> bool:
    """Whether settings changed during trainings: what such a training is worth says nothing about its last setting."""
    return bool((history.scored.columns["species"] == HEIR).any())


def _species(run: SavedRun, history: History) -> Iterator[Section]:
    if _has_heirs(history):
        return
    text, found = (
        "The members of each species: all of a generation, and those among the best so far.",
        invasion(history),
    )
    if found is not None and not found.num_best:
        text += (
            " Of the generations that have both children and invaders, no such member is among the best: nothing can "
            "be said about the invasion."
        )
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
    if found is None or (_has_heirs(history) and not len(found.numbers)):
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
    if not len(rows) or _has_heirs(history):
        return
    names = list(history.space.names)
    if len(names) > 1:
        found = importances(history, rows)
        text = "The best tenth does not differ from all members: their values or their hyperparameters are too equal."
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
    row = winner_row(history, run.result.get("best"))
    whose, label = "winner", "winner, its best training"
    if row is None:
        row, whose, label = best_row(history), "best member of this run", "best member of this run"
    if drawn := figures.curves(history, row, label):
        text = f"The {whose} and the other members; bands are the middle half."
        if run.result and whose != "winner":
            text += " The search did not train the winner itself."
        yield "Learning curves", _paragraph(text), drawn


def _time(run: SavedRun, history: History) -> Iterator[Section]:
    timed = [e for e in run.events if e["event"] == "generation"]
    if not timed:
        return
    seconds = np.maximum(1e-9, [e["seconds"] - e["compile_seconds"] for e in timed])
    size, unit = float(len(history.generations[0])), "Members"
    if schedule := run.config.get("schedule"):
        size = schedule["lanes"] / schedule["num_parts"] * history.num_replicates
        unit = "Whole trainings' worth"
    rate = figures.throughput(np.array([e["generation"] for e in timed]), size / seconds, unit)
    parts = dict(run.result.get("seconds", {}))
    what = "the seconds that each part of the run took (after a resume, of the part since)"
    if not parts:
        what = "the seconds that the generations took"
        parts = {"compile": sum(e["compile_seconds"] for e in timed), "generations": float(seconds.sum())}
    yield (
        "Time",
        _paragraph(f"{unit} trained per second without compiling, and {what}."),
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
        "Searched": run.space.described(),
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


# In the order of the page; each gives no section where the run has nothing for it.
SECTIONS: tuple[Callable[[SavedRun, History], Iterator[Section]], ...] = (
    _progress,
    _winner,
    _schedule,
    _species,
    _surrogate,
    _hyperparameters,
    _curves,
    _time,
    _how,
)
