"""What the operators need to know of a gene beyond its coordinate."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from jaxga.space import SearchSpace


def reflect(genomes: Array) -> Array:
    """Fold any real coordinate back into ``[0, 1]``, as a ball between two walls.

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

    A continuous gene becomes the uniform number; a discrete one another level than it was, each
    with the probability of its width.
    """
    bounds, discrete = level_bounds(space), jnp.asarray(space.is_discrete)

    def draw(uniform: Array, genomes: Array) -> Array:
        low, high = bounds(genomes)
        shrunk = uniform * (1.0 - (high - low))
        other = jnp.where(shrunk < low, shrunk, shrunk + (high - low))
        return really_change(jnp.where(discrete, other, uniform), genomes, uniform - 0.5)

    really_change = moved(space)
    return draw


def moved(space: SearchSpace) -> Callable[[Array, Array, Array], Array]:
    """A function ``(new, old, direction)`` that snaps ``new`` and lets no discrete gene stay where it was.

    One that would stay goes to the neighbouring level in the sign of ``direction``.
    """
    bounds, discrete = level_bounds(space), jnp.asarray(space.is_discrete)

    def move(new: Array, old: Array, direction: Array) -> Array:
        new, old = space.snap(new), space.snap(old)
        low, high = bounds(old)
        half = 0.5 * (high - low)
        # At either end of the range there is one neighbour only.
        up = jnp.where(high >= 1.0 - 1e-6, False, jnp.where(low <= 1e-6, True, direction > 0))
        neighbour = space.snap(jnp.where(up, high + half, low - half))
        return jnp.where(discrete & (new == old), neighbour, new)

    return move
