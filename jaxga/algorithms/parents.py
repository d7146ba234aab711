"""Children of the best members, made by a mixture of the operators."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.base import Operator
from jaxga.operators import chain, choice, crossover, masked, mixture, mutation
from jaxga.operators.genes import filled, spread_of
from jaxga.operators.selection import weighted
from jaxga.space import SearchSpace

# The best parent is drawn e^3.84 times as often as the last one: each of 32 is 0.12 less likely than the one before.
_PRESSURE = 3.84
# The unit of a step is the spread of at least so many members: the spread of a few parents shrinks to zero.
_NUM_MEASURED = 32
_STEPS = {"min_scale": 0.03, "max_scale": 2.0}  # in units of the spread
# After a crossover: smaller, because the crossover itself moves the child.
_SMALL_STEPS = {"min_scale": 0.01, "max_scale": 0.6}
# A step in all genes, a step in some, a differential move, a crossover: from ablations on the development half of
# experiments/compare.py.
_SHARES = (0.2, 0.2, 0.35, 0.25)


class Parents(NamedTuple):
    """The K best members, best first.

    Attributes:
        genomes: f32[K, D].
        number: i32[K], member numbers.
        weights: f32[K], the probability of each; 0 for an empty row.
        spread: f32[D], the weighted standard deviation: the unit of a step.
    """

    genomes: Array
    number: Array
    weights: Array
    spread: Array


class Breeder(NamedTuple):
    """The mixture of operators that makes a child, and the kinds in it: their shares and numbers of parents."""

    space: SearchSpace
    operator: Operator
    shares: tuple[float, ...]
    num_parents: tuple[int, ...]

    @property
    def num_draws(self) -> int:
        """How many uniform numbers one child takes: one a parent, the operator's, and those of `filled`."""
        return self.operator.num_parents + self.operator.num_draws + self.num_filled

    @property
    def num_filled(self) -> int:
        return self.space.size if self.space.conditions else 0


def best_parents(genomes: Array, number: Array, worth: Array, num_parents: int) -> Parents:
    """Of genomes f32[A, D] with numbers i32[A] those with the least ``worth`` f32[A]; ``+inf`` is no parent."""
    rows = jnp.argsort(worth)[: max(num_parents, _NUM_MEASURED)]
    near, exists = genomes[rows], jnp.isfinite(worth[rows])

    def rank_weights(num: int) -> Array:
        weights = jnp.where(exists[:num], jnp.exp(-_PRESSURE * jnp.arange(num) / num), 0.0)
        return weights / jnp.maximum(weights.sum(), 1e-30)

    weights = rank_weights(rows.shape[0])
    spread = spread_of(near, weights)
    # A single parent has no spread: a tenth of the cube. Parents that are all equal still have to move.
    spread = jnp.where(exists.sum() > 1, jnp.maximum(spread, 1e-5), 0.1)
    return Parents(near[:num_parents], number[rows[:num_parents]], rank_weights(num_parents), spread)


def breeder(space: SearchSpace, num_mutations: int = 1, shares: tuple[float, ...] = _SHARES) -> Breeder:
    """How children are made.

    Args:
        space: the search space (D genes).
        num_mutations: a mutation changes this number of genes and about a half more, at least one.
        shares: the probabilities of a step in all continuous genes, a step in some genes, a differential move, and a
            crossover with a step in some genes or with some genes drawn anew.
    """
    rate = min(1.0, (num_mutations + 0.5) / space.size)
    rate += (1.0 - rate) / space.size
    discrete = space.is_discrete
    # A mutated category is never the one it was; drawn from all n levels it would be, with probability 1 / n.
    rate = np.where(space.is_categorical, rate * (1.0 - 1.0 / np.maximum(space.num_levels, 1)), rate)
    some = mutation.self_adapting(space, rate=rate, **_STEPS)
    # A redrawn gene is the only move of a child that the spread does not limit.
    after_cross = mixture(
        [mutation.self_adapting(space, rate=rate, **_SMALL_STEPS), mutation.reset(space, rate=rate)], (0.5, 0.5)
    )
    difference = crossover.differential(space)
    if discrete.any():  # a difference of equal levels is zero
        difference = chain(difference, masked(some, discrete))
    kinds = (
        mutation.self_adapting(space, rate=np.where(discrete, rate, 1.0), **_STEPS),
        some,
        difference,
        chain(crossover.uniform(space), after_cross),
    )
    return Breeder(space, mixture(kinds, shares), shares, tuple(kind.num_parents for kind in kinds))


def breed(breeder: Breeder, draws: Array, parents: Parents, is_fresh: np.ndarray) -> tuple[Array, Array]:
    """Children f32[N, D] and the numbers i32[N, 2] of their parents, -1 for none.

    Args:
        breeder: see :func:`breeder`.
        draws: uniform numbers f32[N, ``breeder.num_draws``], of a whole generation from one call of the generator.
        parents: K of them; without any every child is fresh.
        is_fresh: bool[N], children that are uniform draws from the search space.
    """
    space, num_mates = breeder.space, breeder.operator.num_parents
    own, filling = jnp.split(draws[:, num_mates:], [breeder.operator.num_draws], axis=1)
    first, second = (weighted(draws[:, i], parents.weights) for i in range(2))
    # The third one, which only a difference reads, is any of the parents.
    num_valid = jnp.maximum(jnp.sum(parents.weights > 0), 1)
    third = jnp.floor(draws[:, 2] * num_valid).astype(jnp.int32)
    mates = parents.genomes[jnp.stack([first, second, third], axis=1)]
    if space.conditions:
        mates = jax.vmap(partial(filled, space))(filling, mates)
    children = jax.vmap(breeder.operator.apply, (0, 0, None))(own, mates, parents.spread)

    num_used = jnp.asarray(breeder.num_parents)[choice(own[:, 0], breeder.shares)]
    fresh = jnp.asarray(is_fresh) | (parents.weights.sum() == 0)
    num_used = jnp.where(fresh, 0, num_used)
    numbers = parents.number[jnp.stack([first, second], axis=1)]
    numbers = jnp.where(jnp.arange(2)[None] < num_used[:, None], numbers, -1)
    return space.masked(jnp.where(fresh[:, None], space.centred(own[:, : space.size]), children)), numbers
