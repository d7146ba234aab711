"""An exact Gaussian process: an infinitely wide network of radial units, solved instead of trained."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import Surrogate
from jaxga.space import SearchSpace
from jaxga.surrogates.features import stretched
from jaxga.surrogates.linalg import inverse_root

# Length scales about as long as half the cube, longer in more dimensions (where distances grow), and next to no noise.
_LOG_LENGTH, _LOG_NOISE = math.log(0.5), -6.0
_LENGTH_BOUNDS, _NOISE_BOUNDS = (-4.5, 3.5), (-10.0, 1.0)
_JITTER = 1e-5


class GaussianProcessParams(NamedTuple):
    """theta f32[D + 1]: log length scales and log noise; the rest is the posterior at the A points."""

    theta: Array
    points: Array
    inverse_root: Array
    weights: Array
    variance: Array


def gaussian_process(
    space: SearchSpace, *, num_points: int, num_steps: int = 12, max_fit_points: int = 256
) -> Surrogate:
    """An exact Gaussian process with a Matern-5/2 kernel, one length scale a gene, fitted by MAP.

    Args:
        space: the search space (D genes); two categories differ by 0 or 1.
        num_points: A, rows that ``fit`` is given.
        num_steps: Adam steps on the length scales and the noise in each fit, warm-started.
        max_fit_points: at most so many rows (the best and a stride of the rest) enter these steps; all
            rows enter the posterior.

    Source: C. E. Rasmussen, C. K. I. Williams, "Gaussian processes for machine learning", 2006.
    """
    size = space.size
    start = jnp.array([_LOG_LENGTH + 0.25 * math.log(size)] * size + [_LOG_NOISE], jnp.float32)
    prior_mean = jnp.array([0.0] * size + [-7.0], jnp.float32)
    prior_std = jnp.array([1.0] * size + [1.5], jnp.float32)
    low = jnp.array([_LENGTH_BOUNDS[0]] * size + [_NOISE_BOUNDS[0]], jnp.float32)
    high = jnp.array([_LENGTH_BOUNDS[1]] * size + [_NOISE_BOUNDS[1]], jnp.float32)

    def squares(a: Array, b: Array) -> list[Array]:
        """The squared differences of each gene, [N, M] a gene: an unrolled sum is ten times faster than a reduction."""
        pairs = []
        for i, categorical in enumerate(space.is_categorical):
            x, y = a[:, i, None], b[None, :, i]
            pairs.append((jnp.abs(x - y) > 1e-4).astype(a.dtype) if categorical else jnp.square(x - y))
        return pairs

    def kernel(theta: Array, a: Array, b: Array) -> Array:
        rates = jnp.exp(-2.0 * theta[:size])
        r = jnp.sqrt(5.0 * sum(rates[i] * pair for i, pair in enumerate(squares(a, b))))
        return (1.0 + r + r * r / 3.0) * jnp.exp(-r)

    def gram(theta: Array, matrix: Array, valid: Array) -> Array:
        """The covariance of the data; a row that is not valid knows only of itself."""
        both = valid[:, None] & valid[None, :]
        noise = jnp.exp(theta[size]) + _JITTER
        return jnp.where(both, matrix, 0.0) + jnp.diag(jnp.where(valid, noise, 1.0))

    def scale_variance(inner: Array, count: Array) -> Array:
        """The signal's variance, in closed form, as if two more points of variance one had been seen."""
        return (inner + 2.0) / (count + 2.0)

    def gradient(theta: Array, points: Array, target: Array, valid: Array) -> Array:
        """Of the negative log posterior; automatic differentiation of a factorisation is ten times slower."""
        rates = jnp.exp(-2.0 * theta[:size])
        pairs = squares(points, points)
        r = jnp.sqrt(5.0 * sum(rates[i] * pair for i, pair in enumerate(pairs)))
        decay = jnp.exp(-r)
        root = inverse_root(gram(theta, (1.0 + r + r * r / 3.0) * decay, valid))
        inverse = root.T @ root
        a = inverse @ target
        count = valid.sum()
        outer = 0.5 * (inverse - a[:, None] * a[None, :] / scale_variance(target @ a, count))
        outer = jnp.where(valid[:, None] & valid[None, :], outer, 0.0)
        common = outer * (5.0 / 3.0) * (1.0 + r) * decay
        lengths = jnp.stack([rates[i] * jnp.sum(common * pair) for i, pair in enumerate(pairs)])
        noise = jnp.exp(theta[size]) * jnp.trace(outer)
        return jnp.append(lengths, noise) + (theta - prior_mean) / jnp.square(prior_std)

    def subset(target: Array, valid: Array) -> Array:
        """Rows for the length scales: the best half, and the rest of the budget evenly over the other ranks."""
        if target.shape[0] <= max_fit_points:
            return jnp.arange(target.shape[0])
        half = max_fit_points // 2
        order = jnp.argsort(jnp.where(valid, target, jnp.inf))
        rest = jnp.maximum(valid.sum() - half, half)
        stride = half + (jnp.arange(max_fit_points - half) * rest) // (max_fit_points - half)
        return order[jnp.concatenate([jnp.arange(half), stride])]

    def init(key: Array) -> GaussianProcessParams:
        del key
        return GaussianProcessParams(
            theta=start,
            points=jnp.zeros((num_points, size)),
            inverse_root=jnp.zeros((num_points, num_points)),
            weights=jnp.zeros(num_points),
            variance=jnp.ones(()),
        )

    def fit(
        key: Array, params: GaussianProcessParams, genomes: Array, target: Array, valid: Array
    ) -> GaussianProcessParams:
        del key
        points = stretched(space, genomes)
        target = jnp.where(valid, target, 0.0)
        rows = subset(target, valid)
        few = (points[rows], target[rows], valid[rows])

        def step(i: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            theta, first, second = carry
            slope = jnp.nan_to_num(gradient(theta, *few))
            first, second = 0.9 * first + 0.1 * slope, 0.95 * second + 0.05 * jnp.square(slope)
            move = (first / (1.0 - 0.9 ** (i + 1))) / (jnp.sqrt(second / (1.0 - 0.95 ** (i + 1))) + 1e-8)
            return jnp.clip(theta - 0.1 * move, low, high), first, second

        nothing = jnp.zeros_like(params.theta)
        theta, _, _ = jax.lax.fori_loop(0, num_steps, step, (params.theta, nothing, nothing))
        root = inverse_root(gram(theta, kernel(theta, points, points), valid))
        # Rows that are not valid are taken out here, once, and predict need not know of them.
        root = jnp.where(valid[None, :], root, 0.0)
        half = root @ target
        return GaussianProcessParams(theta, points, root, half @ root, scale_variance(half @ half, valid.sum()))

    def predict(params: GaussianProcessParams, genomes: Array) -> tuple[Array, Array]:
        cross = kernel(params.theta, params.points, stretched(space, genomes))
        known = jnp.sum(jnp.square(params.inverse_root @ cross), axis=0)
        return params.weights @ cross, jnp.sqrt(params.variance * jnp.maximum(1.0 - known, 1e-10))

    def covariance(params: GaussianProcessParams, genomes: Array) -> Array:
        points = stretched(space, genomes)
        half = params.inverse_root @ kernel(params.theta, params.points, points)
        return params.variance * (kernel(params.theta, points, points) - half.T @ half)

    return Surrogate(init, fit, predict, covariance)
