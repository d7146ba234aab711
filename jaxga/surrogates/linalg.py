"""Linear algebra that is fast under ``vmap`` too: matrix products instead of LAPACK calls."""

import jax
import jax.numpy as jnp
from jax import Array

_BLOCK = 128  # half as large, it is as fast and takes twice as long to compile
# The smallest pivot for a diagonal of about one: in float32 a nearly singular matrix can have a negative pivot.
_LEAST_PIVOT = 1e-6


def inverse_root(covariance: Array) -> Array:
    """The inverse of the Cholesky factor of a positive definite f32[N, N]: ``root.T @ root`` is the inverse matrix.

    If rounding leaves a row without a positive pivot, the rows before it determine it almost exactly. Its pivot is set
    to one: then the row has almost no influence, and the result is finite.
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
    """Gaussian elimination of [matrix | identity]; each pivot row is divided by the square root of its pivot.

    In place: an eliminated column has no entry below its pivot, so that its column of the identity is stored there.
    """
    size = matrix.shape[0]
    places = jnp.arange(size)

    def eliminate(i: Array, rows: Array) -> Array:
        here = places == i
        pivot = jnp.sqrt(jnp.where(rows[i, i] > _LEAST_PIVOT, rows[i, i], 1.0))
        row = jnp.where(here, 1.0, rows[i]) / pivot
        factors = rows[:, i] / pivot
        below = jnp.where(here[None, :], 0.0, rows) - factors[:, None] * row[None, :]
        return jnp.where(here[:, None], row[None, :], jnp.where((places > i)[:, None], below, rows))

    return jnp.tril(jax.lax.fori_loop(0, size, eliminate, matrix))
