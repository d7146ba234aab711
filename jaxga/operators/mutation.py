"""Mutation: operators that change some genes of one parent.

Each active gene mutates with a probability ``rate``. Where a child would equal its parent, one of them, drawn
uniformly, changes for certain, a discrete one to another level. A mutated category becomes any of the others.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.base import Operator
from jaxga.checks import check_number
from jaxga.operators.genes import neighbour, redraw, reflect
from jaxga.precision import single_precision
from jaxga.space import SearchSpace

Rate = float | Sequence[float] | np.ndarray | None
# The least standard deviation of a step in an integer, in widths of its level: it leaves the level in about half of
# the draws.
_LEAST_STEP = 0.7


@single_precision
def reset(space: SearchSpace, *, rate: Rate = None) -> Operator:
    """Draw the mutated genes anew, each uniform over its range; a discrete one never keeps its level.

    Args:
        space: the search space (D genes).
        rate: in (0, 1], one for all genes or one a gene f32[D]; default 1 / D.
    """
    draw = redraw(space)
    return _mutation("reset", space, rate, lambda draws, extra, genome, scale: draw(draws, genome))


@single_precision
def gaussian(space: SearchSpace, *, rate: Rate = None, scale: float = 0.1) -> Operator:
    """Add a normal step to the mutated genes.

    Args:
        space: the search space (D genes).
        rate: in (0, 1], one for all genes or one a gene f32[D]; default 1 / D.
        scale: standard deviation in units of the ``scale`` given to ``apply``, above 0; an integer's is at least 0.7
            of the width of its level.
    """
    check_number("gaussian: scale", scale, 0, above=True)

    def step(draws: Array, extra: Array, genome: Array, unit: Array) -> Array:
        del extra, genome
        return scale * unit * _normal(draws)

    return _stepping("gaussian", space, rate, step)


@single_precision
def polynomial(space: SearchSpace, *, rate: Rate = None, eta: float = 20.0) -> Operator:
    """Add a polynomially distributed step that cannot leave the cube; ``apply`` ignores its ``scale``.

    Args:
        space: the search space (D genes).
        rate: in (0, 1], one for all genes or one a gene f32[D]; default 1 / D.
        eta: above 0; a larger value gives smaller steps.

    Source: K. Deb, M. Goyal, "A combined genetic adaptive search for engineering design", 1996.
    """
    check_number("polynomial: eta", eta, 0, above=True)

    def step(u: Array, extra: Array, genome: Array, unit: Array) -> Array:
        del extra, unit
        power = 1.0 / (eta + 1.0)
        down = (2.0 * u + (1.0 - 2.0 * u) * (1.0 - genome) ** (eta + 1.0)) ** power - 1.0
        up = 1.0 - (2.0 * (1.0 - u) + (2.0 * u - 1.0) * genome ** (eta + 1.0)) ** power
        # The branch that is not used may be the root of a negative number.
        return jnp.where(u < 0.5, jnp.nan_to_num(down), jnp.nan_to_num(up))

    return _stepping("polynomial", space, rate, step)


@single_precision
def self_adapting(
    space: SearchSpace, *, rate: Rate = None, min_scale: float = 0.003, max_scale: float = 0.5
) -> Operator:
    """Add a normal step whose size is drawn anew for every child, uniform in its logarithm.

    Children with a useful step size survive, so the spread of the survivors adapts without a strategy gene.

    Args:
        space: the search space (D genes).
        rate: in (0, 1], one for all genes or one a gene f32[D]; default 1 / D.
        min_scale: the least standard deviation in units of the ``scale`` given to ``apply``, above 0; an integer's
            is at least 0.7 of the width of its level.
        max_scale: the largest one, above ``min_scale``.

    Source: the idea of step sizes under selection, H.-P. Schwefel, "Numerical optimization of
    computer models", 1981.
    """
    check_number("self_adapting: min_scale", min_scale, 0, above=True)
    check_number("self_adapting: max_scale", max_scale, min_scale, above=True)

    def step(draws: Array, extra: Array, genome: Array, unit: Array) -> Array:
        del genome
        return min_scale * (max_scale / min_scale) ** extra * unit * _normal(draws)

    return _stepping("self_adapting", space, rate, step)


def _normal(draws: Array) -> Array:
    """Standard normal numbers from uniform ones."""
    return jax.scipy.special.ndtri(jnp.clip(draws, 1e-7, 1.0 - 1e-7))


def _stepping(
    name: str, space: SearchSpace, rate: Rate, step: Callable[[Array, Array, Array, Array], Array]
) -> Operator:
    """Ordered genes by a step ``(draws f32[D], extra f32[], genome, scale) -> f32[D]``, categories drawn anew."""
    draw, categorical = redraw(space), jnp.asarray(space.is_categorical)

    def change(draws: Array, extra: Array, genome: Array, scale: Array) -> Array:
        low, high = space.level_bounds(genome)
        own, smallest = step(draws, extra, genome, scale), _LEAST_STEP * (high - low) * _normal(draws)
        longer = jnp.where(jnp.abs(smallest) > jnp.abs(own), smallest, own)
        return jnp.where(categorical, draw(draws, genome), reflect(genome + longer))

    return _mutation(name, space, rate, change)


def _mutation(
    name: str, space: SearchSpace, rate: Rate, change: Callable[[Array, Array, Array, Array], Array]
) -> Operator:
    """Genes by ``change(draws f32[D], extra f32[], genome f32[D], scale f32[D]) -> f32[D]`` where they mutate."""
    rate = 1.0 / space.size if rate is None else rate
    for number in np.asarray(rate) if np.ndim(rate) else (rate,):
        check_number(f"{name}: rate", number, 0, 1, above=True)
    discrete, beside = jnp.asarray(space.is_discrete), neighbour(space)

    def apply(draws: Array, parents: Array, scale: Array) -> Array:
        genome = parents[0]
        mask, values = draws[:-2].reshape(2, space.size)
        changed, active = space.centred(change(values, draws[-2], genome, scale)), space.is_active(genome)
        child = jnp.where((mask < jnp.asarray(rate)) & active, changed, genome)
        is_one = active & (jnp.cumsum(active) - 1 == jnp.floor(draws[-1] * active.sum()))
        stays = discrete & (changed == genome)
        certain = jnp.where(stays, beside(genome, values > 0.5), changed)
        return jnp.where((child == genome).all() & is_one, certain, child)

    return Operator(1, 2 * space.size + 2, apply)
