"""Linear algebra in the form that is fast under ``vmap`` too: matrix products, no calls of LAPACK."""

import jax
import jax.numpy as jnp
from jax import Array

_BLOCK = 64
# Least pivot, of a diagonal of about one: float32 may find a nearly singular matrix indefinite.
_LEAST_PIVOT = 1e-6


def inverse_root(covariance: Array) -> Array:
    """The inverse of the Cholesky factor of a positive definite f32[N, N]: ``root.T @ root`` is the inverse matrix.

    A row that rounding leaves without a pivot is as good as known from the rows before it: its pivot is taken as one,
    so that it has next to no influence and the result is finite.
    """
    size = covariance.shape[0]
    if size <= _BLOCK:
        return _small(covariance)
    half = -(-size // 2)
    first = inverse_root(covariance[:half, :half])
    below = covariance[half:, :half] @ first.T
    second = inverse_root(covariance[half:, half:] - below @ below.T)
    corner = -second @ (below @ first)
    top = jnp.concatenate([first, jnp.zeros((half, size - half))], axis=1)
    return jnp.concatenate([top, jnp.concatenate([corner, second], axis=1)], axis=0)


def _small(matrix: Array) -> Array:
    """Gaussian elimination of [matrix | identity] with each pivot row divided by the root of its pivot."""
    size = matrix.shape[0]
    places = jnp.arange(size)

    def eliminate(i: Array, rows: Array) -> Array:
        pivot = jnp.sqrt(jnp.where(rows[i, i] > _LEAST_PIVOT, rows[i, i], 1.0))
        row = rows[i] / pivot
        factors = jnp.where(places > i, rows[:, i] / pivot, 0.0)
        return jnp.where((places == i)[:, None], row[None, :], rows - jnp.outer(factors, row))

    rows = jnp.concatenate([matrix, jnp.eye(size)], axis=1)
    return jax.lax.fori_loop(0, size, eliminate, rows)[:, size:]
