"""Inputs of the models from genomes: discrete genes stretched to [0, 1], categories one-hot."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.space import SearchSpace


def stretched(space: SearchSpace, genomes: Array) -> Array:
    """Genomes f32[..., D] with the first and the last level of each discrete gene at 0 and 1.

    An inactive gene is at 0.5, a category at -1, apart from all its choices.
    """
    ends = space.centred(jnp.zeros(space.size)), space.centred(jnp.ones(space.size))
    first, last = (jnp.broadcast_to(end, genomes.shape) for end in ends)
    points = (genomes - first) / (last - first)
    if not space.conditions:
        return points
    absent = jnp.broadcast_to(np.where(space.is_categorical, np.float32(-1.0), np.float32(0.5)), genomes.shape)
    return jnp.where(space.is_active(genomes), points, absent)


def numeric(space: SearchSpace, genomes: Array) -> Array:
    """Genomes f32[..., D] as f32[..., F] for a model that knows no categories: each choice becomes a 0/1 column.

    All columns of an inactive category are 0.
    """
    columns, plain = [], stretched(space, genomes)
    active = space.is_active(genomes)
    for i, (n, categorical) in enumerate(zip(space.num_levels, space.is_categorical, strict=True)):
        if categorical:
            level = jnp.clip(jnp.floor(genomes[..., i] * n), 0, n - 1)
            chosen = jax.nn.one_hot(level.astype(jnp.int32), n, dtype=genomes.dtype)
            columns.append(chosen * active[..., i, None] if space.conditions else chosen)
        else:
            columns.append(plain[..., i : i + 1])
    return jnp.concatenate(columns, axis=-1)


def num_features(space: SearchSpace) -> int:
    """F, the number of columns of :func:`numeric`."""
    return int(np.where(space.is_categorical, space.num_levels, 1).sum())
