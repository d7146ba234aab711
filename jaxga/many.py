"""Many searches of one task in one program: ``optimize_many``."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxga import evolution
from jaxga.algorithms import invasive_ga
from jaxga.base import Algorithm, Evaluation, PyTree, Task
from jaxga.batches import in_batches
from jaxga.checks import check_count
from jaxga.chunks import Chunks, ChunkSize, plan_chunk
from jaxga.evaluate import Seeds
from jaxga.evolution import Record, State
from jaxga.loop import (
    AllMembersFailed,
    as_keys,
    check_layout,
    check_sizes,
    evaluate_seeds,
    initial_state,
    make_step,
    num_members,
    winner_method,
)
from jaxga.optimize import NUM_GENERATIONS, AlgorithmLike, make_scheduled
from jaxga.programs import kept_program
from jaxga.result import Result
from jaxga.runs.history import History
from jaxga.runs.model import Keep, check_keep, kept_model
from jaxga.runs.session import best_settings
from jaxga.runtime import compiler_options
from jaxga.schedules import WHOLE, AnyLayout, Schedule
from jaxga.task import check_attributes, check_task


def optimize_many(
    task: Task,
    *,
    keys: Sequence[Array | int] | Array | np.ndarray,
    population_size: int | None = None,
    num_generations: int | None = None,
    algorithm: AlgorithmLike = invasive_ga,
    schedule: str | Schedule = WHOLE,
    num_replicates: int = 1,
    seeds: Seeds = "own",
    num_fresh: int = 8,
    chunk_size: ChunkSize = "auto",
    searches_at_once: int | None = None,
    keep_model: Keep = "best",
) -> list[Result]:
    """Search a task's space once for each key, all S searches in one compiled program.

    A search gives what :func:`optimize` gives with its key, to the bit where task and algorithm work element by
    element; matrix products and logarithms may round differently in another program. It is for comparisons of methods
    and for tasks that are quickly evaluated: stop rules, callbacks, a folder and several devices are left to
    :func:`optimize`.

    Args:
        task: what scores a setting.
        keys: a list of S seeds in [0, 2^32 - 1] or threefry keys, or an array of keys [S]; S is at least 1.
        population_size: P, members per generation, or lanes of a schedule, as in :func:`optimize`.
        num_generations: how many; P x this many evaluations a search; default as in :func:`optimize`.
        algorithm: a name, a factory or an Algorithm, as in :func:`optimize`.
        schedule: as in :func:`optimize`.
        num_replicates: seeds per member; its value is their mean.
        seeds: who of a search shares these seeds, as in :func:`jaxga.run`; two searches share none.
        num_fresh: seeds under which each winner is evaluated again at the end; 0 for none.
        chunk_size: of a search, members trained side by side at most, as in :func:`optimize`.
        searches_at_once: how many searches are vmapped; the others follow one after another. None for 1 on
            a CPU, where vmapping gained at most a tenth (benchmarks/many.md), and for all on an accelerator.
        keep_model: of a task that gives trained models: of each winner the one of the best fresh seed, all, or none.

    Returns:
        S results in the order of the keys. One whose members have all failed has the ``reason`` "every member
        failed", an infinite ``best_value`` (the worst one), and a setting that stands in for its best.

    Raises:
        ValueError: an argument is out of its range.
        AllMembersFailed: in every search every member has failed.
        MemoryError: what runs side by side does not fit the device.

    >>> import jaxga
    >>> task = jaxga.as_task({"x": jaxga.Uniform(-1.0, 1.0)})(lambda key, setting: setting["x"] ** 2)
    >>> results = optimize_many(task, keys=range(3), algorithm="ga", population_size=8, num_generations=4)
    >>> [len(result.history) for result in results]
    [32, 32, 32]
    """
    check_attributes(task)
    check_count("num_fresh", num_fresh, 0)
    check_keep(keep_model)
    root_keys = as_keys(keys)
    method, layout = make_scheduled(algorithm, task, population_size, schedule)
    num_parts = 1 if layout is None else layout.num_parts
    if num_generations is None:
        num_generations = NUM_GENERATIONS * num_parts
    check_layout(task, method, layout)
    check_sizes(method, num_generations, num_replicates, chunk_size)
    if searches_at_once is not None:
        check_count("searches_at_once", searches_at_once, 1)
    check_task(task)
    num = len(root_keys)
    at_once = min(searches_at_once or (1 if jax.default_backend() == "cpu" else num), num)
    chunks = Chunks(plan_chunk(chunk_size, task), num_members(method, layout) * num_replicates, None)
    program_of = partial(searches_program, task, method, layout, num_generations, num_replicates, seeds, at_once)
    states, records = chunks.run(program_of, root_keys, task, jnp.int32(num_generations))
    best_loss = records.best.loss[:, -1]
    if not np.isfinite(best_loss).any():
        raise AllMembersFailed(
            f"every one of the {records.loss[0].size} members of each of the {num} searches failed: "
            f"no value of the objective {task.objective.name!r} is finite"
        )
    fresh = None
    if num_fresh:
        chunks = Chunks(plan_chunk(chunk_size, task, winner_method(task)), num_fresh, None)
        program_of = partial(_winners_program, task, num_fresh, keep_model != "none", at_once)
        fresh = chunks.run(program_of, (root_keys, records.best.genome[:, -1]), task)
    results = []
    for i, genome in enumerate(records.best.genome[:, -1]):
        state, record, its_fresh = jax.tree.map(lambda x, i=i: x[i], (states, records, fresh))
        history = History(task.space, task.objective, num_replicates, num_parts)
        history.append(record)
        results.append(
            Result(
                **best_settings(task.space, genome),
                best_value=task.objective.sign * float(best_loss[i]),
                fresh_values=np.empty(0, np.float32) if its_fresh is None else its_fresh.value,
                history=history,
                state=state,
                model=None if its_fresh is None else kept_model(its_fresh, task.objective, keep_model),
                reason=None if np.isfinite(best_loss[i]) else "every member failed",
            )
        )
    return results


@kept_program
def searches_program(
    algorithm: Algorithm,
    layout: AnyLayout | None,
    num_generations: int,
    num_replicates: int,
    seeds: Seeds,
    at_once: int,
    chunk_size: int | None,
) -> Any:
    """``(keys key[S], task, end i32[]) -> (states, records)``, with a first axis of length S."""
    step = make_step(algorithm, layout, num_replicates=num_replicates, seeds=seeds, chunk_size=chunk_size)
    advance = evolution.advance(step, num_generations)

    def search(key: Array, task: Task, end: Array) -> tuple[State, Record]:
        begin = initial_state(task, algorithm, key, layout=layout, num_replicates=num_replicates)
        return advance(key, begin, task, end)

    return jax.jit(partial(_each, search, at_once), compiler_options=compiler_options())


@kept_program
def _winners_program(num_fresh: int, has_model: bool, at_once: int, chunk_size: int | None) -> Any:
    """``((keys key[S], genomes f32[S, D]), task) -> Evaluation`` with first axes of lengths S and N."""

    def evaluate(winner: tuple[Array, Array], task: Task) -> Evaluation:
        key, genome = winner
        fresh = evaluate_seeds(
            task, evolution.fresh_key(key), genome, num_seeds=num_fresh, chunk_size=chunk_size, mesh=None
        )
        return fresh if has_model else fresh._replace(model=None)

    return jax.jit(partial(_each, evaluate, at_once), compiler_options=compiler_options())


def _each(function: Callable[..., PyTree], at_once: int, rows: PyTree, *shared: Any) -> PyTree:
    """``function(row, *shared)`` of S rows, ``at_once`` of them vmapped, the others one after another."""
    num = jax.tree.leaves(rows)[0].shape[0]

    def one(place: Array) -> PyTree:
        return function(jax.tree.map(lambda x: x[place], rows), *shared)

    if at_once == 1:  # not vmapped, so that it rounds as a search alone does
        return lax.map(one, jnp.arange(num))
    return in_batches(jax.vmap(one), jnp.arange(num), at_once)
