"""How children are made of the best members: one operator for children and for candidates of the surrogate."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.operators.genes import reflect
from jaxga.space import SearchSpace

# The best parent is drawn e^3.84 times as often as the last one: 0.12 a rank among 32.
_PRESSURE = 3.84
# Numbers drawn once a child; four more are drawn once a gene.
_NUM_SINGLE = 9
# So many of the best say how long a step is.
_NUM_MEASURED = 32


class Parents(NamedTuple):
    """The K best members, best first.

    Attributes:
        genomes: f32[K, D].
        weights: f32[K], how often each is drawn; 0 for an empty row.
        spread: f32[D], their weighted standard deviation: the unit of a step.
    """

    genomes: Array
    weights: Array
    spread: Array


class Recipe(NamedTuple):
    """Shares of a uniform draw, a step in all genes, in some, a differential move, a crossover; and the step sizes."""

    shares: tuple[float, float, float, float, float]
    min_step: float
    max_step: float


def best_parents(genomes: Array, loss: Array, num_parents: int) -> tuple[Parents, Array]:
    """The parents among genomes f32[A, D] and their rows i32[K]; a loss of ``+inf`` is no parent."""
    # However few breed, a step is measured by as many: of a handful the spread is soon nothing.
    rows = jnp.argsort(loss)[: max(num_parents, _NUM_MEASURED)]
    near, exists = genomes[rows], jnp.isfinite(loss[rows])

    def rank_weights(num: int) -> Array:
        weights = jnp.where(exists[:num], jnp.exp(-_PRESSURE * jnp.arange(num) / num), 0.0)
        return weights / jnp.maximum(weights.sum(), 1e-30)

    weights = rank_weights(rows.shape[0])
    spread = jnp.sqrt(weights @ jnp.square(near - weights @ near))
    # A lone parent has no spread: a tenth of the cube; identical ones still have to move.
    spread = jnp.where(exists.sum() > 1, jnp.maximum(spread, 1e-5), 0.1)
    return Parents(near[:num_parents], rank_weights(num_parents), spread), rows[:num_parents]


def mixture(space: SearchSpace, num_mutations: int = 1) -> Callable[..., tuple[Array, Array]]:
    """A function ``breed(draws, parents, *recipes) -> (genomes f32[N, D], used i32[N, 2])``.

    ``draws`` are uniform numbers f32[N, :func:`num_draws`], so that all of a generation come from one call of
    the random number generator (each call costs a second of compilation). ``recipes`` are pairs of a ``Recipe``
    and how many children in a row it is for. ``used`` are places among the parents, -1 for none.

    Args:
        space: the search space (D genes).
        num_mutations: how many genes a mutation changes, about, and one at least.
    """
    size = space.size
    rate = min(1.0, (num_mutations + 0.5) / size)
    levels, categorical = jnp.asarray(space.num_levels), jnp.asarray(space.is_categorical)
    integer = jnp.asarray(space.is_discrete & ~space.is_categorical)
    least_move = jnp.where(integer, 0.7 / jnp.maximum(levels, 1), 0.0)

    def breed(draws: Array, parents: Parents, *recipes: tuple[Recipe, int]) -> tuple[Array, Array]:
        once = draws[:, :_NUM_SINGLE].T
        mask_draw, coin, fresh, step_draw = jnp.split(draws[:, _NUM_SINGLE:], 4, axis=1)
        thresholds, low, high = (jnp.asarray(column) for column in _columns(recipes))
        kind = jnp.sum(once[0][:, None] > thresholds, axis=1)
        # Without any parent every child is a uniform draw.
        kind = jnp.where(parents.weights.sum() > 0, kind, 0)
        line = jnp.cumsum(parents.weights)
        first, second, third = (jnp.sum(d[:, None] * line[-1] > line[:-1], axis=1) for d in once[1:4])
        num_valid = jnp.maximum(jnp.sum(parents.weights > 0), 1)
        fourth = jnp.floor(once[4] * num_valid).astype(jnp.int32)
        x1, x2, x3, x4 = (parents.genomes[place] for place in (first, second, third, fourth))

        step_size = jnp.exp(low + once[5] * (high - low))[:, None]
        one = jnp.floor(once[6] * size).astype(jnp.int32)
        masked = (mask_draw < rate) | (jnp.arange(size) == one[:, None])
        normal = jax.scipy.special.ndtri(jnp.clip(step_draw, 1e-7, 1.0 - 1e-7))
        step = step_size * parents.spread * normal
        integer_step = jnp.maximum(step_size * parents.spread, least_move) * normal * masked

        some = jnp.where(integer, integer_step, step * masked)
        everything = jnp.where(integer, integer_step, step)
        factor = (0.2 + once[7])[:, None]
        differential = x1 + factor * (x3 - x4) + jnp.where(integer, 0.5 * integer_step, 0.0)
        mixed = jnp.where(coin < 0.5, x1, x2)
        crossed = mixed + jnp.where((once[8] < 0.5)[:, None], jnp.where(integer, some, 0.3 * some), 0.0)
        kinds = kind[:, None]
        ordered = jnp.select([kinds == 1, kinds == 2, kinds == 3], [x1 + everything, x1 + some, differential], crossed)
        inherited = jnp.where(kinds >= 3, mixed, x1)
        # A crossover without a step has its masked genes drawn anew: the one move that no spread limits.
        anew = masked & ((kind == 4) & (once[8] > 0.5))[:, None]
        child = jnp.where(anew | (categorical & masked), fresh, jnp.where(categorical, inherited, reflect(ordered)))
        child = space.snap(jnp.where(kinds == 0, fresh, child))

        mate = jnp.select([kind == 3, kind == 4], [third, second], -1)
        return child, jnp.stack([jnp.where(kind == 0, -1, first), mate], axis=1)

    return breed


def _columns(recipes: tuple[tuple[Recipe, int], ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each child: the thresholds f32[N, 4] between the kinds, and the logarithms f32[N] of the step sizes."""
    rows = [([*np.cumsum(r.shares)[:-1], np.log(r.min_step), np.log(r.max_step)], num) for r, num in recipes]
    table = np.concatenate([np.tile(np.array(row, np.float32), (num, 1)) for row, num in rows])
    return table[:, :4], table[:, 4], table[:, 5]


def num_draws(space: SearchSpace) -> int:
    """How many uniform numbers one child takes."""
    return _NUM_SINGLE + 4 * space.size
