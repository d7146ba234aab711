"""A surrogate that learns from unfinished trainings: the share of the training is one more gene."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.base import PyTree, Surrogate
from jaxga.space import Conditional, Dimension, SearchSpace, Uniform


def over_shares(factory: Callable[..., Surrogate], space: SearchSpace, *, num_points: int) -> Surrogate:
    """The model of ``factory`` over D genes and, as the last column, :func:`share_gene`.

    ``fit`` takes f32[A, D + 1]. ``predict`` and ``covariance`` take that, or f32[N, D] for whole trainings.

    Args:
        factory: makes a surrogate of a space.
        space: the search space (D genes).
        num_points: A, the number of rows that ``fit`` gets.
    """
    model = factory(_with_share(space), num_points=num_points)

    def at_share(genomes: Array) -> Array:
        is_given = genomes.shape[1] > space.size
        return genomes if is_given else with_share(genomes, jnp.ones(genomes.shape[0]))

    def covariance(params: PyTree, genomes: Array) -> Array:
        assert model.covariance is not None
        return model.covariance(params, at_share(genomes))

    return Surrogate(
        model.init,
        model.fit,
        lambda params, genomes: model.predict(params, at_share(genomes)),
        covariance if model.covariance is not None else None,
    )


def share_gene(share: Array, least_share: float) -> Array:
    """Shares [...] in [least_share, 1] on a logarithmic scale in [0, 1], 1 for a whole training."""
    return 1.0 - jnp.log(share) / np.float32(np.log(least_share))


def with_share(genomes: Array, gene: Array) -> Array:
    """Genomes f32[N, D] and the gene f32[N] of the share as f32[N, D + 1]."""
    return jnp.concatenate([genomes, gene[:, None].astype(genomes.dtype)], axis=1)


def _with_share(space: SearchSpace) -> SearchSpace:
    """The space with one more dimension, of a name that it does not have."""
    name = "share"
    while name in space.names:
        name += "_"
    dimensions: dict[str, Dimension | Conditional] = dict(space.items)
    for conditional in space.names:
        if condition := space.condition_of(conditional):
            dimensions[conditional] = dict(space.items)[conditional].when(condition)
    return SearchSpace({**dimensions, name: Uniform(0.0, 1.0)})
