"""A surrogate that sees the space around the best settings from close by, however near to one another they are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxga.base import PyTree, Surrogate
from jaxga.operators.genes import spread_of
from jaxga.space import SearchSpace

_NUM_BEST = 32
# Within this number of spreads of the best settings distances are kept; beyond, they grow with their logarithm.
_NUM_SPREADS = 10.0


class ZoomedParams(NamedTuple):
    """Attributes:
    centre: f32[D], the best setting.
    unit: f32[D], in (0, 1]: what the model sees as a distance of one.
    params: the model's.
    """

    centre: Array
    unit: Array
    params: PyTree


def over_zoom(factory: Callable[..., Surrogate], space: SearchSpace, *, num_points: int) -> Surrogate:
    """The model of ``factory`` over genes at ``asinh`` of their distance from the best setting, in units of the spread.

    Late in a search the best settings are so near to one another that a model of the whole cube cannot tell them apart:
    in float32 the matrix of their covariances is singular. Discrete genes stay as they are.

    Args:
        factory: makes a surrogate of a space.
        space: the search space (D genes).
        num_points: A, the number of rows that ``fit`` gets.
    """
    model, is_discrete = factory(space, num_points=num_points), jnp.asarray(space.is_discrete)

    def seen(zoomed: ZoomedParams, genomes: Array) -> Array:
        distance = (genomes - zoomed.centre[None]) / zoomed.unit[None]
        return jnp.where(is_discrete[None], genomes, zoomed.centre[None] + jnp.arcsinh(distance))

    def init(key: Array) -> ZoomedParams:
        return ZoomedParams(jnp.full(space.size, 0.5, jnp.float32), jnp.ones(space.size), model.init(key))

    def fit(key: Array, zoomed: Any, genomes: Array, target: Array, valid: Array) -> ZoomedParams:
        rows = jnp.argsort(jnp.where(valid, target, jnp.inf))[:_NUM_BEST]
        best, exists = genomes[rows], valid[rows]
        weights = exists / jnp.maximum(exists.sum(), 1)
        unit = jnp.clip(_NUM_SPREADS * spread_of(best, weights), 1e-5, 1.0)
        unit = jnp.where(exists.sum() > 1, unit, 1.0)
        zoomed = ZoomedParams(best[0], unit, zoomed.params)
        return zoomed._replace(params=model.fit(key, zoomed.params, seen(zoomed, genomes), target, valid))

    def predict(zoomed: Any, genomes: Array) -> tuple[Array, Array]:
        return model.predict(zoomed.params, seen(zoomed, genomes))

    def covariance(zoomed: Any, genomes: Array) -> Array:
        assert model.covariance is not None
        return model.covariance(zoomed.params, seen(zoomed, genomes))

    return Surrogate(init, fit, predict, covariance if model.covariance is not None else None)
