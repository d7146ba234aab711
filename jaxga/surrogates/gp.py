"""Exact Gaussian-process regression with a Matern-5/2 kernel."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxga.base import PyTree, Surrogate
from jaxga.precision import single_precision
from jaxga.space import SearchSpace
from jaxga.surrogates.features import stretched
from jaxga.surrogates.linalg import inverse_root

# A fit starts with length scales of half the cube (more in more dimensions, where distances grow) and little noise.
_LOG_LENGTH, _LOG_NOISE = math.log(0.5), -6.0
_LENGTH_BOUNDS, _NOISE_BOUNDS = (-4.5, 3.5), (-10.0, 1.0)
# Added to the diagonal: a constant, and so many roundings of the greatest row sum, a bound of the greatest eigenvalue.
_JITTER, _JITTER_ROUNDINGS = 1e-5, 4.0 * 2.0**-24


class Hyperprior(NamedTuple):
    """Start of a fit, prior and bounds of theta f32[F + 1]: the log length scales and the log noise."""

    start: Array
    mean: Array
    std: Array
    low: Array
    high: Array

    def slope(self, theta: Array) -> Array:
        """The gradient of its negative logarithm."""
        return (theta - self.mean) / jnp.square(self.std)


def hyperprior(num_features: int) -> Hyperprior:
    """Log length scales ~ N(0, 1), log noise ~ N(-7, 3^2): little noise, but data with noise or a step can raise it."""

    def pair(length: float, noise: float) -> Array:
        return jnp.array([length] * num_features + [noise], jnp.float32)

    return Hyperprior(
        start=pair(_LOG_LENGTH + 0.25 * math.log(num_features), _LOG_NOISE),
        mean=pair(0.0, -7.0),
        std=pair(1.0, 3.0),
        low=pair(_LENGTH_BOUNDS[0], _NOISE_BOUNDS[0]),
        high=pair(_LENGTH_BOUNDS[1], _NOISE_BOUNDS[1]),
    )


class Posterior(NamedTuple):
    """The posterior after A points f32[A, F]: theta, inverse Cholesky factor, weights, signal variance."""

    theta: Array
    points: Array
    inverse_root: Array
    weights: Array
    variance: Array


class Matern(NamedTuple):
    """The Matern-5/2 kernel with one length scale per feature; the difference of two categories is 0 or 1."""

    is_categorical: Sequence[bool]

    def squares(self, a: Array, b: Array) -> list[Array]:
        """The squared differences [N, M], one array per feature; adding these is ten times faster than a reduction."""
        pairs = []
        for i, categorical in enumerate(self.is_categorical):
            x, y = a[:, i, None], b[None, :, i]
            pairs.append((jnp.abs(x - y) > 1e-4).astype(a.dtype) if categorical else jnp.square(x - y))
        return pairs

    def square(self, theta: Array, a: Array, b: Array) -> Array:
        """The squared distances [N, M] in units of the length scales."""
        rates = jnp.exp(-2.0 * theta[:-1])
        return jnp.asarray(sum(rate * pair for rate, pair in zip(rates, self.squares(a, b), strict=True)))

    def __call__(self, theta: Array, a: Array, b: Array) -> Array:
        # The minimum keeps the derivative of the square root finite.
        r = jnp.sqrt(5.0 * jnp.maximum(self.square(theta, a, b), 1e-16))
        return (1.0 + r + r * r / 3.0) * jnp.exp(-r)


def gram(theta: Array, matrix: Array, valid: Array) -> Array:
    """The covariance of the data; a row that is not valid has no covariance with other rows.

    Many points that the kernel hardly tells apart make a matrix whose factor float32 cannot compute: the more they are,
    the more is added to the diagonal.
    """
    matrix = jnp.where(valid[:, None] & valid[None, :], matrix, 0.0)
    jitter = _JITTER + _JITTER_ROUNDINGS * matrix.sum(0).max()
    return matrix + jnp.diag(jnp.where(valid, jnp.exp(theta[-1]) + jitter, 1.0))


def slopes(theta: Array, square: Array, target: Array, valid: Array) -> tuple[Array, Array]:
    """The gradient of the negative log likelihood, by hand: JAX takes ten times longer for it.

    Args:
        theta: f32[F + 1], the log length scales and the log noise.
        square: f32[N, N], the squared distance of each pair of points in units of the length scales.
        target: f32[N], 0 in rows that are not valid.
        valid: bool[N].

    Returns:
        The gradient by half of each square f32[N, N], and by the log noise f32[].
    """
    r = jnp.sqrt(5.0 * square)
    decay = jnp.exp(-r)
    root = inverse_root(gram(theta, (1.0 + r + r * r / 3.0) * decay, valid))
    inverse = root.T @ root
    weights = inverse @ target
    outer = 0.5 * (inverse - weights[:, None] * weights[None, :] / _signal_variance(target @ weights, valid))
    outer = jnp.where(valid[:, None] & valid[None, :], outer, 0.0)
    return outer * (-5.0 / 3.0) * (1.0 + r) * decay, jnp.exp(theta[-1]) * jnp.trace(outer)


def posterior(kernel: Matern, theta: Array, points: Array, target: Array, valid: Array) -> Posterior:
    root = inverse_root(gram(theta, kernel(theta, points, points), valid))
    # Rows that are not valid are removed here, once, so that a prediction does not have to mask them.
    root = jnp.where(valid[None, :], root, 0.0)
    half = root @ target
    return Posterior(theta, points, root, half @ root, _signal_variance(half @ half, valid))


def nothing_known(start: Array, num_points: int, num_features: int) -> Posterior:
    return Posterior(
        theta=start,
        points=jnp.zeros((num_points, num_features)),
        inverse_root=jnp.zeros((num_points, num_points)),
        weights=jnp.zeros(num_points),
        variance=jnp.ones(()),
    )


def predict_at(kernel: Matern, params: Posterior, points: Array) -> tuple[Array, Array]:
    cross = kernel(params.theta, params.points, points)
    known = sum(jnp.sum(jnp.square(rows), axis=0) for rows in _root_times(params.inverse_root, cross))
    return params.weights @ cross, jnp.sqrt(params.variance * jnp.maximum(1.0 - known, 1e-10))


def covariance_at(kernel: Matern, params: Posterior, points: Array) -> Array:
    half = jnp.concatenate(_root_times(params.inverse_root, kernel(params.theta, params.points, points)))
    return params.variance * (kernel(params.theta, points, points) - half.T @ half)


def _root_times(root: Array, matrix: Array) -> list[Array]:
    """The rows of ``root @ matrix`` in four blocks: the root is lower triangular, so that each block needs less."""
    ends = [root.shape[0] * quarter // 4 for quarter in range(5)]
    return [root[i:j, :j] @ matrix[:j] for i, j in itertools.pairwise(ends)]


def fit_rows(target: Array, valid: Array, num: int) -> Array:
    """``num`` different rows to fit the length scales to: the best half, and an even subsample of the other ranks."""
    if target.shape[0] <= num:
        return jnp.arange(target.shape[0])
    half = num // 2
    order = jnp.argsort(jnp.where(valid, target, jnp.inf))
    rest = jnp.maximum(valid.sum() - half, num - half)
    return order[jnp.concatenate([jnp.arange(half), half + (jnp.arange(num - half) * rest) // (num - half)])]


def _signal_variance(inner: Array, valid: Array) -> Array:
    """The most likely signal variance, in closed form, with a prior worth two points of variance one."""
    return (inner + 2.0) / (valid.sum() + 2.0)


@single_precision
def gaussian_process(
    space: SearchSpace, *, num_points: int, num_steps: int = 12, max_fit_points: int = 192
) -> Surrogate:
    """An exact Gaussian process with a Matern-5/2 kernel, one length scale per gene, fitted by MAP.

    Args:
        space: the search space (D genes); the difference of two categories is 0 or 1.
        num_points: A, the number of rows that ``fit`` gets.
        num_steps: Adam steps on length scales and noise in each fit; they start from the last fit.
        max_fit_points: the greatest number of rows (the best ones and an even subsample of the rest) in these
            steps; the posterior has all rows.

    Source: C. E. Rasmussen, C. K. I. Williams, "Gaussian processes for machine learning", 2006.
    """
    kernel, prior = Matern(tuple(space.is_categorical.tolist())), hyperprior(space.size)
    optimizer = optax.adam(0.1, b2=0.95)

    def init(key: Array) -> Posterior:
        del key
        return nothing_known(prior.start, num_points, space.size)

    def fit(key: Array, params: Posterior, genomes: Array, target: Array, valid: Array) -> Posterior:
        del key
        points, target = stretched(space, genomes), jnp.where(valid, target, 0.0)
        rows = fit_rows(target, valid, max_fit_points)
        few, few_target, few_valid = points[rows], target[rows], valid[rows]
        pairs = kernel.squares(few, few)

        def step(_: Array, carry: tuple[Array, PyTree]) -> tuple[Array, PyTree]:
            move: Any
            theta, moments = carry
            rates = jnp.exp(-2.0 * theta[:-1])
            square = jnp.asarray(sum(rates[i] * pair for i, pair in enumerate(pairs)))
            by_square, by_noise = slopes(theta, square, few_target, few_valid)
            by_length = jnp.stack([-rates[i] * jnp.sum(by_square * pair) for i, pair in enumerate(pairs)])
            slope = jnp.append(by_length, by_noise) + prior.slope(theta)
            move, moments = optimizer.update(jnp.nan_to_num(slope), moments)
            return jnp.clip(theta + move, prior.low, prior.high), moments

        begin = (params.theta, optimizer.init(params.theta))
        theta, _ = jax.lax.fori_loop(0, num_steps, step, begin)
        return posterior(kernel, theta, points, target, valid)

    return Surrogate(
        init,
        fit,
        lambda params, genomes: predict_at(kernel, params, stretched(space, genomes)),
        lambda params, genomes: covariance_at(kernel, params, stretched(space, genomes)),
    )
