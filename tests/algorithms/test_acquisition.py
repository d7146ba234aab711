"""Expected improvement and the batch against numpy in double precision."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from jaxga.algorithms.acquisition import greedy_batch, log_expected_improvement


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-1.0, 0.3), (2.0, 0.5), (0.1, 5.0), (1.5, 0.1)])
def test_expected_improvement_is_the_integral(mean, std):
    incumbent = 0.2
    density = stats.norm(mean, std).pdf
    expected, _ = integrate.quad(lambda y: (incumbent - y) * density(y), mean - 12 * std, incumbent, epsabs=0)
    got = float(log_expected_improvement(jnp.float32(mean), jnp.float32(std), jnp.float32(incumbent)))
    if expected > 1e-20:
        assert got == pytest.approx(np.log(expected), abs=2e-3)
    else:  # far out, where the plain formula would be the logarithm of 0
        u = (incumbent - mean) / std
        assert got == pytest.approx(np.log(std) + stats.norm.logpdf(u) - 2 * np.log(-u), abs=0.05)


def test_the_tail_is_close_where_it_begins():
    u = jnp.linspace(-5.2, -4.8, 41)
    values = np.asarray(log_expected_improvement(-u, jnp.ones(41), jnp.zeros(())))
    x = np.asarray(u, np.float64)
    expected = np.log(stats.norm.pdf(x) + x * stats.norm.cdf(x))
    # The first term of the tail is too large by a factor of about 1 + 3 / u^2.
    assert np.abs(values - expected).max() < 0.12


def test_a_batch_is_conditioned_on_its_earlier_picks():
    """The variance of a Gaussian process at all candidates given those picked, by the textbook's formula."""
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(40, 2))
    covariance = np.exp(-10 * np.square(points[:, None] - points[None]).sum(-1)) + 1e-4 * np.eye(40)
    mean, incumbent, picked = rng.normal(size=40), -1.0, []
    for _ in range(6):
        variance = np.diagonal(covariance)
        if picked:
            cross = covariance[:, picked]
            inverse = np.linalg.inv(covariance[np.ix_(picked, picked)])
            variance = variance - np.einsum("ij,jk,ik->i", cross, inverse, cross)
        std = np.sqrt(np.maximum(variance, 1e-6 * np.diagonal(covariance).max()))
        u = (incumbent - mean) / std
        score = np.log(std) + np.log(np.maximum(stats.norm.pdf(u) + u * stats.norm.cdf(u), 1e-300))
        score[picked] = -np.inf
        picked.append(int(np.argmax(score)))
    arguments = (jnp.asarray(a, jnp.float32) for a in (mean, covariance, incumbent, np.zeros(40)))
    assert greedy_batch(*arguments, jnp.array(False), 6).tolist() == picked


def test_a_batch_takes_a_penalised_candidate_last_and_one_twice_only_where_it_may():
    mean, penalty = jnp.array([-3.0, -2.9, -1.0, 0.0]), jnp.array([0.0, 1e6, 0.0, 0.0])
    certain = 1e-8 * jnp.eye(4)  # so that a pick leaves the expected improvement as it was
    for may_repeat, picked in ((False, [0, 2, 3, 1]), (True, [0, 0, 0, 0])):
        batch = greedy_batch(mean, certain, jnp.zeros(()), penalty, jnp.array(may_repeat), 4)
        assert batch.tolist() == picked
