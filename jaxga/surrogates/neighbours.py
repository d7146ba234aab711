"""Nearest neighbours: a model without training."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import Surrogate
from jaxga.precision import single_precision
from jaxga.space import SearchSpace
from jaxga.surrogates.features import num_features, numeric

_FAR = 1e6


class NeighbourParams(NamedTuple):
    """points f32[A, F], target f32[A], valid bool[A], and the expected error at distance one, f32[]."""

    points: Array
    target: Array
    valid: Array
    error_rate: Array


@single_precision
def nearest_neighbours(space: SearchSpace, *, num_points: int, num_neighbours: int = 5) -> Surrogate:
    """The mean of the nearest rows, weighted by their inverse distances.

    The uncertainty is proportional to the distance to the nearest row; the factor is estimated by leaving one row out.

    Args:
        space: the search space; each choice of a category is one 0/1 input.
        num_points: A, the number of rows that ``fit`` gets.
        num_neighbours: k, at least 1, below ``num_points``.

    Source: D. Shepard, "A two-dimensional interpolation function for irregularly-spaced data", 1968.
    """
    if not 1 <= num_neighbours < num_points:
        raise ValueError(f"nearest_neighbours: num_neighbours must lie in [1, {num_points - 1}], got {num_neighbours}")

    def look_up(params: NeighbourParams, points: Array, skip_self: bool) -> tuple[Array, Array]:
        """The weighted mean f32[N] and the distance to the nearest row f32[N]."""
        gaps = [jnp.square(points[:, i, None] - params.points[None, :, i]) for i in range(points.shape[1])]
        distance = jnp.sqrt(sum(gaps[1:], gaps[0]))
        distance = jnp.where(params.valid[None, :], distance, _FAR)
        if skip_self:
            distance = distance + _FAR * jnp.eye(num_points)
        negative, rows = jax.lax.top_k(-distance, num_neighbours)
        near = -negative
        weights = jnp.where(near < _FAR, 1.0 / (near + 1e-4), 0.0)
        mean = jnp.sum(weights * params.target[rows], axis=1) / jnp.maximum(weights.sum(1), 1e-12)
        return mean, jnp.minimum(near[:, 0], 1.0) + 1e-3

    def init(key: Array) -> NeighbourParams:
        del key
        empty = jnp.zeros(num_points)
        return NeighbourParams(jnp.zeros((num_points, num_features(space))), empty, empty > 0, jnp.ones(()))

    def fit(key: Array, params: NeighbourParams, genomes: Array, target: Array, valid: Array) -> NeighbourParams:
        del key
        params = NeighbourParams(numeric(space, genomes), jnp.where(valid, target, 0.0), valid, params.error_rate)
        mean, distance = look_up(params, params.points, skip_self=True)
        rates = jnp.where(valid, jnp.square((mean - params.target) / distance), 0.0)
        # A prior worth one row with a rate of one.
        return params._replace(error_rate=jnp.sqrt((rates.sum() + 1.0) / (valid.sum() + 1.0)))

    def predict(params: NeighbourParams, genomes: Array) -> tuple[Array, Array]:
        mean, distance = look_up(params, numeric(space, genomes), skip_self=False)
        return mean, params.error_rate * distance

    return Surrogate(init, fit, predict)
