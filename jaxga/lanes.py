"""One generation of a schedule: every lane trains its member by one part, as one pure function.

The lanes are a shift register of ages: see :class:`jaxga.schedules.Layout`. All shapes are static, and no lane waits
for another one.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jaxga import evolution
from jaxga.base import Algorithm, Measured, Offspring, Outcome, PyTree
from jaxga.evaluate import Seeds
from jaxga.evolution import Record, Rungs, State, Step
from jaxga.parts import Parts, empty
from jaxga.schedules import AnyLayout, Layout, Schedule, plan_layout
from jaxga.trainable import Trainable

# The rank correlations of the rungs are measured on this number of members, the newest that were trained to the end.
_NUM_FINISHED = 64
# Before any member is measured, a correlation counts as a half, with the weight of eight members.
_PRIOR_CORRELATION, _PRIOR_COUNT = 0.5, 8.0


class Lanes(NamedTuple):
    """The members in training (W lanes, R replicates, E rungs, the last of which is the end).

    Attributes:
        carry: what their trainings carry from part to part, with first axes W and R.
        keys: key[W, R], of their trainings.
        offspring: the W members as they were asked for.
        number: i32[W], their numbers; -1 where a lane is empty.
        losses: f32[W, E], at the rungs that they have passed; NaN elsewhere.
        finished: f32[F, E], the losses of the members that were trained to the end, the newest first; NaN where not
            known.
    """

    carry: PyTree
    keys: Array
    offspring: Offspring
    number: Array
    losses: Array
    finished: Array


def check_trainable(task: object, schedule: str) -> None:
    """Raise ``ValueError`` unless the task's training can be cut into parts."""
    if not isinstance(task, Trainable):
        raise ValueError(
            f"schedule {schedule} needs a jaxga.Trainable (num_parts, init, advance, score), "
            f"got a task with evaluate alone: {type(task).__name__}"
        )


def check_revises(algorithm: Algorithm, schedule: str) -> None:
    """Raise ``ValueError`` unless the algorithm learns from trainings that are not finished."""
    if algorithm.revise is None:
        raise ValueError(
            f"schedule {schedule} needs an algorithm that learns from unfinished trainings (one with revise): "
            "invasive_ga, random_search, sobol_search, latin_hypercube or grid_search"
        )


def plan_lanes(task: Any, schedule: Schedule, num_lanes: int) -> AnyLayout:
    """The layout of a schedule for a task; ``ValueError`` as in :func:`check_trainable` and :func:`plan_layout`."""
    check_trainable(task, schedule.name)
    return plan_layout(schedule, task.num_parts, num_lanes, task.first_rung)


def init(task: Any, algorithm: Algorithm, layout: Layout, num_replicates: int, key: Array) -> State:
    """The state before the first generation of the run whose root key is ``key``: all lanes are empty."""
    size = layout.num_lanes
    keys = jnp.broadcast_to(key, (size, num_replicates))
    genomes = jnp.zeros((size, task.space.size), jnp.float32)
    lanes = Lanes(
        carry=empty(task, keys, genomes),
        keys=keys,
        offspring=Offspring.without_parents(genomes),
        number=jnp.full(size, -1, jnp.int32),
        losses=jnp.full((size, len(layout.ends)), jnp.nan, jnp.float32),
        finished=jnp.full((_NUM_FINISHED, len(layout.ends)), jnp.nan, jnp.float32),
    )
    return evolution.init(algorithm, key)._replace(lanes=lanes)


def make_step(
    algorithm: Algorithm,
    layout: Layout,
    *,
    num_replicates: int = 1,
    seeds: Seeds = "own",
    chunk_size: int | None = None,
    mesh: Mesh | None = None,
) -> Step:
    """``step(key, state, task) -> (state, record)``: one part of every training, as :func:`evolution.make_step`.

    The record has one row for each score (M rows), and :class:`jaxga.evolution.Rungs`.

    Args:
        algorithm: has ``revise``, and asks for as many members as the layout has new ones.
        layout: the lanes.
        num_replicates: R, trainings in each lane.
        seeds: as in :func:`jaxga.run`; the members that begin in one generation have the seeds of a generation.
        chunk_size: trainings side by side on a device at most, None for all.
        mesh: devices that share the trainings. The lanes themselves are on every device.
    """
    assert algorithm.revise is not None
    revise, num_new, ends = algorithm.revise, layout.num_new, np.array(layout.ends)
    rows = np.concatenate([lanes for *_, lanes in layout.scored])
    column = np.concatenate([np.full(len(lanes), layout.ends.index(age)) for _, age, lanes in layout.scored])
    bracket = np.concatenate([np.full(len(lanes), b) for b, _, lanes in layout.scored])
    entry = np.concatenate([np.arange(b.widths[0]) + layout.offsets[i, 0] for i, b in enumerate(layout.brackets)])
    parts = Parts(num_replicates, seeds, chunk_size, mesh)

    def step(key: Array, state: State, task: Any) -> tuple[State, Record]:
        key_ask, key_evaluate, key_tell, key_place = jax.random.split(jax.random.fold_in(key, state.generation + 1), 4)
        offspring, asked = algorithm.ask(key_ask, state.algorithm)
        if len(layout.brackets) > 1:  # members are assigned to brackets at random
            order = jax.random.permutation(key_place, num_new)
            offspring = jax.tree.map(lambda x: x[order], offspring)
        keys = parts.keys(key, key_evaluate, num_new)
        new = Lanes(
            carry=parts.begin(task, keys, offspring.genomes),
            keys=keys,
            offspring=offspring,
            number=state.generation * num_new + jnp.arange(num_new, dtype=jnp.int32),
            losses=jnp.full((num_new, len(layout.ends)), jnp.nan, jnp.float32),
            finished=state.lanes.finished,
        )
        lanes = _over_lanes(lambda lane, entering: lane.at[entry].set(entering), state.lanes, new)
        lanes = parts.everywhere(lanes)
        ages = jnp.asarray(layout.ages)
        lanes = lanes._replace(carry=parts.advance(task, lanes.keys, lanes.carry, lanes.offspring.genomes, ages))

        members = _over_lanes(lambda lane: lane[rows], lanes)
        scores = parts.score(task, members.keys, members.carry, members.offspring.genomes)
        exists = members.number >= 0
        scores = scores._replace(loss=jnp.where(exists, scores.loss, jnp.inf))
        measured = Measured(
            genomes=members.offspring.genomes,
            number=members.number,
            share=jnp.asarray(ends[column] / layout.num_parts, jnp.float32),
            loss=scores.loss,
            loss_var=scores.loss_var,
        )
        told, best, forecast = revise(key_tell, asked, measured)

        failed = exists & jnp.isinf(scores.loss)
        losses = members.losses.at[jnp.arange(len(rows)), column].set(jnp.where(exists, scores.loss, jnp.nan))
        # A failed member leaves; its lane stays empty until the next cohort comes.
        lanes = lanes._replace(
            losses=lanes.losses.at[rows].set(losses),
            number=lanes.number.at[rows].set(jnp.where(failed, -1, members.number)),
        )
        is_end = column == len(layout.ends) - 1
        lanes = lanes._replace(finished=_with_finished(lanes.finished, losses[is_end], (exists & ~failed)[is_end]))
        has_ended = ~jnp.isnan(lanes.finished[:, -1]).all()
        source, goes_on = _moves(layout, scores.loss, forecast, correlations(lanes.finished))
        outcome = jnp.where(
            is_end, int(Outcome.FINISHED), jnp.where(goes_on, int(Outcome.WENT_ON), int(Outcome.HALTED))
        )
        rungs = Rungs(
            number=members.number,
            part=jnp.asarray(ends[column], jnp.int32),
            outcome=jnp.where(failed, int(Outcome.FAILED), outcome).astype(jnp.int32),
            bracket=jnp.asarray(bracket, jnp.int32),
            trained=jnp.where(has_ended, 1.0, jnp.max(measured.share, where=jnp.isfinite(scores.loss), initial=0.0)),
        )
        scores = scores._replace(num_failed=failed.sum(dtype=jnp.int32))
        record = Record(state.generation, members.offspring, *scores, best=best, rungs=rungs)
        return State(
            state.generation + 1, told, parts.everywhere(_over_lanes(lambda lane: lane[source], lanes))
        ), record

    return step


def _over_lanes(function: PyTree, lanes: Lanes, *more: Lanes) -> Lanes:
    """``function`` of every array that has a row a lane."""
    kept = lanes.finished
    trees = [each._replace(finished=()) for each in (lanes, *more)]
    return jax.tree.map(function, *trees)._replace(finished=kept)


def _with_finished(finished: Array, losses: Array, is_new: Array) -> Array:
    """The newest F rows of losses f32[F, E] and of new ones f32[N, E], of which those that are ``is_new`` count."""
    rows = jnp.concatenate([jnp.where(is_new[:, None], losses, jnp.nan), finished])
    return rows[jnp.argsort(jnp.isnan(rows[:, -1]), stable=True)[: finished.shape[0]]]


def correlations(finished: Array) -> Array:
    """f32[E]: Spearman's rank correlation of the loss at each rung with that at the end, in [0, 1].

    Args:
        finished: f32[F, E], losses of members that were trained to the end, NaN where there is none. The fewer they
            are, the nearer the result is to a half.

    Source: C. Spearman, "The proof and measurement of association between two things", 1904.
    """

    def one(loss: Array) -> Array:
        known = ~jnp.isnan(loss) & ~jnp.isnan(finished[:, -1])
        ranks = [_ranks(jnp.where(known, x, jnp.inf)) for x in (loss, finished[:, -1])]
        count = known.sum()
        a, b = (jnp.where(known, rank - (count - 1) / 2.0, 0.0) for rank in ranks)
        found = a @ b / jnp.maximum(jnp.sqrt((a @ a) * (b @ b)), 1e-9)
        return (count * found + _PRIOR_COUNT * _PRIOR_CORRELATION) / (count + _PRIOR_COUNT)

    return jnp.clip(jax.vmap(one, in_axes=1)(finished), 0.0, 1.0)


def _ranks(values: Array) -> Array:
    """f32[N]: the rank of each value, from 0; equal values share the mean of their ranks."""
    ordered = jnp.sort(values)
    low, high = (jnp.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (low + high - 1).astype(jnp.float32) / 2.0


def _moves(layout: Layout, loss: Array, forecast: Array, trust: Array) -> tuple[Array, Array]:
    """The lane i32[W] that each lane takes its member from, and which of the M scored members go on, bool[M].

    Of a cohort those go on that are least in a mean of two ranks, that of the loss measured and that of the loss
    forecast after a whole training. The weight of the first is the rank correlation of this rung with the end: where
    learning curves cross, the forecast decides.
    """
    offsets, first = layout.offsets, 0
    source, goes_on = jnp.arange(layout.num_lanes), jnp.zeros(loss.shape, bool)
    for b, age, width in layout.slots:  # without a rung a cohort moves as it is; what is at age 0 is overwritten
        if age:
            before = np.arange(width) + offsets[b, age - 1]
            source = source.at[offsets[b, age] : offsets[b, age] + width].set(before)
    for b, age, lanes in layout.scored:
        count = layout.brackets[b].num_going_on(age)
        places = slice(first, first + len(lanes))
        first += len(lanes)
        if not count:
            continue
        weight = trust[layout.ends.index(age)]
        judged = weight * _ranks(loss[places]) + (1.0 - weight) * _ranks(forecast[places])
        judged = jnp.where(jnp.isfinite(loss[places]), judged, jnp.inf)
        best = jax.lax.top_k(-judged, count)[1]
        goes_on = goes_on.at[places].set(jnp.zeros(len(lanes), bool).at[best].set(True))
        source = source.at[offsets[b, age] : offsets[b, age] + count].set(jnp.asarray(lanes)[best])
    return source, goes_on
