"""Coordinates and levels of genes, as the operators need them."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from jaxga.space import SearchSpace


def reflect(genomes: Array) -> Array:
    """Any real coordinates reflected into ``[0, 1]`` at the walls 0 and 1.

    >>> reflect(jnp.array([-0.25, 0.5, 1.25])).tolist()
    [0.25, 0.5, 0.75]
    """
    return 1.0 - jnp.abs(1.0 - jnp.mod(genomes, 2.0))


def level_bounds(space: SearchSpace) -> Callable[[Array], tuple[Array, Array]]:
    """A function of genomes f32[..., D] that returns the ends (low, high) f32[..., D] of the level of each gene.

    Both ends of a continuous gene are the gene itself.

    >>> from jaxga.space import Integer
    >>> level_bounds(SearchSpace(n=Integer(0, 3)))(jnp.array([0.3]))
    (Array([0.25], dtype=float32), Array([0.5], dtype=float32))
    """

    def bounds(genomes: Array) -> tuple[Array, Array]:
        pairs = [dimension.level_bounds(genomes[..., i]) for i, (_, dimension) in enumerate(space.items)]
        lows, highs = zip(*pairs, strict=True)
        return jnp.stack(lows, -1), jnp.stack(highs, -1)

    return bounds


def redraw(space: SearchSpace) -> Callable[[Array, Array], Array]:
    """A function ``(uniform f32[..., D], genomes f32[..., D])`` that draws every gene anew.

    A continuous gene becomes the uniform number. A discrete one gets another level, each with a probability in
    proportion to its width, and has to be snapped.
    """
    bounds, discrete = level_bounds(space), jnp.asarray(space.is_discrete)

    def draw(uniform: Array, genomes: Array) -> Array:
        low, high = bounds(genomes)
        shrunk = uniform * (1.0 - (high - low))
        return jnp.where(discrete, jnp.where(shrunk < low, shrunk, shrunk + (high - low)), uniform)

    return draw


def neighbour(space: SearchSpace) -> Callable[[Array, Array], Array]:
    """A function ``(genomes f32[..., D], is_up bool[..., D])`` that moves every discrete gene to the next level.

    At either end of the range the only neighbour is taken.
    """
    bounds = level_bounds(space)

    def step(genomes: Array, is_up: Array) -> Array:
        low, high = bounds(genomes)
        half = 0.5 * (high - low)
        up = (high < 1.0 - 1e-6) & ((low <= 1e-6) | is_up)
        return space.snap(jnp.where(up, high + half, low - half))

    return step
