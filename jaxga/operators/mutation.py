"""Mutation: ``mutate(key, genome f32[D]) -> genome f32[D]``, inside the cube and snapped.

A mutated discrete gene really changes its level; a mutated category becomes any other one.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.checks import check_count, check_number
from jaxga.operators.genes import moved, redraw, reflect
from jaxga.precision import single_precision
from jaxga.space import SearchSpace

Mutation = Callable[[Array, Array], Array]


@single_precision
def reset(space: SearchSpace, *, num_mutations: int = 1) -> Mutation:
    """Draw ``num_mutations`` different genes anew, each uniform over its range.

    Args:
        space: the search space (D genes).
        num_mutations: how many genes, in [1, D]; a greater number means all of them.
    """
    check_count("reset: num_mutations", num_mutations, 1)
    draw = redraw(space)

    def mutate(key: Array, genome: Array) -> Array:
        key_genes, key_values = jax.random.split(key)
        chosen = jax.random.permutation(key_genes, space.size) < num_mutations
        fresh = draw(jax.random.uniform(key_values, (space.size,)), genome)
        return space.snap(jnp.where(chosen, fresh, genome))

    return mutate


@single_precision
def gaussian(space: SearchSpace, *, rate: float | None = None, scale: float = 0.1) -> Mutation:
    """Add a normal step to each gene with probability ``rate``, to one gene at least.

    Args:
        space: the search space (D genes).
        rate: in (0, 1], default 1 / D.
        scale: standard deviation in the unit cube, above 0; an integer's is at least 0.7 levels.
    """
    check_number("gaussian: scale", scale, 0, above=True)

    def step(draws: Array, extra: Array, genome: Array) -> Array:
        del extra, genome
        return scale * _normal(draws)

    return _stepping("gaussian", space, rate, step)


@single_precision
def polynomial(space: SearchSpace, *, rate: float | None = None, eta: float = 20.0) -> Mutation:
    """Add a polynomially distributed step that cannot leave the cube, to one gene at least.

    Args:
        space: the search space (D genes).
        rate: in (0, 1], default 1 / D.
        eta: above 0; the larger, the smaller the steps.

    Source: K. Deb, M. Goyal, "A combined genetic adaptive search for engineering design", 1996.
    """
    check_number("polynomial: eta", eta, 0, above=True)

    def step(u: Array, extra: Array, genome: Array) -> Array:
        del extra
        power = 1.0 / (eta + 1.0)
        down = (2.0 * u + (1.0 - 2.0 * u) * (1.0 - genome) ** (eta + 1.0)) ** power - 1.0
        up = 1.0 - (2.0 * (1.0 - u) + (2.0 * u - 1.0) * genome ** (eta + 1.0)) ** power
        # The other branch may be the root of a negative number.
        return jnp.where(u < 0.5, jnp.nan_to_num(down), jnp.nan_to_num(up))

    return _stepping("polynomial", space, rate, step)


@single_precision
def self_adapting(
    space: SearchSpace, *, rate: float | None = None, min_scale: float = 0.003, max_scale: float = 0.5
) -> Mutation:
    """A normal step whose scale is itself drawn anew for every child, uniform in its logarithm.

    A child that survives carries the scale that made it, so that the spread of the survivors adapts
    without a strategy gene.

    Args:
        space: the search space (D genes).
        rate: in (0, 1], default 1 / D.
        min_scale: the least standard deviation in the unit cube, above 0.
        max_scale: the largest one, above ``min_scale``.

    Source: the idea of step sizes under selection, H.-P. Schwefel, "Numerical optimization of
    computer models", 1981.
    """
    check_number("self_adapting: min_scale", min_scale, 0, above=True)
    check_number("self_adapting: max_scale", max_scale, min_scale, above=True)

    def step(draws: Array, extra: Array, genome: Array) -> Array:
        del genome
        return min_scale * (max_scale / min_scale) ** extra * _normal(draws)

    return _stepping("self_adapting", space, rate, step)


def _normal(draws: Array) -> Array:
    """Standard normal numbers from uniform ones."""
    return jax.scipy.special.ndtri(jnp.clip(draws, 1e-7, 1.0 - 1e-7))


def _stepping(
    name: str, space: SearchSpace, rate: float | None, step: Callable[[Array, Array, Array], Array]
) -> Mutation:
    """``step(uniform f32[D], another f32[], genome f32[D])`` in the genes that mutate."""
    rate = 1.0 / space.size if rate is None else rate
    check_number(f"{name}: rate", rate, 0, 1, above=True)
    levels, categorical = jnp.asarray(space.num_levels), jnp.asarray(space.is_categorical)
    # A step of 0.7 levels leaves an integer's level in about half of the draws.
    stretch = jnp.where(levels > 0, 0.7 / jnp.maximum(levels, 1), 0.0)
    draw, move = redraw(space), moved(space)

    def mutate(key: Array, genome: Array) -> Array:
        # One call of the generator: each takes XLA a second to compile.
        draws = jax.random.uniform(key, (4 * space.size + 2,))
        rates, steps, stretches, categories = draws[:-2].reshape(4, space.size)
        chosen = rates < rate
        one = jnp.arange(space.size) == jnp.floor(draws[-2] * space.size)
        chosen = jnp.where(chosen.any(), chosen, one)
        change = step(steps, draws[-1], genome)
        change = jnp.where(levels > 0, change + stretch * _normal(stretches), change)
        ordered = move(reflect(genome + change), genome, change)
        other = draw(categories, genome)
        return space.snap(jnp.where(chosen, jnp.where(categorical, other, ordered), genome))

    return mutate
