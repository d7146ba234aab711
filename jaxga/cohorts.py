"""One generation of population-based training: a part in every lane, then the worst take over from the best.

Source: M. Jaderberg et al., "Population based training of neural networks", 2017. Here the settings are bred by the
genetic algorithm's operators from those of several lanes. When a cohort has been trained to its end, a new one begins,
because a cohort never gets back what it has dropped.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh

from jaxga import evolution
from jaxga.algorithms.draws import uniform
from jaxga.algorithms.parents import best_parents, breed, breeder
from jaxga.base import Algorithm, Best, Evaluation, Measured, Offspring, Outcome, PyTree, Species
from jaxga.evaluate import Scores, Seeds
from jaxga.evolution import Record, Rungs, State, Step
from jaxga.parts import Parts, empty
from jaxga.repeats import Repeated, Training, nothing_repeated, with_cohort
from jaxga.schedules import Cohort


class Winner(NamedTuple):
    """The training believed best: of the finished ones, or before there is one the best in the lanes.

    ``share`` f32[] is how much of a whole training it got, 0 before there is one with a loss.
    """

    training: Training
    loss: Array
    share: Array


class Lanes(NamedTuple):
    """The members in training (W lanes).

    Attributes:
        training: of each lane.
        offspring: the W members.
        number: i32[W], their numbers; -1 where a member failed and nobody has taken over its lane.
        founders: the members with which the lanes began, and the last score of each: a training of one setting.
        repeated: the best trainings of earlier cohorts; the first lanes train their settings again.
        winner: see :class:`Winner`.
    """

    training: Training
    offspring: Offspring
    number: Array
    founders: Measured
    repeated: Repeated
    winner: Winner


def init(task: Any, algorithm: Algorithm, cohort: Cohort, num_replicates: int, key: Array) -> State:
    """The state before the first generation of the run whose root key is ``key``: all lanes are empty."""
    size, num_genes = cohort.num_lanes, task.space.size
    keys = jnp.broadcast_to(key, (size, num_replicates))
    genomes = jnp.zeros((size, num_genes), jnp.float32)
    training = Training(empty(task, keys, genomes), keys, jnp.zeros((size, cohort.num_parts, num_genes), jnp.float32))
    lanes = Lanes(
        training=training,
        offspring=Offspring.without_parents(genomes),
        number=jnp.full(size, -1, jnp.int32),
        founders=Measured(
            genomes=genomes,
            number=jnp.full(size, -1, jnp.int32),
            share=jnp.zeros(size, jnp.float32),
            loss=jnp.full(size, jnp.inf, jnp.float32),
            loss_var=jnp.zeros(size, jnp.float32),
        ),
        repeated=nothing_repeated(training, cohort.num_repeats),
        winner=Winner(_at(training, 0), jnp.full((), jnp.inf, jnp.float32), jnp.zeros((), jnp.float32)),
    )
    return evolution.init(algorithm, key)._replace(lanes=lanes)


def make_step(
    algorithm: Algorithm,
    cohort: Cohort,
    *,
    num_replicates: int = 1,
    seeds: Seeds = "own",
    chunk_size: int | None = None,
    mesh: Mesh | None = None,
) -> Step:
    """``step(key, state, task) -> (state, record)``: one part of every training, as :func:`evolution.make_step`.

    The record has one row a lane, and :class:`jaxga.evolution.Rungs`; ``best.genome`` is f32[K, D], the genome of each
    part of the best training. The algorithm proposes the settings with which a cohort begins. It learns from trainings
    of one setting alone, once a cohort has ended.

    Arguments as in :func:`jaxga.lanes.make_step`.
    """
    assert algorithm.revise is not None
    revise, size, num_parts, num_repeats = algorithm.revise, cohort.num_lanes, cohort.num_parts, cohort.num_repeats
    parts, place = Parts(num_replicates, seeds, chunk_size, mesh), jnp.arange(size, dtype=jnp.int32)

    def begun(task: Any, key: Array, key_ask: Array, key_evaluate: Array, state: State) -> tuple[Lanes, PyTree]:
        """The lanes of a new cohort, and the algorithm's state."""
        offspring, asked = algorithm.ask(key_ask, state.algorithm)
        repeated = state.lanes.repeated
        settings = jnp.broadcast_to(offspring.genomes[:, None], (size, num_parts, task.space.size))
        # The last members of a generation are invaders, so the repetitions take the place of the first ones.
        again = _with_parents(repeated.training.settings[:, 0], Species.SURVIVOR, repeated.number)
        offspring, settings = jax.tree.map(
            lambda all, again: all.at[:num_repeats].set(_where(repeated.number >= 0, again, all[:num_repeats])),
            (offspring, settings),
            (again, repeated.training.settings),
        )
        keys = parts.keys(key, key_evaluate, size)
        number = state.generation * size + place
        lanes = Lanes(
            training=Training(parts.begin(task, keys, offspring.genomes), keys, settings),
            offspring=offspring,
            number=number,
            founders=state.lanes.founders._replace(genomes=offspring.genomes, number=number),
            repeated=repeated,
            winner=state.lanes.winner,
        )
        return lanes, asked

    def step(key: Array, state: State, task: Any) -> tuple[State, Record]:
        key_ask, key_evaluate, key_tell, key_breed = jax.random.split(jax.random.fold_in(key, state.generation + 1), 4)
        part = state.generation % num_parts
        lanes, asked = lax.cond(
            part == 0,
            partial(begun, task, key, key_ask, key_evaluate),
            lambda state: (state.lanes, state.algorithm),
            state,
        )
        lanes = parts.everywhere(lanes)
        training, genomes = lanes.training, lanes.offspring.genomes
        carry = parts.advance(task, training.keys, training.carry, genomes, jnp.full(size, part))
        training = training._replace(carry=carry)
        scores = parts.score(task, training.keys, carry, genomes)
        scores = scores._replace(loss=jnp.where(lanes.number >= 0, scores.loss, jnp.inf))

        is_end = part == num_parts - 1
        share = jnp.where(is_end, 1.0, jnp.float32((part + 1) / num_parts))  # a division may round 1 down
        founders = _remeasured(lanes, share, scores)
        told = lax.cond(is_end, lambda state: revise(key_tell, state, founders)[0], lambda state: state, asked)
        ended = (training, lanes.number, scores.loss)
        repeated = lax.cond(is_end, with_cohort, lambda known, *_: known, lanes.repeated, *ended)
        winner = _so_far(lanes.winner, training, scores.loss, share)
        is_believed = is_end & jnp.isfinite(repeated.believed[0])
        winner = _where(is_believed, Winner(_at(repeated.training, 0), repeated.believed[0], share), winner)
        failed = (lanes.number >= 0) & jnp.isinf(scores.loss)
        is_due = (part + 1 >= cohort.first) & ~is_end
        gives_up, source, heirs = _exchanged(task, cohort, key_breed, lanes, scores.loss)
        gives_up &= is_due
        # A repetition goes on with its own training, as another member where another setting is planned.
        planned = training.settings[:, jnp.minimum(part + 1, num_parts - 1)]
        turns = (planned != genomes).any(1) & (lanes.number >= 0) & ~failed & ~gives_up
        outcome = jnp.where(gives_up, int(Outcome.REPLACED), int(Outcome.WENT_ON))
        outcome = jnp.where(is_end, int(Outcome.FINISHED), outcome)
        rungs = Rungs(
            number=lanes.number,
            part=jnp.broadcast_to(part + 1, (size,)),
            outcome=jnp.where(failed, int(Outcome.FAILED), outcome).astype(jnp.int32),
            bracket=jnp.zeros(size, jnp.int32),
            trained=winner.share,
        )
        scores = scores._replace(num_failed=failed.sum(dtype=jnp.int32))
        best = Best(winner.training.settings, winner.loss)
        record = Record(state.generation, lanes.offspring, *scores, best=best, rungs=rungs)

        taken, changes = jnp.where(gives_up, source, place), gives_up | turns
        offspring = _where(turns, _with_parents(planned, Species.HEIR, lanes.number), lanes.offspring)
        offspring = _where(gives_up, heirs, offspring)
        is_to_come = gives_up[:, None, None] & (jnp.arange(num_parts)[None, :, None] > part)
        lanes = Lanes(
            training=Training(
                carry=jax.tree.map(lambda x: x[taken], training.carry),
                keys=training.keys,
                settings=jnp.where(is_to_come, offspring.genomes[:, None], training.settings[taken]),
            ),
            offspring=offspring,
            number=jnp.where(changes, (state.generation + 1) * size + place, jnp.where(failed, -1, lanes.number)),
            founders=founders,
            repeated=repeated,
            winner=winner,
        )
        return State(state.generation + 1, told, parts.everywhere(lanes)), record

    return step


def _remeasured(lanes: Lanes, share: Array, scores: Scores) -> Measured:
    """The founders with their newest scores: of those whose lane nobody has taken over."""
    is_own = (lanes.number == lanes.founders.number) & (lanes.number >= 0)
    return lanes.founders._replace(
        share=jnp.where(is_own, share, lanes.founders.share),
        loss=jnp.where(is_own, scores.loss, lanes.founders.loss),
        loss_var=jnp.where(is_own, scores.loss_var, lanes.founders.loss_var),
    )


def _so_far(winner: Winner, training: Training, loss: Array, share: Array) -> Winner:
    """Before a training is finished, the best lane of losses f32[W]; ``share`` f32[] is that of the lanes."""
    least = jnp.argmin(loss)
    has_loss = jnp.isfinite(loss[least])
    return _where((winner.share < 1) & has_loss, Winner(_at(training, least), loss[least], share), winner)


def _exchanged(task: Any, cohort: Cohort, key: Array, lanes: Lanes, loss: Array) -> tuple[Array, Array, Offspring]:
    """Which lanes give up their training, bool[W]; the lane i32[W] each would take over from, and as which member."""
    size, num_best = cohort.num_lanes, cohort.num_best
    making = breeder(task.space)
    worth = loss.at[jnp.argsort(loss)[num_best:]].set(jnp.inf)
    parents = best_parents(lanes.offspring.genomes, jnp.arange(size, dtype=jnp.int32), worth, num_best)
    exists = parents.weights > 0
    # All alike: the best of them now may not be the best at the end.
    parents = parents._replace(weights=exists / jnp.maximum(exists.sum(), 1))
    draws = uniform(key, (size, making.num_draws))
    children, rows = breed(making, draws, parents, np.zeros(size, bool))
    source, mate = rows[:, 0], rows[:, 1]
    is_kept = jnp.array([name in task.structure for name in task.space.names])
    genomes = task.space.masked(jnp.where(is_kept, lanes.offspring.genomes[source], children))
    is_repetition = lanes.repeated.in_lanes(size)
    rank = jnp.argsort(jnp.argsort(jnp.where(is_repetition, -jnp.inf, loss)))
    gives_up = ~is_repetition & ((rank >= size - num_best) | jnp.isinf(loss))
    mates = jnp.where(mate >= 0, lanes.number[mate], -1)
    return gives_up, source, _with_parents(genomes, Species.HEIR, lanes.number[source], mates)


def _with_parents(genomes: Array, species: Species, first: Array, second: Array | int = -1) -> Offspring:
    """Members of one species, with the numbers of their parents, each i32[N]; -1 for no parent."""
    parents = jnp.stack(jnp.broadcast_arrays(first, second), axis=1)
    return Offspring.without_parents(genomes, species)._replace(parents=parents)


def score_winner(task: Any, winner: Winner) -> Evaluation:
    """The R trainings of the winner, its newest ones, as they stand, with their models."""
    training = winner.training
    setting = task.space.decode(training.settings[-1])
    return jax.vmap(lambda key, carry: task.scored(key, carry, setting))(training.keys, training.carry)


def _at(tree: PyTree, place: Array | int) -> PyTree:
    return jax.tree.map(lambda x: x[place], tree)


def _where(condition: Array, a: PyTree, b: PyTree) -> PyTree:
    """``a`` where the condition holds, bool[] or bool[W] for arrays with a first axis W, else ``b``."""

    def one(a: Array, b: Array) -> Array:
        return jnp.where(condition.reshape(condition.shape + (1,) * (a.ndim - condition.ndim)), a, b)

    return jax.tree.map(one, a, b)
