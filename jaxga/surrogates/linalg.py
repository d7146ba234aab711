"""Linear algebra in the form that is fast under ``vmap`` too: matrix products instead of triangular solves."""

import jax
import jax.numpy as jnp
from jax import Array

_BLOCK = 16


def inverse_root(covariance: Array) -> Array:
    """The inverse of the Cholesky factor of a positive definite f32[N, N]: ``root.T @ root`` is the inverse matrix.

    A matrix that float32 finds indefinite is taken with 0.01 added to its diagonal.
    """
    size = covariance.shape[0]
    padded = _BLOCK
    while padded < size:
        padded *= 2
    root = jnp.linalg.cholesky(covariance)
    repaired = jnp.linalg.cholesky(covariance + 1e-2 * jnp.eye(size))
    root = jnp.where(jnp.isfinite(root).all(), root, repaired)
    full = jnp.eye(padded).at[:size, :size].set(jnp.tril(root))
    return _inverse_lower(full)[:size, :size]


def _inverse_lower(lower: Array) -> Array:
    """The inverse of a lower triangular f32[N, N] with N = 16 * 2^k: small blocks row by row, then pairs of blocks."""
    size = lower.shape[0]
    num_blocks = size // _BLOCK
    corner = jnp.arange(num_blocks) * _BLOCK
    blocks = jax.vmap(lambda at: jax.lax.dynamic_slice(lower, (at, at), (_BLOCK, _BLOCK)))(corner)
    rows: list[Array] = []
    for i in range(_BLOCK):
        row = jnp.zeros((num_blocks, _BLOCK)).at[:, i].set(1.0)
        for j, earlier in enumerate(rows):
            row -= blocks[:, i, j, None] * earlier
        rows.append(row / blocks[:, i, i, None])
    inverse = jnp.stack(rows, axis=1)
    width = _BLOCK
    while width < size:
        below = jnp.stack([lower[at + width : at + 2 * width, at : at + width] for at in range(0, size, 2 * width)])
        top, bottom = inverse[0::2], inverse[1::2]
        corner = -bottom @ (below @ top)
        zero = jnp.zeros_like(corner)
        upper = jnp.concatenate([top, zero], axis=2)
        inverse = jnp.concatenate([upper, jnp.concatenate([corner, bottom], axis=2)], axis=1)
        width *= 2
    return inverse[0]
