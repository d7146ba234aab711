"""The expected improvement of candidates, and a batch of them that are not close to one another."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import PyTree, Surrogate
from jaxga.operators.genes import square_distances


class Candidates(NamedTuple):
    """Attributes:
    genomes: f32[N, D].
    mean: f32[N], predicted by the surrogate.
    std: f32[N], of the prediction.
    score: f32[N], the logarithm of the expected improvement.
    penalty: f32[N], to be subtracted from it where a member is chosen.
    """

    genomes: Array
    mean: Array
    std: Array
    score: Array
    penalty: Array

    def rows(self, places: Array | slice) -> "Candidates":
        """Some of them."""
        return Candidates(*(field[places] for field in self))


def candidates(model: Surrogate | None, params: PyTree, incumbent: Array, genomes: Array, penalty: Array) -> Candidates:
    """Genomes f32[N, D] with the model's predictions; without a model zeros."""
    if model is None:
        zeros = jnp.zeros(genomes.shape[0])
        return Candidates(genomes, zeros, zeros, zeros, penalty)
    mean, std = model.predict(params, genomes)
    return Candidates(genomes, mean, std, log_expected_improvement(mean, std, incumbent), penalty)


def prediction_covariance(model: Surrogate, params: PyTree, pool: Candidates) -> Array:
    """f32[N, N], the model's own, or from the standard deviations and a distance if the model has none."""
    if model.covariance is not None:
        return model.covariance(params, pool.genomes)
    # A correlation length of a tenth of the cube's diagonal, by judgement.
    correlation = jnp.exp(-50.0 / pool.genomes.shape[1] * square_distances(pool.genomes))
    return pool.std[:, None] * pool.std[None, :] * correlation


def log_expected_improvement(mean: Array, std: Array, incumbent: Array) -> Array:
    """The logarithm of the expected improvement on the loss ``incumbent``; any shape.

    >>> round(float(log_expected_improvement(jnp.zeros(()), jnp.ones(()), jnp.zeros(()))), 4)
    -0.9189

    Source: D. R. Jones, M. Schonlau, W. J. Welch, "Efficient global optimization of expensive black-box
    functions", 1998; the tail as in S. Ament et al., "Unexpected improvements to expected improvement", 2023.
    """
    u = (incumbent - mean) / std
    near = jnp.maximum(u, -5.0)
    density = jnp.exp(-0.5 * near * near) * 0.3989423
    plain = jnp.log(jnp.maximum(density + near * jax.scipy.stats.norm.cdf(near), 1e-30))
    # The first term of the tail: too large by a tenth at u = -5, exact in the limit.
    far = jnp.minimum(u, -5.0)
    tail = -0.5 * far * far - 2.0 * jnp.log(-far) - 0.9189385
    return jnp.log(std) + jnp.where(u < -5.0, tail, plain)


def greedy_batch(mean: Array, covariance: Array, incumbent: Array, penalty: Array, repeats: Array, num: int) -> Array:
    """Places i32[num] of a batch: each has the greatest expected improvement, given that the earlier ones are known.

    Args:
        mean: f32[N] predicted.
        covariance: f32[N, N] of the predictions; the variance is conditioned on every pick (one row of a pivoted
            Cholesky factorisation), the mean is not.
        incumbent: f32[], the loss to improve on.
        penalty: f32[N], subtracted from the logarithm of the expected improvement.
        repeats: bool[], whether a candidate may be picked several times.
        num: how many to pick.
    """
    variance = jnp.diagonal(covariance)
    least = 1e-6 * jnp.maximum(variance.max(), 1e-12)

    def pick(i: Array, carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        places, roots, variance, penalty = carry
        score = log_expected_improvement(mean, jnp.sqrt(jnp.maximum(variance, least)), incumbent)
        place = jnp.argmax(score - penalty)
        row = covariance[place] - roots[:, place] @ roots
        row = row / jnp.sqrt(jnp.maximum(variance[place], least))
        penalty = penalty.at[place].add(jnp.where(repeats, 0.0, 1e9))
        return places.at[i].set(place), roots.at[i].set(row), variance - row * row, penalty

    start = (jnp.zeros(num, jnp.int32), jnp.zeros((num, mean.shape[0])), variance, penalty)
    return jax.lax.fori_loop(0, num, pick, start)[0]
