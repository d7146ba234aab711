"""The same algorithm under each schedule at equal lane-parts: ``python experiments/compare.py --schedules``."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from matplotlib.figure import Figure

from experiments.comparison.curves import Curves
from experiments.comparison.statistics import win_probability
from experiments.comparison.stoppers import STOPPERS, recommended
from experiments.comparison.telling import Telling, finished_alone, judged_by_score
from jaxga.chunks import Chunks, plan_chunk
from jaxga.evaluate import part_by_part
from jaxga.loop import as_keys
from jaxga.many import searches_program
from jaxga.optimize import make_scheduled
from jaxga.programs import compiled
from jaxga.runtime import compiler_options
from jaxga.schedules import Schedule, successive_halving
from jaxga.tasks.cnn import cnn
from jaxga.tasks.mnist import mnist
from jaxga.tasks.ppo import cartpole, ppo

TASKS: dict[str, Callable[[], Any]] = {
    "curves": lambda: Curves(jnp.float32(0.0)),
    "crossing_curves": lambda: Curves(jnp.float32(1.0)),
    "digits": lambda: mnist(dataset="digits", search="full", num_steps=200),
    "mnist": lambda: mnist(search="full", num_steps=100),
    "mnist1d": lambda: cnn(dataset="mnist1d"),
    "cartpole": lambda: cartpole(search="full", metric="area", num_steps=50_000),
    "acrobot": lambda: ppo("Acrobot-v1", metric="area"),
    "pendulum": lambda: ppo("Pendulum-v1", metric="area"),
    "breakout": lambda: ppo("Breakout-MinAtar", metric="area"),
}
DEFAULT_TASKS = ("digits", "curves", "crossing_curves")
QUICK_TASKS = ("curves", "crossing_curves")


class Method(NamedTuple):
    """An algorithm under a schedule. ``told`` changes what the algorithm is told of unfinished trainings."""

    schedule: str | Schedule
    algorithm: str = "invasive_ga"
    told: Telling | None = None


METHODS = {
    "whole": Method("whole"),
    "successive_halving": Method("successive_halving"),
    "hyperband": Method("hyperband"),
    "pipelined": Method("pipelined"),
    "population_based": Method("population_based"),
    "random_search:whole": Method("whole", "random_search"),
    "random_search:successive_halving": Method("successive_halving", "random_search"),
}
# Halving with one part changed, to see what the part is worth.
HALVINGS = {
    "halving:eta3": Method(successive_halving(eta=3)),
    "halving:eta4": Method(successive_halving(eta=4)),
    "halving:quarter": Method(successive_halving(first_rung=0.25)),
    "halving:judged_by_score": Method("successive_halving", told=judged_by_score),
    "halving:finished_alone": Method("successive_halving", told=finished_alone),
}
NAMES = (*METHODS, *HALVINGS, *STOPPERS)
DEFAULT_METHODS = (*METHODS, *STOPPERS)
_COLOURS = (
    *("#555555", "#D55E00", "#CC79A7", "#0072B2", "#009E73", "#bbbbbb", "#E69F00"),
    *("#7B3294", "#A6761D", "#1B9E77", "#E7298A", "#377EB8"),
    *("#56B4E9", "#8B5A2B", "#000000"),
)
_NUM_FRESH = 8
_LOG_FROM = 2.0  # the ratio of the greatest loss to the least from which the axis of a picture is logarithmic
_NUM_BOOTSTRAPS = 2000


class Measured(NamedTuple):
    """One task on so many lanes.

    Attributes:
        task: a name in ``TASKS``.
        lanes: members in training.
        trainings: after so many whole trainings' worth of parts each column was taken [G].
        losses: by method f64[S, G], the mean loss of the setting recommended then, under fresh seeds.
        refused: by method, why it was not run.
        seconds: by method, how long its program took to compile, and then one search.
    """

    task: str
    lanes: int
    trainings: list[int]
    losses: dict[str, np.ndarray]
    refused: dict[str, str]
    seconds: dict[str, tuple[float, float]]


def compare_schedules(
    folder: Path,
    head: Mapping[str, Any],
    names: Sequence[str],
    sizes: Any,
    num_seeds: int,
    say: Any,
    methods: Sequence[str],
) -> None:
    """Measure the tasks ``names`` at ``sizes``, pairs of lanes and whole generations, and write the record.

    Args:
        folder: where schedules.json, schedules.md and schedules.png are written, after each method.
        head: the command, machine and versions.
        names: keys of ``TASKS``.
        sizes: pairs (lanes, generations of whole trainings).
        num_seeds: S, searches of each method.
        say: is called with a line about what is being run.
        methods: of ``NAMES``, to run beside ``whole``.
    """
    run = [name for name in NAMES if name == "whole" or name in methods]
    measured: list[Measured] = []
    keys = as_keys(range(num_seeds))
    for name in names:
        task = TASKS[name]()
        for lanes, num_generations in sizes:
            found = Measured(name, lanes, [lanes * (g + 1) for g in range(num_generations)], {}, {}, {})
            measured.append(found)
            for method in run:
                say(f"{name}, {lanes} lanes: {method}")
                search = _of_a_peer if method in STOPPERS else _ours
                try:
                    genomes, found.seconds[method] = search(method, task, keys, found)
                except ValueError as error:
                    found.refused[method] = str(error)
                else:
                    found.losses[method] = np.asarray(_fresh(task, keys, genomes), np.float64) * task.objective.sign
                write(folder, head, measured)


def _ours(method: str, task: Any, keys: Array, found: Measured) -> tuple[Array, tuple[float, float]]:
    """Genomes f32[S, G, D], or f32[S, G, K, D], that searches under a schedule recommend, with the seconds.

    Raises ``ValueError`` where the schedule refuses the lanes.
    """
    schedule, algorithm, told = (METHODS | HALVINGS)[method]
    made, layout = make_scheduled(algorithm, task, found.lanes, schedule)
    made = made if told is None else told(made)
    parts = 1 if layout is None else layout.num_parts
    end = len(found.trainings) * parts
    chunks = Chunks(plan_chunk("auto", task), found.lanes, None)
    program_of = partial(searches_program, task, made, layout, end, 1, "own", 1)
    arguments = keys, task, jnp.int32(end)
    began = time.perf_counter()
    program = chunks.compile(lambda size: compiled(program_of(size), *arguments))
    ready = time.perf_counter()
    _, record = jax.device_get(program(*arguments))
    seconds = ready - began, (time.perf_counter() - ready) / len(keys)
    jax.clear_caches()
    return record.best.genome[:, parts - 1 :: parts], seconds


def _of_a_peer(method: str, task: Any, keys: Array, found: Measured) -> tuple[np.ndarray, tuple[float, float]]:
    """Genomes f32[S, G, D] that another package recommends, and the seconds of compiling (0) and of a search.

    The task's training is compiled during the first search, and counts as a part of it. Raises ``ValueError`` where the
    package is not installed.
    """
    stopper = STOPPERS[method]
    if missing := stopper.missing():
        raise ValueError(missing)
    marks = [num * task.num_parts for num in found.trainings]
    began = time.perf_counter()
    genomes = np.stack([recommended(stopper, task, key, i, marks) for i, key in enumerate(keys)])
    return genomes, (0.0, (time.perf_counter() - began) / len(keys))


@partial(jax.jit, compiler_options=compiler_options())
def _fresh(task: Any, keys: Array, genomes: Array) -> Array:
    """f32[S, G]: the mean value of genomes f32[S, G, D] under fresh seeds, the same for all methods.

    Of population-based training genomes f32[S, G, K, D]: trained from nothing with the setting of each part.
    """
    evaluate = type(task).evaluate if genomes.ndim == 3 else part_by_part(type(task).evaluate)

    def one(job: tuple[Array, Array]) -> Array:
        key, genome = job
        shown = task.space.decode(genome)
        seeds = jax.vmap(partial(jax.random.fold_in, jax.random.fold_in(key, 2**32 - 1)))(jnp.arange(_NUM_FRESH))
        return jnp.mean(jax.lax.map(lambda key: jnp.float32(evaluate(task, key, shown).value), seeds))

    return jax.lax.map(lambda row: jax.lax.map(lambda genome: one((row[0], genome)), row[1]), (keys, genomes))


def write(folder: Path, head: Mapping[str, Any], measured: Sequence[Measured]) -> None:
    """The record as JSON, Markdown and a picture."""
    rows = [m._asdict() | {"losses": {k: v.tolist() for k, v in m.losses.items()}} for m in measured]
    (folder / "schedules.json").write_text(json.dumps({**head, "rows": rows}) + "\n")
    (folder / "schedules.md").write_text(_markdown(head, measured))
    picture(measured).savefig(folder / "schedules.png", dpi=130)


def share_needed(losses: np.ndarray, whole: np.ndarray) -> float:
    """The share of the lane-parts after which the median loss is as low as that of ``whole`` at the end; inf: never."""
    reached = np.flatnonzero(np.median(losses, axis=0) <= np.median(whole[:, -1]))
    return float(reached[0] + 1) / losses.shape[1] if reached.size else float("inf")


def in_the_time_of(seconds: tuple[float, float], of: tuple[float, float], num_columns: int) -> int:
    """How many columns a method has completed when a search of another method, with its compilation, has ended.

    Args:
        seconds: of the method's compilation and of its search; each column of a search takes equally long.
        of: the same of the other method.
        num_columns: of a search.
    """
    done = num_columns * (sum(of) - seconds[0]) / seconds[1]
    return int(np.clip(done + 1e-9, 0, num_columns))


def difference(losses: np.ndarray, whole: np.ndarray) -> tuple[float, float, float]:
    """The difference of the median losses f64[S] from those of ``whole``, and its 95 % bootstrap interval.

    The searches of one key share nothing but their first members' draws, so they are drawn anew independently.
    """
    rng = np.random.default_rng(0)
    drawn = [np.median(x[rng.integers(len(x), size=(_NUM_BOOTSTRAPS, len(x)))], axis=1) for x in (losses, whole)]
    low, high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    return float(np.median(losses) - np.median(whole)), float(low), float(high)


def _markdown(head: Mapping[str, Any], measured: Sequence[Measured]) -> str:
    lines = ["# Schedules at equal lane-parts", "", *(f"- {name}: {value}" for name, value in head.items()), ""]
    lines += [
        "The same algorithm under each schedule. The figure is the loss of the setting that a search recommends, the "
        f"mean of {_NUM_FRESH} fresh seeds, the median over the searches, after the *first* generation of whole "
        "trainings, after *half* of them, rounded down, and at the *end*. The difference from `whole` at the end has a "
        "95 % bootstrap interval; *wins* is how often a "
        "search is better than one of `whole`; *needs* is the share of the lane-parts after which the median is as low "
        "as that of `whole` at the end. Optuna and DEHB have as many parts in all, and train one member after another: "
        "each is chosen with the results of all earlier ones known. *Seconds* are those of the compilation, without a "
        "cache, and of one search; *same time* is the loss at the time when a search of `whole`, with its compilation, "
        "has ended.",
        "",
    ]
    columns = ("first", "half", "end", "minus `whole`", "wins", "needs", "seconds", "same time")
    for m in measured:
        whole = m.losses["whole"]
        lines += [f"## {m.task}, {m.lanes} lanes, {m.trainings[-1]} trainings' worth", ""]
        lines += [f"| method | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
        for method, losses in m.losses.items():
            middle = losses.shape[1] // 2 - 1 if losses.shape[1] > 1 else 0
            shift, low, high = difference(losses[:, -1], whole[:, -1])
            wins = win_probability(losses[:, -1], whole[:, -1])
            needs = share_needed(losses, whole)
            cells = [method, *(f"{np.median(losses[:, column]):.4g}" for column in (0, middle, -1))]
            cells += (
                ["", "", ""]
                if method == "whole"
                else [
                    f"{shift:+.3g} [{low:+.3g}, {high:+.3g}]",
                    f"{wins:.2f}",
                    f"{needs:.2f}" if np.isfinite(needs) else "-",
                ]
            )
            done = in_the_time_of(m.seconds[method], m.seconds["whole"], losses.shape[1])
            cells.append(" + ".join(f"{seconds:.3g}" for seconds in m.seconds[method] if seconds))
            cells.append(f"{np.median(losses[:, done - 1]):.4g}" if done else "-")
            lines.append(f"| {' | '.join(cells)} |")
        lines += [f"| {method} | {why} |{' |' * (len(columns) - 1)}" for method, why in m.refused.items()]
        lines.append("")
    return "\n".join([*lines, "![The loss by whole trainings' worth](schedules.png)", ""])


def picture(measured: Sequence[Measured]) -> Figure:
    """Median and quartiles of each method, a panel a task and number of lanes."""
    columns = min(3, len(measured))
    rows = -(-len(measured) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.8 * rows), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes, m in zip(panels, measured, strict=False):
        every = np.concatenate([losses.ravel() for losses in m.losses.values()])
        colours = dict(zip(NAMES, _COLOURS, strict=True))
        for method, losses in m.losses.items():
            colour = colours[method]
            low, middle, high = np.percentile(losses, [25, 50, 75], axis=0)
            axes.fill_between(m.trainings, low, high, color=colour, alpha=0.15, lw=0)
            axes.plot(m.trainings, middle, color=colour, label=method, marker="o", ms=3)
        axes.set_title(f"{m.task}, {m.lanes} lanes")
        axes.set_xlabel("whole trainings' worth")
        axes.set_ylabel("loss of the recommended setting")
        if 0 < _LOG_FROM * every.min() < every.max():
            axes.set_yscale("log")
    for axes in panels[len(measured) :]:
        axes.remove()
    panels[0].legend(fontsize=8)
    return figure
