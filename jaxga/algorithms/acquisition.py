"""How much a candidate promises, and how a batch of promising ones is kept apart."""

import jax
import jax.numpy as jnp
from jax import Array


def log_expected_improvement(mean: Array, std: Array, incumbent: Array) -> Array:
    """The logarithm of how much lower than ``incumbent`` the loss is expected to fall; any shape.

    >>> round(float(log_expected_improvement(jnp.zeros(()), jnp.ones(()), jnp.zeros(()))), 4)
    -0.9189

    Source: D. R. Jones, M. Schonlau, W. J. Welch, "Efficient global optimization of expensive black-box
    functions", 1998; the tail as in S. Ament et al., "Unexpected improvements to expected improvement", 2023.
    """
    u = (incumbent - mean) / std
    near = jnp.maximum(u, -5.0)
    density = jnp.exp(-0.5 * near * near) * 0.3989423
    plain = jnp.log(jnp.maximum(density + near * jax.scipy.stats.norm.cdf(near), 1e-30))
    # The tail's first term: too large by a tenth where it begins, and right further out.
    far = jnp.minimum(u, -5.0)
    tail = -0.5 * far * far - 2.0 * jnp.log(-far) - 0.9189385
    return jnp.log(std) + jnp.where(u < -5.0, tail, plain)


def greedy_batch(mean: Array, covariance: Array, incumbent: Array, penalty: Array, same: Array, num: int) -> Array:
    """Places i32[num] of a batch: each the most promising, given that the earlier ones will be known.

    Args:
        mean: f32[N] predicted.
        covariance: f32[N, N] of the predictions; the variance is conditioned on every pick (one row of a pivoted
            Cholesky factorisation), the mean is left as it is.
        incumbent: f32[], the loss to improve on.
        penalty: f32[N] taken from the logarithm of the expected improvement.
        same: bool[N, N], candidates of which no two may be picked.
        num: how many to pick.
    """
    variance = jnp.diagonal(covariance)
    least = 1e-6 * jnp.maximum(variance.max(), 1e-12)

    def pick(i: Array, carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        places, roots, variance, taken = carry
        score = log_expected_improvement(mean, jnp.sqrt(jnp.maximum(variance, least)), incumbent)
        place = jnp.argmax(score - penalty - 1e9 * taken)
        row = covariance[place] - roots[:, place] @ roots
        row = row / jnp.sqrt(jnp.maximum(variance[place], least))
        return places.at[i].set(place), roots.at[i].set(row), variance - row * row, taken | same[place]

    start = (
        jnp.zeros(num, jnp.int32),
        jnp.zeros((num, mean.shape[0])),
        variance,
        jnp.zeros(mean.shape[0], bool),
    )
    return jax.lax.fori_loop(0, num, pick, start)[0]
