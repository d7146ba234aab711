"""A search and what surrounds its generations: where it starts, who is told of each, when it ends, its result."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jaxga import runtime
from jaxga.base import Algorithm, Evaluation, Objective, Task
from jaxga.chunks import ChunkSize, Planned
from jaxga.cohorts import score_winner
from jaxga.evaluate import Seeds
from jaxga.evolution import State
from jaxga.loop import (
    Generation,
    Generations,
    evaluate_fresh,
    initial_state,
    num_members,
    prepare_fresh,
    run,
)
from jaxga.runs.checkpoint import digest
from jaxga.runs.fingerprint import fingerprint
from jaxga.runs.folder import Start
from jaxga.runs.records import write_json
from jaxga.runs.stopping import GO_ON, Overhead
from jaxga.schedules import AnyLayout, Cohort
from jaxga.space import SearchSpace


class Search(NamedTuple):
    """Everything that the generations of a run are a function of; arguments as in :func:`jaxga.run`.

    ``num_fresh`` is the number of fresh seeds under which the winner is evaluated at the end.
    """

    task: Task
    algorithm: Algorithm
    key: Array
    num_generations: int
    num_replicates: int = 1
    seeds: Seeds = "own"
    num_fresh: int = 8
    chunk_size: ChunkSize = "auto"
    mesh: Mesh | None = None
    generations_per_dispatch: int = 1
    layout: AnyLayout | None = None

    @property
    def num_parts(self) -> int:
        """Of how many generations a whole training takes: 1 without a schedule."""
        return 1 if self.layout is None else self.layout.num_parts

    @property
    def trainings_each(self) -> float:
        """How many whole trainings of one member under one seed a generation is worth."""
        return self.evaluations(1)

    def evaluations(self, num_generations: int) -> float:
        """How many whole trainings of one member under one seed so many generations are worth."""
        return num_generations * num_members(self.algorithm, self.layout) * self.num_replicates / self.num_parts

    def initial_state(self) -> State:
        """The state before the first generation."""
        return initial_state(
            self.task, self.algorithm, self.key, layout=self.layout, num_replicates=self.num_replicates
        )

    def generations(self, start: Start) -> Generations:
        """The generations after ``start``; what can be wrong with the search is raised here, before the first one.

        A planned chunk size that the run has recorded is taken from there, so that a resume goes on to the same bits.
        """
        recorded = start.notes.get("chunk_size")
        return run(
            self.task,
            self.algorithm,
            key=self.key,
            num_generations=self.num_generations,
            num_replicates=self.num_replicates,
            seeds=self.seeds,
            chunk_size=Planned(recorded) if recorded and self.chunk_size == "auto" else self.chunk_size,
            mesh=self.mesh,
            generations_per_dispatch=self.generations_per_dispatch,
            state=start.state,
            layout=self.layout,
        )

    def prepare_winner(self, chunk_size: int | None) -> None:
        """Compile :meth:`evaluate_winner` while generations run."""
        if self.num_fresh:
            shape = (self.num_parts,) if isinstance(self.layout, Cohort) else ()
            genome = np.zeros((*shape, self.task.space.size), np.float32)
            prepare_fresh(self.task, genome, **self._fresh_options(chunk_size))

    def evaluate_winner(self, genome: Any, chunk_size: int | None) -> Evaluation:
        """The winner's genome under ``num_fresh`` fresh seeds, with the ``chunk_size`` of the generations."""
        return evaluate_fresh(self.task, np.asarray(genome, np.float32), **self._fresh_options(chunk_size))

    def trained_winner(self, state: State | None, fresh: Evaluation) -> Evaluation:
        """The trainings of which a model is kept: in population-based training the winner's own, else the fresh ones.

        ``state`` is the last one; without it they are always the fresh ones.
        """
        if not isinstance(self.layout, Cohort) or state is None:
            return fresh
        return jax.jit(score_winner)(self.task, jax.tree.map(lambda x: x.addressable_data(0), state.lanes.winner))

    def _fresh_options(self, chunk_size: int | None) -> dict[str, Any]:
        return {"key": self.key, "num_seeds": self.num_fresh, "chunk_size": chunk_size, "mesh": self.mesh}

    def overhead(self, elapsed: Callable[[], float], report_seconds: float, chunk_size: int | None) -> Overhead:
        """What a time limit has to leave room for, with the ``chunk_size`` of the generations."""
        num_devices = 1 if self.mesh is None else self.mesh.size

        def num_chunks(num_trainings: int) -> int:
            """Chunks that one device trains one after another."""
            num_local = math.ceil(num_trainings / num_devices)
            return math.ceil(num_local / (chunk_size or num_local)) if num_local else 0

        num_trainings = num_members(self.algorithm, self.layout) * self.num_replicates
        share = num_chunks(self.num_fresh) / num_chunks(num_trainings) / self.generations_per_dispatch
        return Overhead(
            elapsed=elapsed,
            winner=share * self.num_parts,
            report=report_seconds,
            # On a CPU a program for several devices is not dispatched ahead: see jaxga.loop.
            num_ahead=0 if self.mesh is not None and jax.default_backend() == "cpu" else 1,
        )


class Reached(NamedTuple):
    """How far a run has come.

    Attributes:
        num_done: generations done.
        best_genome, best_loss: the best so far, as :class:`jaxga.base.Best` has it; the genome is None before the first
            generation.
        trained: as :attr:`jaxga.evolution.Record.trained`.
        state: after the last generation; None where the run ended inside a dispatch of several.
        seconds: of the generations of this session, without compiling.
        compile_seconds: what compiling them took.
    """

    num_done: int
    best_genome: Any
    best_loss: float
    trained: float
    state: State | None
    seconds: float
    compile_seconds: float


def follow(
    search: Search,
    start: Start,
    generations: Iterator[Generation],
    consumers: Iterable[Callable[[Generation], object]],
    decide: Callable[[], int],
) -> Reached:
    """Take one generation after another, until there is no more or process 0 decides to end.

    Args:
        search: what is run.
        start: the state before the first of ``generations``, and the notes of its checkpoint.
        generations: from :meth:`Search.generations`.
        consumers: each is called with each generation, in this order.
        decide: called before each generation; a value other than ``GO_ON`` ends the run.
    """
    notes = start.notes
    num_done = int(start.state.generation)
    best = notes.get("best_genome"), notes.get("best_loss", math.inf)
    reached = Reached(num_done, *best, notes.get("trained", 0.0), start.state, 0.0, 0.0)
    while reached.num_done < search.num_generations and runtime.agree(decide()) == GO_ON:
        generation = next(generations)
        if generation.compile_seconds:  # from now on one core may compile beside the others
            search.prepare_winner(generation.chunk_size)
        for consumer in consumers:
            consumer(generation)
        record, compiling = generation.record, generation.compile_seconds
        reached = Reached(
            num_done=int(record.generation) + 1,
            best_genome=record.best.genome,
            best_loss=float(record.best.loss),
            trained=record.trained,
            state=generation.state,
            seconds=reached.seconds + generation.seconds - compiling,
            compile_seconds=reached.compile_seconds + compiling,
        )
    return reached


def search_config(search: Search) -> dict[str, Any]:
    """What ``config.json`` says of a run's programs, and of its schedule where it has one."""
    config: dict[str, Any] = {"programs": fingerprint(search.task, search.algorithm)}
    layout = search.layout
    if layout is None:
        return config
    about = {
        "name": layout.schedule.name,
        "eta": layout.schedule.eta,
        "num_parts": layout.num_parts,
        "lanes": layout.num_lanes,
        "new": layout.num_new,
        "ends": layout.ends,
    }
    if isinstance(layout, Cohort):
        about |= {"first": layout.first, "taken_over": layout.num_best, "repeated": layout.num_repeats}
    else:
        about["brackets"] = [{"widths": bracket.widths, "ends": bracket.ends} for bracket in layout.brackets]
    return config | {"schedule": about}


def best_settings(space: SearchSpace, genome: Any) -> dict[str, Any]:
    """``best``, the winner's setting, and where the genome is f32[K, D] ``best_by_part``, that of each part.

    ``best`` is then the one of the last part.
    """
    if np.ndim(genome) == 1:
        return {"best": space.setting(genome)}
    settings = space.settings(np.asarray(genome, np.float32))
    return {"best": settings[-1], "best_by_part": settings}


def scores_by_name(objective: Objective, found: Evaluation) -> dict[str, Any]:
    """The values of an evaluation under the objective's name, and its metrics.

    A metric with the objective's name is left out where its figures are the objective's. Where they differ, its name
    gets ``metric_`` before it.
    """
    metrics = dict(found.metrics)
    namesake = metrics.pop(objective.name, found.value)
    if not np.array_equal(namesake, found.value, equal_nan=True):
        metrics[f"metric_{objective.name}"] = namesake
    return {objective.name: found.value, **metrics}


def write_result(
    path: Path,
    search: Search,
    reached: Reached,
    fresh: Evaluation | None,
    *,
    status: str,
    reason: str | None,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Write ``result.json`` of a run that ended; returns its content.

    Args:
        path: the run's folder.
        search: what was run.
        reached: where it ended; it has a best genome.
        fresh: the winner under fresh seeds, None where ``num_fresh`` is 0.
        status: ``"finished"`` or ``"interrupted"``.
        reason: why it ended early, None where it did not.
        seconds: where the time went, by part.
    """
    task, evaluations = search.task, search.evaluations(reached.num_done)
    scores = {} if fresh is None else scores_by_name(task.objective, fresh)
    result = {
        "status": status,
        "reason": reason,
        "generations": reached.num_done,
        "evaluations": int(evaluations) if evaluations.is_integer() else evaluations,
        **best_settings(task.space, reached.best_genome),
        "best_value": task.objective.sign * reached.best_loss,
        "trained": reached.trained,
        "fresh": {name: np.asarray(score).tolist() for name, score in scores.items()},
        "state_sha256": None if reached.state is None else digest(reached.state),
        "seconds": seconds,
    }
    write_json(path / "result.json", result)
    return result


def add_seconds(path: Path, result: dict[str, Any], part: str, seconds: float) -> None:
    """Write ``result.json`` again with the time of a part that came after it."""
    result["seconds"][part] = seconds
    write_json(path / "result.json", result)
