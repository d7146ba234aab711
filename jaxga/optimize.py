"""A whole search in one call: ``minimize``, ``maximize``, ``optimize``."""

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, Unpack

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jaxga.algorithms import invasive_ga
from jaxga.base import Algorithm, Objective, Task
from jaxga.checks import check_count
from jaxga.chunks import ChunkSize, check_chunk_size
from jaxga.evaluate import SEEDS, Seeds
from jaxga.lanes import check_trainable, plan_lanes
from jaxga.loop import as_key
from jaxga.programs import NUM_KEPT
from jaxga.registry import ALGORITHMS
from jaxga.result import Result
from jaxga.runs.callbacks import Callback, Callbacks
from jaxga.runs.execution import Execution
from jaxga.runs.model import Keep, check_keep
from jaxga.runs.session import Search
from jaxga.runs.stopping import Stop
from jaxga.schedules import WHOLE, AnyLayout, Schedule, as_schedule, layout_of
from jaxga.space import Conditional, Dimension, SearchSpace
from jaxga.task import FunctionTask, check_attributes, function_task
from jaxga.text import check_choice
from jaxga.trainable import Trainable

AlgorithmLike = str | Algorithm | Callable[..., Algorithm]
_POPULATION_SIZE, NUM_GENERATIONS = 64, 20


def optimize(
    task: Task,
    *,
    population_size: int | None = None,
    num_generations: int | None = None,
    key: Array | int = 0,
    algorithm: AlgorithmLike = invasive_ga,
    schedule: str | Schedule = WHOLE,
    num_replicates: int = 1,
    seeds: Seeds = "own",
    num_fresh: int = 8,
    chunk_size: ChunkSize = "auto",
    mesh: Mesh | None = None,
    generations_per_dispatch: int = 1,
    warm_start: Any = None,
    stop: Stop | None = None,
    callbacks: Sequence[Callback] = (),
    out: str | Path | None = None,
    resume: bool = False,
    report: bool = True,
    keep_model: Keep = "best",
    progress: bool = False,
) -> Result:
    """Search a task's space in its objective's own direction.

    Args:
        task: what scores a setting; :func:`minimize` and :func:`maximize` take a plain function.
        population_size: P, members per generation; default 64. An Algorithm has its own. Under a schedule the number of
            lanes, from which the number of new members a generation follows.
        num_generations: how many; P x this many evaluations. Under a schedule a generation is one part of each
            training. Default 20, under a schedule 20 whole trainings of each lane.
        key: a seed in [0, 2^32 - 1], or a threefry key; the same one gives the same result.
        algorithm: a name in ``jaxga.ALGORITHMS``, a factory ``f(space, population_size=P)``, or the Algorithm it makes.
        schedule: ``"whole"`` trains each member to the end. For a :class:`jaxga.Trainable` also another name in
            ``jaxga.schedules.NAMES``, or a :class:`jaxga.Schedule`: the search then learns from unfinished trainings,
            halvings drop members before the end, and population-based training changes their settings on the way.
        num_replicates: seeds per member; its value is their mean.
        seeds: ``"own"``, or the same seeds for all members of a ``"generation"`` or of the whole ``"run"``: see
            :func:`jaxga.run`.
        num_fresh: seeds under which the winner is evaluated again at the end; 0 for none.
        chunk_size: members trained side by side on a device at most; None for all; ``"auto"``: as many as suit the task
            and fit the device. It is halved, with a warning, where the memory does not suffice.
        mesh: devices to share the members among, as :func:`jaxga.runtime.population_mesh` gives.
        generations_per_dispatch: generations per compiled program.
        warm_start: what to begin with: a list of settings, a run's folder or history file, or an Optuna URL. A resumed
            run has the one that it began with.
        stop: rules that end the run early.
        callbacks: functions called with each :class:`Generation`; one that returns True ends the run.
        out: a folder to record the run in, new or empty: history, checkpoints, result, model and report, the same as
            the command line writes; None for no folder.
        resume: go on with the run in ``out``, to the same bits; where none was begun there, begin.
        report: whether to write the figures and ``report.html`` at the end; needs ``out``.
        keep_model: of a task that gives trained models: the one of the best fresh seed, those of all, or none.
        progress: whether to show a live line in a terminal or notebook.

    Returns:
        A :class:`Result`.

    Raises:
        ValueError: an argument is out of its range (the message names it and what is allowed), ``out`` holds another
            run, or a callback failed (what the run had done is saved first).
        AllMembersFailed: no member has a finite value.
        MemoryError: one training, or the ``chunk_size`` that was asked for, does not fit the device.
    """
    check_attributes(task)
    check_count("num_fresh", num_fresh, 0)
    check_count("num_replicates", num_replicates, 1)
    check_choice("seeds", seeds, SEEDS)
    check_chunk_size(chunk_size)
    check_keep(keep_model)
    rules = Stop() if stop is None else stop
    if not isinstance(rules, Stop):
        raise ValueError(f"stop must be a jaxga.Stop, got {stop!r}")
    if not isinstance(out, str | PathLike | None):
        raise ValueError(f"out must be the path of a folder or None, got {out!r}")
    if resume and out is None:
        raise ValueError("resume needs out, the folder of the run to go on with")
    method, layout = make_scheduled(algorithm, task, population_size, schedule)
    if num_generations is None:
        num_generations = NUM_GENERATIONS * (1 if layout is None else layout.num_parts)
    check_count("num_generations", num_generations, 1)
    search = Search(
        task=task,
        algorithm=method,
        key=as_key(key),
        num_generations=num_generations,
        num_replicates=num_replicates,
        seeds=seeds,
        num_fresh=num_fresh,
        chunk_size=chunk_size,
        mesh=mesh,
        generations_per_dispatch=generations_per_dispatch,
        layout=layout,
    )
    search = search._replace(num_generations=rules.num_generations(num_generations, search.trainings_each))
    options = {
        "task": _task_name(task),
        "algorithm": _algorithm_name(algorithm),
        "pop": method.population_size,
        "generations": num_generations,
        "replicates": num_replicates,
        "seeds": seeds,
        "fresh": num_fresh,
        "seed": int(key) if isinstance(key, int | np.integer) else jax.random.key_data(search.key).tolist(),
        "chunk": chunk_size,
        "dispatch": generations_per_dispatch,
        **asdict(rules),
    }
    if layout is not None:
        options |= {"pop": layout.num_lanes, "schedule": repr(layout.schedule)}
    options = {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()}
    with contextlib.ExitStack() as stack:
        run = Execution(search, rules, options, warm_start, None if out is None else Path(out), resume, report, stack)
        reached, reason = run.follow(Callbacks(callbacks), progress)
        return run.finish(reached, reason, keep_model)


class _Options(TypedDict, total=False):
    """The keyword arguments of :func:`optimize`."""

    population_size: int | None
    num_generations: int | None
    key: Array | int
    algorithm: AlgorithmLike
    schedule: str | Schedule
    num_replicates: int
    seeds: Seeds
    num_fresh: int
    chunk_size: ChunkSize
    mesh: Mesh | None
    generations_per_dispatch: int
    warm_start: Any
    stop: Stop | None
    callbacks: Sequence[Callback]
    out: str | Path | None
    resume: bool
    report: bool
    keep_model: Keep
    progress: bool


def _with_options(function: Callable[..., Result]) -> Callable[..., Result]:
    """Show the keyword arguments of :func:`optimize`, with their defaults, in the signature of ``function``."""
    own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [p for p in inspect.signature(optimize).parameters.values() if p.kind is p.KEYWORD_ONLY]
    function.__signature__ = inspect.Signature([*own, *options], return_annotation=Result)  # pyright: ignore[reportFunctionMemberAccess]
    return function


Fitness = Callable[[Array, dict[str, Array]], Any]


@_with_options
def minimize(
    fitness: Fitness, space: SearchSpace | Mapping[str, Dimension | Conditional], **options: Unpack[_Options]
) -> Result:
    """Find the setting of least ``fitness(key, setting)``.

    Args:
        fitness: pure JAX, for one setting (a dict of scalars in their own units) and one key; gives
            a scalar, or ``(scalar, metrics)``, or ``(scalar, metrics, model)``. It is compiled into the generation and
            vmapped. A category that is no number is its index there. As under ``jax.jit``, the program is kept for
            the next call with the same function: what it reads from outside is read once.
        space: the hyperparameters and their ranges: a :class:`SearchSpace`, or a dict of its dimensions.
        options: the keyword arguments of :func:`optimize`.

    Returns and raises: as :func:`optimize`.

    >>> import jaxga
    >>> space = jaxga.SearchSpace(x=jaxga.Uniform(-1.0, 1.0))
    >>> result = minimize(lambda key, setting: setting["x"] ** 2, space, population_size=8, num_generations=4)
    >>> abs(result.best["x"]) < 0.5
    True
    """
    return optimize(function_task(fitness, space, Objective("value", "min")), **options)


@_with_options
def maximize(
    fitness: Fitness, space: SearchSpace | Mapping[str, Dimension | Conditional], **options: Unpack[_Options]
) -> Result:
    """Find the setting of greatest ``fitness(key, setting)``; all else as in :func:`minimize`."""
    return optimize(function_task(fitness, space, Objective("value", "max")), **options)


def make_scheduled(
    algorithm: AlgorithmLike, task: Task, population_size: int | None, schedule: str | Schedule
) -> tuple[Algorithm, AnyLayout | None]:
    """The algorithm, and the lanes that the schedule has; ``population_size`` is the number of lanes then.

    Raises ``ValueError`` where the task cannot be trained in parts, the lanes are too few, or the schedule is unknown.
    """
    chosen = as_schedule(schedule)
    if chosen is None:
        return make_algorithm(algorithm, task.space, population_size), None
    if isinstance(algorithm, Algorithm):
        check_trainable(task, chosen.name)
        assert isinstance(task, Trainable)
        layout = layout_of(chosen, task.num_parts, algorithm.population_size, task.first_rung)
        if population_size not in (None, layout.num_lanes):
            raise ValueError(
                f"population_size must be the {layout.num_lanes} lanes of the given Algorithm or left out, "
                f"got {population_size!r}"
            )
        return algorithm, layout
    layout = plan_lanes(task, chosen, _POPULATION_SIZE if population_size is None else population_size)
    return make_algorithm(algorithm, task.space, layout.num_new, layout.first_share), layout


def make_algorithm(
    algorithm: AlgorithmLike, space: SearchSpace, population_size: int | None, least_share: float | None = None
) -> Algorithm:
    """The algorithm given, or the one that a name or a factory makes.

    Equal options of a registered factory give the same Algorithm, so that its compiled programs are found again.
    ``least_share`` is for a schedule: a factory that takes it gets it.
    """
    if isinstance(algorithm, Algorithm):
        if population_size not in (None, algorithm.population_size):
            raise ValueError(
                f"population_size must be the given Algorithm's own {algorithm.population_size} or left out, "
                f"got {population_size!r}"
            )
        return algorithm
    factory: Any = ALGORITHMS.get(algorithm) if isinstance(algorithm, str) else algorithm
    if not callable(factory):
        raise ValueError(f"algorithm must be one of {list(ALGORITHMS)}, an Algorithm or its factory, got {algorithm!r}")
    size = _POPULATION_SIZE if population_size is None else population_size
    name, options = factory, {}
    if least_share is not None and "least_share" in inspect.signature(factory).parameters:
        factory = functools.partial(factory, least_share=least_share)
    if isinstance(factory, functools.partial) and not factory.args:
        name, options = factory.func, factory.keywords
    if name in ALGORITHMS.values():
        try:
            return _registered(name, space, **{"population_size": size, **options})
        except TypeError:  # an option that cannot be hashed, or one that the factory does not have: it says so below
            pass
    made = factory(space, population_size=size)
    if not isinstance(made, Algorithm):
        raise ValueError(f"algorithm: a factory must return an Algorithm, got {made!r}")
    return made


@functools.lru_cache(NUM_KEPT, typed=True)
def _registered(factory: Callable[..., Algorithm], space: SearchSpace, **options: Any) -> Algorithm:
    return factory(space, **options)


def _algorithm_name(algorithm: AlgorithmLike) -> str:
    """What ``config.json`` says of an algorithm: two of different names are not the same search."""
    if isinstance(algorithm, str):
        return algorithm
    if isinstance(algorithm, Algorithm):
        # The inner functions of a factory have its name: my_search.<locals>.ask.
        return algorithm.name or getattr(algorithm.ask, "__qualname__", type(algorithm.ask).__name__).split(".")[0]
    if isinstance(algorithm, functools.partial):
        given = ", ".join(f"{name}={value!r}" for name, value in sorted(algorithm.keywords.items()))
        given = re.sub(" at 0x[0-9a-f]+", "", given)  # another process has a function at another address
        return f"{_algorithm_name(algorithm.func)}({given})"
    return getattr(algorithm, "__name__", type(algorithm).__name__)


def _task_name(task: Task) -> str:
    return task.fitness.__name__.strip("<>") if isinstance(task, FunctionTask) else type(task).__name__.lower()
