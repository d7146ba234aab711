"""Inputs of the models from genomes: discrete genes stretched to [0, 1], categories one-hot."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.space import SearchSpace


def stretched(space: SearchSpace, genomes: Array) -> Array:
    """Genomes f32[..., D] with the first and the last level of each discrete gene at 0 and 1."""
    ends = space.snap(jnp.zeros(space.size)), space.snap(jnp.ones(space.size))
    first, last = (jnp.broadcast_to(end, genomes.shape) for end in ends)
    return (genomes - first) / (last - first)


def numeric(space: SearchSpace, genomes: Array) -> Array:
    """Genomes f32[..., D] as f32[..., F] for a model that knows no categories: each choice becomes a 0/1 column."""
    columns, plain = [], stretched(space, genomes)
    for i, (n, categorical) in enumerate(zip(space.num_levels, space.is_categorical, strict=True)):
        if categorical:
            level = jnp.clip(jnp.floor(genomes[..., i] * n), 0, n - 1)
            columns.append(jax.nn.one_hot(level.astype(jnp.int32), n, dtype=genomes.dtype))
        else:
            columns.append(plain[..., i : i + 1])
    return jnp.concatenate(columns, axis=-1)


def num_features(space: SearchSpace) -> int:
    """F, the number of columns of :func:`numeric`."""
    return int(np.where(space.is_categorical, space.num_levels, 1).sum())
