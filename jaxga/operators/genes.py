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
    # A coordinate inside keeps its bits: a child equal to its parent is then found to be known.
    folded = jnp.mod(genomes, 2.0)
    return jnp.minimum(folded, 2.0 - folded)


def spread_of(genomes: Array, weights: Array) -> Array:
    """f32[D]: the standard deviation of genomes f32[N, D] with weights f32[N] whose sum is 1."""
    return jnp.sqrt(weights @ jnp.square(genomes - (weights @ genomes)[None]))


def square_distances(genomes: Array) -> Array:
    """f32[N, N]: the squares of the distances between genomes f32[N, D].

    >>> square_distances(jnp.array([[0.0, 0.5], [1.0, 0.5]])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    # Gene by gene: an array [N, N, D] would be as large as all else together.
    num = genomes.shape[0]
    genes = (genomes[:, i] for i in range(genomes.shape[1]))
    return sum((jnp.square(gene[:, None] - gene[None, :]) for gene in genes), start=jnp.zeros((num, num)))


def filled(space: SearchSpace, draws: Array, parents: Array) -> Array:
    """Parents f32[K, D] with a value in their inactive genes, for a child in which they are active.

    It is that of the first parent in which the gene is active, else a uniform draw; ``draws`` f32[D] are uniform.
    """
    active = space.is_active(parents)
    given = jnp.take_along_axis(parents, jnp.argmax(active, axis=0)[None], axis=0)[0]
    spare = jnp.where(active.any(0), given, space.centred(draws))
    return jnp.where(active, parents, spare[None])


def redraw(space: SearchSpace) -> Callable[[Array, Array], Array]:
    """A function ``(uniform f32[..., D], genomes f32[..., D])`` that draws every gene anew.

    A continuous gene becomes the uniform number. A discrete one gets another level, each with a probability in
    proportion to its width, and has to be snapped.
    """
    discrete = jnp.asarray(space.is_discrete)

    def draw(uniform: Array, genomes: Array) -> Array:
        low, high = space.level_bounds(genomes)
        shrunk = uniform * (1.0 - (high - low))
        return jnp.where(discrete, jnp.where(shrunk < low, shrunk, shrunk + (high - low)), uniform)

    return draw


def neighbour(space: SearchSpace) -> Callable[[Array, Array], Array]:
    """A function ``(genomes f32[..., D], is_up bool[..., D])`` that moves every discrete gene to the next level.

    At either end of the range the only neighbour is taken.
    """

    def step(genomes: Array, is_up: Array) -> Array:
        low, high = space.level_bounds(genomes)
        half = 0.5 * (high - low)
        up = (high < 1.0 - 1e-6) & ((low <= 1e-6) | is_up)
        return space.centred(jnp.where(up, high + half, low - half))

    return step
