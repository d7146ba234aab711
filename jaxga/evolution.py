"""One generation, ask -> evaluate -> tell, as one pure function; many of them by ``lax.scan``."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh

from jaxga.base import Algorithm, Best, Offspring, Outcome, PyTree, Task
from jaxga.evaluate import SEEDS, Seeds, evaluate
from jaxga.text import check_choice

# Streams of a run's root key: 0 is for the algorithm's init, t + 1 for generation t, the last but one for the seeds
# that all generations share, the last one for the fresh seeds of the winner.
_INIT_STREAM = 0
_SHARED_STREAM = 2**32 - 2
_FRESH_STREAM = 2**32 - 1


class State(NamedTuple):
    """All that is kept between generations; small, and the same on every device.

    Attributes:
        generation: i32[], the number of generations done.
        algorithm: the algorithm's own state.
        lanes: under a schedule the members in training (:class:`jaxga.lanes.Lanes`), else nothing.
    """

    generation: Array
    algorithm: PyTree
    lanes: PyTree = ()


class Rungs(NamedTuple):
    """What a schedule says of the scores of a generation (M scores).

    Attributes:
        number: i32[M], the member's number; -1 where a lane was empty, and the row says nothing.
        part: i32[M], after how many parts of its training.
        outcome: i32[M], a :class:`jaxga.base.Outcome`.
        bracket: i32[M], the number of its bracket.
        trained: f32[], the greatest share of a training after which there is a value; 1 once a training has ended.
    """

    number: Array
    part: Array
    outcome: Array
    bracket: Array
    trained: Array


class Record(NamedTuple):
    """The results of a generation, copied to the host (P members, D genes).

    Attributes:
        generation: i32[], counted from 0.
        offspring: the members, their species, parents and predictions.
        loss: f32[P], ``+inf`` for a failed member.
        loss_var: f32[P], the variance of each loss as a mean over replicates.
        metrics: by name, [P, ...].
        num_failed: i32[].
        best: the best setting so far and the loss believed of it.
        rungs: under a schedule; a member then has a row for each of its scores, P rows in all. Else None.
    """

    generation: Array
    offspring: Offspring
    loss: Array
    loss_var: Array
    metrics: dict[str, Array]
    num_failed: Array
    best: Best
    rungs: Rungs | None = None

    @property
    def is_whole(self) -> Any:
        """bool[P], of a record on the host: the members that were trained to the end; without a schedule all."""
        if self.rungs is None:
            return np.ones(np.shape(self.loss), bool)
        return (self.rungs.number >= 0) & (self.rungs.outcome == Outcome.FINISHED)

    @property
    def trained(self) -> float:
        """Of a record on the host: see :class:`Rungs`; without a schedule 1."""
        return 1.0 if self.rungs is None else float(self.rungs.trained)


Step = Callable[[Array, State, Task], tuple[State, Record]]


def init(algorithm: Algorithm, key: Array) -> State:
    """The state before the first generation of the run whose root key is ``key``."""
    return State(jnp.int32(0), algorithm.init(jax.random.fold_in(key, _INIT_STREAM)))


def shared_key(key: Array) -> Array:
    """The key of the seeds that all generations share."""
    return jax.random.fold_in(key, _SHARED_STREAM)


def fresh_key(key: Array) -> Array:
    """The key of the winner's fresh seeds, which no generation uses."""
    return jax.random.fold_in(key, _FRESH_STREAM)


def make_step(
    algorithm: Algorithm,
    *,
    num_replicates: int = 1,
    seeds: Seeds = "own",
    chunk_size: int | None = None,
    mesh: Mesh | None = None,
) -> Step:
    """``step(key, state, task) -> (state, record)``: one generation, to be jitted, scanned or vmapped.

    ``key`` is the run's root key; generation ``t`` uses ``fold_in(key, t + 1)``, so a run that is
    stopped and resumed draws the same numbers. ``seeds`` is as in :func:`jaxga.run`.
    """
    check_choice("seeds", seeds, SEEDS)

    def step(key: Array, state: State, task: Task) -> tuple[State, Record]:
        key_generation = jax.random.fold_in(key, state.generation + 1)
        key_ask, key_evaluate, key_tell = jax.random.split(key_generation, 3)
        offspring, asked = algorithm.ask(key_ask, state.algorithm)
        genomes = offspring.genomes
        if seeds == "run":
            key_evaluate = shared_key(key)
        scores = evaluate(
            task,
            key_evaluate,
            genomes,
            num_replicates=num_replicates,
            seeds=seeds,
            chunk_size=chunk_size,
            mesh=mesh,
        )
        told, best = algorithm.tell(key_tell, asked, genomes, scores.loss, scores.loss_var)
        record = Record(state.generation, offspring, *scores, best=best)
        return State(state.generation + 1, told), record

    return step


def scan(step: Step, num_generations: int) -> Step:
    """``num_generations`` generations as one program; the records are stacked on a first axis."""

    def scanned(key: Array, state: State, task: Task) -> tuple[State, Record]:
        return lax.scan(lambda state, _: step(key, state, task), state, length=num_generations)

    return scanned


def advance(step: Step, max_generations: int) -> Callable[[Array, State, Task, Array], tuple[State, Record]]:
    """A program ``(key, state, task, end i32[]) -> (state, records)`` of up to ``max_generations`` generations.

    It stops before generation ``end``. The records are stacked on a first axis of length ``max_generations``; if
    fewer generations ran, zeros follow. The number of passes is not known when the loop is compiled, so XLA compiles
    its body apart from the code around it, and a generation gives the same bits whatever number of generations runs in
    one program. (XLA merges a loop of one known pass into the code around it, which then rounds differently.)
    """

    def advanced(key: Array, state: State, task: Task, end: Array) -> tuple[State, Record]:
        def body(i: Array, carry: tuple[State, Record]) -> tuple[State, Record]:
            state, records = carry
            state, record = step(key, state, task)
            write = partial(lax.dynamic_update_index_in_dim, index=i, axis=0)
            return state, jax.tree.map(write, records, record)

        _, shapes = jax.eval_shape(step, key, state, task)
        records = jax.tree.map(lambda x: jnp.zeros((max_generations, *x.shape), x.dtype), shapes)
        num = jnp.minimum(max_generations, end - state.generation)
        return lax.fori_loop(0, num, body, (state, records))

    return advanced
