"""Space-filling designs, and the searches that evaluate nothing else."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.algorithms.draws import uniform
from jaxga.algorithms.random import SamplingState, sampling
from jaxga.base import Algorithm
from jaxga.checks import check_count, check_search
from jaxga.operators.genes import square_distances
from jaxga.precision import single_precision
from jaxga.space import Dimension, SearchSpace

_SOBOL_BITS = 24
_MAX_MAXIMIN = 256
# In so many dimensions all distances are nearly equal, and they are compiled gene by gene.
_MAX_MAXIMIN_GENES = 256


def latin_hypercube_sample(key: Array, num: int, num_genes: int, num_samples: int = 1) -> Array:
    """f32[S, num, D]: S samples with one point in each of ``num`` slices of every gene."""
    draws = uniform(key, (2, num_samples, num, num_genes))
    return (jnp.argsort(draws[0], axis=1) + draws[1]) / num


def maximin_latin_hypercube(key: Array, num: int, num_genes: int, num_tries: int = 20) -> Array:
    """The one of ``num_tries`` Latin hypercubes with the largest distance between its nearest two points.

    Of more than 256 genes it is the first one.

    Source: M. D. McKay, R. J. Beckman, W. J. Conover, "A comparison of three methods for selecting values of
    input variables", 1979; M. E. Johnson, L. M. Moore, D. Ylvisaker, "Minimax and maximin distance designs", 1990.
    """

    def nearest(sample: Array) -> Array:
        return jnp.min(square_distances(sample) + 1e6 * jnp.eye(num))

    if num_genes > _MAX_MAXIMIN_GENES:
        num_tries = 1
    samples = latin_hypercube_sample(key, num, num_genes, num_tries)
    if num_tries == 1:
        return samples[0]
    return samples[jnp.argmax(jax.vmap(nearest)(samples))]


def founders(key: Array, num: int, space: SearchSpace) -> Array:
    """f32[num, D]: a maximin Latin hypercube, contracted to the middle if ordered genes are many and points few.

    With few points and many genes every point is far from the optimum; the expected distance is less near the middle.
    The factor is sqrt(log(num) / genes), at most 1. Categories have no middle, so they are not contracted.

    Source: L. Meunier, C. Doerr, J. Rapin, O. Teytaud, "Variance reduction for better sampling in continuous
    domains", 2020.
    """
    num_ordered = max(1, int(np.sum(~space.is_categorical)))
    reach = jnp.where(jnp.asarray(space.is_categorical), 1.0, min(1.0, math.sqrt(math.log(num) / num_ordered)))
    # Of many points no sample has the nearest two much further apart than another, and the distances are num^2.
    points = maximin_latin_hypercube(key, num, space.size, 20 if num <= _MAX_MAXIMIN else 1)
    return space.snap(0.5 * (1.0 - reach)[None] + reach[None] * points)


@single_precision
def latin_hypercube(space: SearchSpace, *, population_size: int) -> Algorithm:
    """Every generation is a Latin hypercube of its own: each gene's range is covered evenly.

    Args:
        space: the search space.
        population_size: P, at least 1.

    Source: M. D. McKay, R. J. Beckman, W. J. Conover, as above, 1979.
    """
    check_search(space, population_size, 1)

    def draw(key: Array, state: SamplingState) -> Array:
        del state
        return latin_hypercube_sample(key, population_size, space.size)[0]

    return sampling("latin_hypercube", space, population_size, draw)


@single_precision
def sobol_search(space: SearchSpace, *, population_size: int) -> Algorithm:
    """Consecutive points of one Sobol sequence, shifted by one random vector for each search.

    Args:
        space: the search space.
        population_size: P, at least 1.

    Source: I. M. Sobol, "On the distribution of points in a cube", 1967; direction numbers: S. Joe, F. Y. Kuo,
    "Constructing Sobol sequences with better two-dimensional projections", 2008; shift: R. Cranley, T. N. L.
    Patterson, "Randomization of number theoretic methods for multiple integration", 1976.
    """
    check_search(space, population_size, 1)
    directions = jnp.asarray(_sobol_directions(space.size))

    def draw(key: Array, state: SamplingState) -> Array:
        del key
        # Point 0 is a corner of the cube and is left out.
        place = (1 + state.generation * population_size + jnp.arange(population_size)).astype(jnp.uint32)
        gray = place ^ (place >> 1)
        bits = ((gray[:, None] >> jnp.arange(_SOBOL_BITS, dtype=jnp.uint32)[None]) & 1).astype(bool)
        chosen = jnp.where(bits[:, :, None], directions[None], jnp.uint32(0))
        integer = jax.lax.reduce(chosen, jnp.uint32(0), jax.lax.bitwise_xor, (1,))
        return jnp.mod(integer.astype(jnp.float32) / 2**_SOBOL_BITS + state.shift[None], 1.0)

    return sampling("sobol_search", space, population_size, draw)


@single_precision
def grid_search(space: SearchSpace, *, population_size: int, num_levels: int | None = None) -> Algorithm:
    """A full grid, P points a generation; after the last point it starts again.

    A discrete gene has all its levels, or ``num_levels`` different ones, spread evenly over the gene, if it has more.

    Args:
        space: the search space.
        population_size: P, at least 1.
        num_levels: values of a continuous gene, at least 2; by default such that the grid has about 1,000 points.

    Raises ``ValueError`` if the grid would have more than 2^30 points.
    """
    check_search(space, population_size, 1)
    if num_levels is None:
        num_levels = max(2, round(1000 ** (1.0 / space.size)))
    check_count("num_levels", num_levels, 2)
    counts = [min(int(n), num_levels) if n else num_levels for n in space.num_levels]
    if math.prod(counts) > 2**30:
        raise ValueError(f"num_levels must give at most 2**30 grid points, got {num_levels} for {space.size} genes")
    strides = np.cumprod([1, *counts[:-1]]).astype(np.int32)
    total = math.prod(counts)
    # At most 30 genes, each with two values or more.
    axes = [_grid_axis(dimension, count) for (_, dimension), count in zip(space.items, counts, strict=True)]

    def draw(key: Array, state: SamplingState) -> Array:
        del key
        place = (state.generation * population_size + jnp.arange(population_size)) % total
        level = (place[:, None] // strides[None]) % jnp.array(counts)[None]
        return jnp.stack([axis(level[:, i]) for i, axis in enumerate(axes)], axis=1)

    return sampling("grid_search", space, population_size, draw)


def _grid_axis(dimension: Dimension, count: int) -> Callable[[Array], Array]:
    """The genes of the values i32[P], from 0 to ``count - 1``, that a grid gives a dimension."""
    if not dimension.is_discrete:
        return lambda place: place / (count - 1.0)  # both ends included
    place = np.arange(count)
    evenly = dimension.level_of_gene((place + 0.5).astype(np.float32) * np.float32(1.0 / count))
    # A wide level of a LogInteger holds several of these points: all but the first one move up to the next levels.
    # There are enough, because the levels above are narrower.
    levels = np.maximum.accumulate(evenly - place) + place
    genes = np.array([dimension.encode(dimension.at_level(level)) for level in levels.tolist()], np.float32)
    return lambda place: jnp.asarray(genes)[place]


def _sobol_directions(num_genes: int) -> np.ndarray:
    """u32[bits, D]: the direction numbers of S. Joe and F. Y. Kuo, 2008, taken from the points of scipy's sequence."""
    from scipy.stats import qmc  # not at the top: scipy.stats takes a second to import

    engine = qmc.Sobol(num_genes, scramble=False, bits=_SOBOL_BITS)
    engine.random()  # point 0
    # The Gray code of 2^(i + 1) - 1 has bit i alone: that point is direction number i. The next one is 2^(i + 1).
    points = [engine.fast_forward(2**i - 1).random()[0] for i in range(_SOBOL_BITS)]
    return (np.stack(points) * 2**_SOBOL_BITS).astype(np.uint32)
