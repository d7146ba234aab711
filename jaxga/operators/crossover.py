"""Crossover: operators that breed a child from two parents or more.

A category is inherited from one of the parents and never blended; integers are blended and snapped. No crossover reads
``scale``.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from jaxga.base import Operator
from jaxga.checks import check_number
from jaxga.operators.genes import reflect
from jaxga.precision import single_precision
from jaxga.space import SearchSpace


def _swap(space: SearchSpace, num_draws: int, takes_second: Callable[[Array], Array]) -> Operator:
    """Each gene comes from the second parent where ``takes_second(draws) -> bool[D]``, else from the first."""

    def apply(draws: Array, parents: Array, scale: Array) -> Array:
        del scale
        return space.centred(jnp.where(takes_second(draws), parents[1], parents[0]))

    return Operator(2, num_draws, apply)


def _blend(space: SearchSpace, num_parents: int, num_draws: int, blend: Callable[[Array, Array], Array]) -> Operator:
    """Ordered genes by ``blend(draws, parents) -> f32[D]``; a category by a fair coin, from either of two parents.

    The coins are the last D draws. ``blend`` may read these draws too, because its categories are not used.
    """
    categorical = jnp.asarray(space.is_categorical)

    def apply(draws: Array, parents: Array, scale: Array) -> Array:
        del scale
        inherited = jnp.where(draws[-space.size :] < 0.5, parents[0], parents[1])
        return space.centred(jnp.where(categorical, inherited, reflect(blend(draws, parents))))

    return Operator(num_parents, num_draws, apply)


@single_precision
def uniform(space: SearchSpace, *, swap_rate: float = 0.5) -> Operator:
    """Each gene comes from the second parent with probability ``swap_rate``, else from the first.

    Args:
        space: the search space (D genes).
        swap_rate: in [0, 1].

    Source: G. Syswerda, "Uniform crossover in genetic algorithms", 1989.
    """
    check_number("uniform: swap_rate", swap_rate, 0, 1)
    return _swap(space, space.size, lambda draws: draws < swap_rate)


@single_precision
def one_point(space: SearchSpace) -> Operator:
    """The genes before a uniformly drawn cut from the first parent, the others from the second.

    With two genes or more both parents give at least one.

    Source: J. H. Holland, "Adaptation in natural and artificial systems", 1975.
    """
    first = min(1, space.size - 1)

    def after_cut(draws: Array) -> Array:
        cut = first + jnp.floor(draws[0] * (space.size - first))
        return jnp.arange(space.size) >= cut

    return _swap(space, 1, after_cut)


@single_precision
def two_point(space: SearchSpace) -> Operator:
    """The genes between two uniformly drawn cuts from the second parent, the others from the first.

    Source: K. A. De Jong, "An analysis of the behavior of a class of genetic adaptive systems", 1975.
    """

    def between_cuts(draws: Array) -> Array:
        cuts, genes = jnp.floor(draws * (space.size + 1)), jnp.arange(space.size)
        return (genes >= cuts.min()) & (genes < cuts.max())

    return _swap(space, 2, between_cuts)


@single_precision
def arithmetic(space: SearchSpace) -> Operator:
    """A point on the segment between the parents: one uniform weight for all genes.

    Source: Z. Michalewicz, "Genetic algorithms + data structures = evolution programs", 1992.
    """

    def blend(draws: Array, parents: Array) -> Array:
        return draws[0] * parents[0] + (1.0 - draws[0]) * parents[1]

    return _blend(space, 2, 1 + space.size, blend)


@single_precision
def blx_alpha(space: SearchSpace, *, alpha: float = 0.5) -> Operator:
    """Each gene uniform between the parents, on either side widened by ``alpha`` times their distance.

    Args:
        space: the search space.
        alpha: at least 0; 0.5 keeps the mean spread of a population (before reflection at the walls).

    Source: L. J. Eshelman, J. D. Schaffer, "Real-coded genetic algorithms and interval-schemata", 1993.
    """
    check_number("blx_alpha: alpha", alpha, 0)

    def blend(draws: Array, parents: Array) -> Array:
        place = (1.0 + 2.0 * alpha) * draws - alpha
        return parents[0] + place * (parents[1] - parents[0])

    return _blend(space, 2, space.size, blend)


@single_precision
def sbx(space: SearchSpace, *, eta: float = 15.0) -> Operator:
    """Simulated binary crossover: children spread around the parents as in one-point crossover of bit strings.

    The child's mean is the parents' mean (before reflection at the walls).

    Args:
        space: the search space.
        eta: above 0; a larger value gives children nearer to a parent.

    Source: K. Deb, R. B. Agrawal, "Simulated binary crossover for continuous search space", 1995.
    """
    check_number("sbx: eta", eta, 0, above=True)

    def blend(draws: Array, parents: Array) -> Array:
        u, coin = jnp.minimum(draws[: space.size], 1.0 - 1e-6), draws[space.size :]
        spread = jnp.where(u <= 0.5, 2.0 * u, 1.0 / (2.0 * (1.0 - u))) ** (1.0 / (eta + 1.0))
        side = jnp.where(coin < 0.5, 1.0, -1.0)
        return 0.5 * (parents[0] + parents[1]) + 0.5 * side * spread * (parents[1] - parents[0])

    return _blend(space, 2, 2 * space.size, blend)


@single_precision
def differential(space: SearchSpace, *, min_factor: float = 0.2, max_factor: float = 1.2) -> Operator:
    """The first parent moved by a multiple of the difference of the second and the third.

    Args:
        space: the search space.
        min_factor: least multiple, above 0; the multiple is drawn uniformly, once a child.
        max_factor: largest multiple, above ``min_factor``.

    Source: R. Storn, K. Price, "Differential evolution", 1997.
    """
    check_number("differential: min_factor", min_factor, 0, above=True)
    check_number("differential: max_factor", max_factor, min_factor, above=True)

    def blend(draws: Array, parents: Array) -> Array:
        factor = min_factor + draws[0] * (max_factor - min_factor)
        return parents[0] + factor * (parents[1] - parents[2])

    return _blend(space, 3, 1 + space.size, blend)
