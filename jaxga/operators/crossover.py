"""Crossover: parents f32[K, D] to one child f32[D], inside the cube and snapped.

Categories are inherited from one of the parents, never blended; integers are blended and snapped.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.checks import check_number
from jaxga.operators.genes import reflect
from jaxga.precision import single_precision
from jaxga.space import SearchSpace


class Crossover(NamedTuple):
    """How many parents a child has, and ``combine(key, parents f32[num_parents, D]) -> child f32[D]``."""

    num_parents: int
    combine: Callable[[Array, Array], Array]


def _blended(space: SearchSpace, blend: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """A blend of two parents for ordered genes; categories come from either parent by a fair coin."""
    categorical = jnp.asarray(space.is_categorical)

    def combine(key: Array, parents: Array) -> Array:
        key_blend, key_coin = jax.random.split(key)
        coin = jax.random.bernoulli(key_coin, 0.5, (space.size,))
        child = reflect(blend(key_blend, parents))
        return space.snap(jnp.where(categorical, jnp.where(coin, parents[0], parents[1]), child))

    return combine


@single_precision
def uniform(space: SearchSpace, *, swap_rate: float = 0.5) -> Crossover:
    """Each gene comes from the second parent with probability ``swap_rate``, else from the first.

    Args:
        space: the search space (D genes).
        swap_rate: in [0, 1].

    Source: G. Syswerda, "Uniform crossover in genetic algorithms", 1989.
    """
    check_number("uniform: swap_rate", swap_rate, 0, 1)

    def combine(key: Array, parents: Array) -> Array:
        swap = jax.random.bernoulli(key, swap_rate, (space.size,))
        return space.snap(jnp.where(swap, parents[1], parents[0]))

    return Crossover(2, combine)


@single_precision
def one_point(space: SearchSpace) -> Crossover:
    """The first genes from the first parent, the rest from the second; the cut is uniform.

    With two genes or more both parents give at least one.

    Source: J. H. Holland, "Adaptation in natural and artificial systems", 1975.
    """

    def combine(key: Array, parents: Array) -> Array:
        cut = jax.random.randint(key, (), min(1, space.size - 1), max(space.size, 1))
        return space.snap(jnp.where(jnp.arange(space.size) < cut, parents[0], parents[1]))

    return Crossover(2, combine)


@single_precision
def two_point(space: SearchSpace) -> Crossover:
    """The genes between two uniform cuts from the second parent, the rest from the first.

    Source: K. A. De Jong, "An analysis of the behavior of a class of genetic adaptive systems", 1975.
    """

    def combine(key: Array, parents: Array) -> Array:
        cuts = jax.random.randint(key, (2,), 0, space.size + 1)
        genes = jnp.arange(space.size)
        inside = (genes >= cuts.min()) & (genes < cuts.max())
        return space.snap(jnp.where(inside, parents[1], parents[0]))

    return Crossover(2, combine)


@single_precision
def arithmetic(space: SearchSpace) -> Crossover:
    """A point on the segment between the parents, the same uniform weight for all genes.

    Source: Z. Michalewicz, "Genetic algorithms + data structures = evolution programs", 1992.
    """

    def blend(key: Array, parents: Array) -> Array:
        weight = jax.random.uniform(key)
        return weight * parents[0] + (1.0 - weight) * parents[1]

    return Crossover(2, _blended(space, blend))


@single_precision
def blx_alpha(space: SearchSpace, *, alpha: float = 0.5) -> Crossover:
    """Each gene uniform between the parents, widened by ``alpha`` times their distance on either side.

    Args:
        space: the search space.
        alpha: at least 0; 0.5 keeps the mean spread of a population (before reflection at the walls).

    Source: L. J. Eshelman, J. D. Schaffer, "Real-coded genetic algorithms and interval-schemata", 1993.
    """
    check_number("blx_alpha: alpha", alpha, 0)

    def blend(key: Array, parents: Array) -> Array:
        place = jax.random.uniform(key, (space.size,), minval=-alpha, maxval=1.0 + alpha)
        return parents[0] + place * (parents[1] - parents[0])

    return Crossover(2, _blended(space, blend))


@single_precision
def sbx(space: SearchSpace, *, eta: float = 15.0) -> Crossover:
    """Simulated binary crossover: the child lies about one of the parents, as in one-point crossover of bits.

    The child's mean is the parents' mean (before reflection at the walls).

    Args:
        space: the search space.
        eta: above 0; the larger, the nearer the child is to a parent.

    Source: K. Deb, R. B. Agrawal, "Simulated binary crossover for continuous search space", 1995.
    """
    check_number("sbx: eta", eta, 0, above=True)

    def blend(key: Array, parents: Array) -> Array:
        key_spread, key_side = jax.random.split(key)
        u = jax.random.uniform(key_spread, (space.size,), maxval=1.0 - 1e-6)
        spread = jnp.where(u <= 0.5, 2.0 * u, 1.0 / (2.0 * (1.0 - u))) ** (1.0 / (eta + 1.0))
        side = jnp.where(jax.random.bernoulli(key_side, 0.5, (space.size,)), 1.0, -1.0)
        return 0.5 * (parents[0] + parents[1]) + 0.5 * side * spread * (parents[1] - parents[0])

    return Crossover(2, _blended(space, blend))


@single_precision
def differential(space: SearchSpace, *, min_factor: float = 0.2, max_factor: float = 1.2) -> Crossover:
    """The first parent moved by a multiple of the difference of the second and the third.

    Args:
        space: the search space.
        min_factor: least multiple, above 0; one uniform draw a child, as "dither".
        max_factor: largest multiple, above ``min_factor``.

    Source: R. Storn, K. Price, "Differential evolution", 1997.
    """
    check_number("differential: min_factor", min_factor, 0, above=True)
    check_number("differential: max_factor", max_factor, min_factor, above=True)

    def blend(key: Array, parents: Array) -> Array:
        factor = jax.random.uniform(key, minval=min_factor, maxval=max_factor)
        return parents[0] + factor * (parents[1] - parents[2])

    return Crossover(3, _blended(space, blend))
