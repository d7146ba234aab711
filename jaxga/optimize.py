"""A whole search in one call: ``minimize``, ``maximize``, ``optimize``."""

import contextlib
import functools
import inspect
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh
from rich.console import Console

from jaxga import runtime
from jaxga.algorithms import invasive_ga
from jaxga.base import Algorithm, Objective, PyTree, Task
from jaxga.checks import check_count
from jaxga.evolution import State
from jaxga.loop import as_key
from jaxga.registry import ALGORITHMS
from jaxga.runs.callbacks import Callback, CallbackError, Callbacks
from jaxga.runs.config import (
    LENGTH,
    WARM_START,
    check_config,
    check_identity,
    check_length,
    identity,
    new_config,
    read_config,
    resumed_config,
)
from jaxga.runs.folder import RunFolder, Start, has_run, restart
from jaxga.runs.history import History
from jaxga.runs.model import Keep, check_keep, kept_model, save_model
from jaxga.runs.progress import ProgressLine
from jaxga.runs.recorder import Recorder
from jaxga.runs.saved import read_history
from jaxga.runs.session import Reached, Search, follow, write_result
from jaxga.runs.stopping import ENOUGH, GO_ON, REPORT_SECONDS, Stop, StopState
from jaxga.runs.warm_start import WarmStart
from jaxga.space import Dimension, SearchSpace
from jaxga.task import FunctionTask, check_attributes, function_task
from jaxga.text import show

AlgorithmLike = str | Algorithm | Callable[..., Algorithm]
_POPULATION_SIZE = 64


@dataclass(frozen=True)
class Result:
    """What a search found.

    Attributes:
        best: the setting believed best, in its own units.
        best_value: its value in the objective's own sign, as the search saw it. For a noisy objective this is
            optimistic, because the setting was chosen for it.
        fresh_values: f32[N], its values under N seeds that the search did not use.
        history: every member evaluated.
        state: the run's last state, to go on from; None where the run ended inside a dispatch of several generations.
        model: the trained model of the best fresh seed, or of all with a first axis of length N; None where the task
            gives none.
        reason: why the run ended early, None where it did not.
        path: the run's folder, None where there is none.
    """

    best: dict[str, Any]
    best_value: float
    fresh_values: np.ndarray
    history: History
    state: State | None
    model: PyTree | None = None
    reason: str | None = None
    path: Path | None = None

    @property
    def fresh_value(self) -> float:
        """The mean of ``fresh_values``: what the best setting is worth."""
        return float(np.mean(self.fresh_values, dtype=np.float64)) if self.fresh_values.size else float("nan")

    @property
    def population(self) -> list[dict[str, Any]]:
        """The final population: the P best members of all generations, best first, as rows of the history."""
        rows = list(self.history.rows())
        size = sum(row["generation"] == rows[-1]["generation"] for row in rows)
        loss = self.history.objective.sign * self.history.columns["value"]  # a failed member's NaN sorts last
        return [rows[i] for i in np.argsort(loss, kind="stable")[:size]]

    def plot(self, kind: Literal["convergence", "search_space"] = "convergence") -> Any:
        """A matplotlib figure: the best value so far, or the members over the search space."""
        from jaxga.report.plots import convergence_figure, search_space_figure

        figures = {"convergence": convergence_figure, "search_space": search_space_figure}
        if kind not in figures:
            raise ValueError(f"plot must be one of {list(figures)}, got {kind!r}")
        return figures[kind](self.history)

    def __repr__(self) -> str:
        setting = ", ".join(f"{name}={show(value)}" for name, value in self.best.items())
        return (
            f"Result({self.history.objective.name} {show(self.best_value)} at {setting}; "
            f"fresh {show(self.fresh_value)}; {len(self.history)} evaluations)"
        )

    def _repr_html_(self) -> str:
        from jaxga.report.summary import result_html

        return result_html(self.best, self.best_value, self.fresh_values, self.history, self.path)


def optimize(
    task: Task,
    *,
    population_size: int | None = None,
    num_generations: int = 20,
    key: Array | int = 0,
    algorithm: AlgorithmLike = invasive_ga,
    num_replicates: int = 1,
    num_fresh: int = 8,
    chunk_size: int | None = None,
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
        population_size: P, members per generation; default 64. An Algorithm has its own.
        num_generations: how many; P x this many evaluations.
        key: a seed in [0, 2^32 - 1], or a threefry key; the same one gives the same result.
        algorithm: a name in ``jaxga.ALGORITHMS``, a factory ``f(space, population_size=P)``, or the Algorithm it makes.
        num_replicates: seeds per member; its value is their mean.
        num_fresh: seeds under which the winner is evaluated again at the end; 0 for none.
        chunk_size: members trained side by side on a device, None for all.
        mesh: devices to share the members among, as :func:`jaxga.runtime.population_mesh` gives.
        generations_per_dispatch: generations per compiled program.
        warm_start: what to begin with: a list of settings, a run's folder or history file, or an Optuna URL.
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
        MemoryError: the trainings side by side do not fit the device (``chunk_size`` bounds them).
    """
    check_attributes(task)
    check_count("num_fresh", num_fresh, 0)
    check_count("num_generations", num_generations, 1)
    check_count("num_replicates", num_replicates, 1)
    check_keep(keep_model)
    rules = Stop() if stop is None else stop
    if not isinstance(rules, Stop):
        raise ValueError(f"stop must be a jaxga.Stop, got {stop!r}")
    if resume and out is None:
        raise ValueError("resume needs out, the folder of the run to go on with")
    method = _make_algorithm(algorithm, task.space, population_size)
    search = Search(
        task=task,
        algorithm=method,
        key=as_key(key),
        num_generations=rules.num_generations(num_generations, method.population_size * num_replicates),
        num_replicates=num_replicates,
        num_fresh=num_fresh,
        chunk_size=chunk_size,
        mesh=mesh,
        generations_per_dispatch=generations_per_dispatch,
    )
    options = {
        "task": _task_name(task),
        "algorithm": _algorithm_name(algorithm),
        "pop": method.population_size,
        "generations": num_generations,
        "replicates": num_replicates,
        "fresh": num_fresh,
        "seed": int(key) if isinstance(key, int | np.integer) else jax.random.key_data(search.key).tolist(),
        "chunk": chunk_size,
        "dispatch": generations_per_dispatch,
        **asdict(rules),
    }
    with contextlib.ExitStack() as stack:
        run = _Run(search, rules, options, warm_start, None if out is None else Path(out), resume, report, stack)
        reached, reason = run.follow(Callbacks(callbacks), progress)
        return run.finish(reached, reason, keep_model)


class _Run:
    """One call of :func:`optimize`; process 0 writes to its folder, where it has one."""

    def __init__(
        self,
        search: Search,
        rules: Stop,
        options: dict[str, Any],
        warm_start: Any,
        path: Path | None,
        resume: bool,
        report: bool,
        stack: contextlib.ExitStack,
    ) -> None:
        began = time.perf_counter()
        task, is_first = search.task, jax.process_index() == 0
        is_resumed = resume and path is not None and has_run(path)
        if path is not None and is_first:
            stack.enter_context(RunFolder(path, is_new=not is_resumed))
        if path is not None and is_resumed:
            known = WarmStart.load(path / WARM_START)
        else:
            known = None if warm_start is None else WarmStart.read(warm_start, task.space, task.objective)
        if known is not None:
            search = search._replace(algorithm=known.given_to(search.algorithm))
        start = Start(search.initial_state(), {}, ())
        about = identity({k: v for k, v in options.items() if k not in LENGTH}, task, known)
        if path is not None and is_resumed:
            check_config(path, read_config(path))
            check_length(path, options["generations"])
            for warning in check_identity(path, about):
                warnings.warn(warning, stacklevel=4)
            start = restart(path, start.state)
            runtime.agree(True)  # no process writes before all have read
        self.history = History(task.space, task.objective, search.num_replicates)
        self._search, self._start, self._path, self._began = search, start, path, began
        self._stop = StopState(
            rules,
            task.objective,
            search.overhead(lambda: time.perf_counter() - began, REPORT_SECONDS if path and report else 0.0),
            start.notes.get("stop"),
        )
        self._generations = search.generations(start.state)
        self._recorder, self._has_report = None, report
        if path is not None and is_first:
            config = (
                resumed_config(path, options, None)
                if is_resumed
                else new_config(path, options["task"], options, about, task, known, None)
            )
            self._recorder = Recorder(path, config["run"], search, start, self._stop)
            stack.callback(self._recorder.close)
            self._recorder.begin("resume" if is_resumed else "start")
            for block in read_history(path / "history.csv", task.space):
                self.history.extend(block)

    def follow(self, callbacks: Callbacks, progress: bool) -> tuple[Reached, str | None]:
        """Take the generations up to the end; gives where that is, and why it is early."""
        search, recorder = self._search, self._recorder
        consumers = [self._stop.write, lambda generation: self.history.append(generation.record)]
        consumers += [recorder.write] if recorder is not None else []
        with contextlib.ExitStack() as stack:
            if progress and jax.process_index() == 0:
                objective, num_done = search.task.objective, int(self._start.state.generation)
                line = stack.enter_context(ProgressLine(Console(), objective, search.num_generations, num_done))
                consumers.append(line.write)
            consumers.append(callbacks.write)
            try:
                reached = follow(
                    search,
                    self._start,
                    self._generations,
                    consumers,
                    lambda: ENOUGH if callbacks.reason or self._stop.ends() else GO_ON,
                )
            except CallbackError as error:
                if recorder is None:
                    raise
                recorder.finish()
                raise CallbackError(f"{error}; the run is saved in {self._path}") from error.__cause__
        if recorder is not None:
            recorder.finish()
        return reached, callbacks.reason or self._stop.reason

    def finish(self, reached: Reached, reason: str | None, keep_model: Keep) -> Result:
        """Evaluate the winner under fresh seeds, write the result and the report."""
        search, path = self._search, self._path
        mark = time.perf_counter()
        fresh = search.evaluate_winner(reached.best_genome) if search.num_fresh else None
        model = None if fresh is None else kept_model(fresh, search.task.objective, keep_model)
        seconds = {"compile": reached.compile_seconds, "generations": reached.seconds}
        seconds["winner on fresh seeds"] = time.perf_counter() - mark
        if path is not None and self._recorder is not None:
            if model is not None:
                save_model(path, model)
            self._recorder.events.add("finished", generation=reached.num_done, reason=reason)
            write_result(path, search, reached, fresh, status="finished", reason=reason, seconds=seconds)
            if self._has_report:
                from jaxga.report.outputs import write_outputs

                write_outputs(path)
        return Result(
            best=search.task.space.setting(reached.best_genome),
            best_value=search.task.objective.sign * reached.best_loss,
            fresh_values=np.empty(0, np.float32) if fresh is None else np.asarray(fresh.value),
            history=self.history,
            state=reached.state,
            model=model,
            reason=reason,
            path=path,
        )


class _Options(TypedDict, total=False):
    """The keyword arguments of :func:`optimize`."""

    population_size: int | None
    num_generations: int
    key: Array | int
    algorithm: AlgorithmLike
    num_replicates: int
    num_fresh: int
    chunk_size: int | None
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
def minimize(fitness: Fitness, space: SearchSpace | Mapping[str, Dimension], **options: Unpack[_Options]) -> Result:
    """Find the setting of least ``fitness(key, setting)``.

    Args:
        fitness: pure JAX, for one setting (a dict of scalars in their own units) and one key; gives
            a scalar, or ``(scalar, metrics)``, or ``(scalar, metrics, model)``. It is compiled into the generation and
            vmapped. A category that is no number is its index there.
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
def maximize(fitness: Fitness, space: SearchSpace | Mapping[str, Dimension], **options: Unpack[_Options]) -> Result:
    """Find the setting of greatest ``fitness(key, setting)``; all else as in :func:`minimize`."""
    return optimize(function_task(fitness, space, Objective("value", "max")), **options)


def _make_algorithm(algorithm: AlgorithmLike, space: SearchSpace, population_size: int | None) -> Algorithm:
    """The algorithm given, or the one that a name or a factory makes."""
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
    made = factory(space, population_size=_POPULATION_SIZE if population_size is None else population_size)
    if not isinstance(made, Algorithm):
        raise ValueError(f"algorithm: a factory must return an Algorithm, got {made!r}")
    return made


def _algorithm_name(algorithm: AlgorithmLike) -> str:
    """What ``config.json`` says of an algorithm: two of different names are not the same search."""
    if isinstance(algorithm, str):
        return algorithm
    if isinstance(algorithm, Algorithm):
        # A factory's inner functions have its name: jaxga.algorithms.genetic.ga.<locals>.ask.
        return algorithm.ask.__qualname__.split(".")[0]
    if isinstance(algorithm, functools.partial):
        given = ", ".join(f"{name}={value!r}" for name, value in sorted(algorithm.keywords.items()))
        return f"{_algorithm_name(algorithm.func)}({given})"
    return getattr(algorithm, "__name__", type(algorithm).__name__)


def _task_name(task: Task) -> str:
    return task.fitness.__name__.strip("<>") if isinstance(task, FunctionTask) else type(task).__name__.lower()
