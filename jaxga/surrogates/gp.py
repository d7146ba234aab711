"""An exact Gaussian process: an infinitely wide network of radial units, solved instead of trained."""

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

# Length scales about as long as half the cube, longer in more dimensions (where distances grow), and next to no noise.
_LOG_LENGTH, _LOG_NOISE = math.log(0.5), -6.0
_LENGTH_BOUNDS, _NOISE_BOUNDS = (-4.5, 3.5), (-10.0, 1.0)
_JITTER = 1e-5


class Hyperprior(NamedTuple):
    """Of theta f32[F + 1], log length scales and log noise: where a fit starts, what it is drawn to, its bounds."""

    start: Array
    mean: Array
    std: Array
    low: Array
    high: Array


def hyperprior(num_features: int) -> Hyperprior:
    """Log length scales ~ N(0, 1), log noise ~ N(-7, 3^2): little of it, but a step or real noise may say otherwise."""

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
    """What is known after A points f32[A, F]: theta, inverse Cholesky factor, weights, signal variance."""

    theta: Array
    points: Array
    inverse_root: Array
    weights: Array
    variance: Array


class Matern(NamedTuple):
    """The Matern-5/2 kernel with a length scale a feature; two categories differ by 0 or 1."""

    is_categorical: Sequence[bool]

    def squares(self, a: Array, b: Array) -> list[Array]:
        """The squared difference [N, M] of each feature; their unrolled sum is ten times faster than a reduction."""
        pairs = []
        for i, categorical in enumerate(self.is_categorical):
            x, y = a[:, i, None], b[None, :, i]
            pairs.append((jnp.abs(x - y) > 1e-4).astype(a.dtype) if categorical else jnp.square(x - y))
        return pairs

    def __call__(self, theta: Array, a: Array, b: Array) -> Array:
        rates = jnp.exp(-2.0 * theta[:-1])
        square = sum(rate * pair for rate, pair in zip(rates, self.squares(a, b), strict=True))
        # The floor keeps the derivative of the root finite.
        r = jnp.sqrt(5.0 * jnp.maximum(square, 1e-16))
        return (1.0 + r + r * r / 3.0) * jnp.exp(-r)


def gram(theta: Array, matrix: Array, valid: Array) -> Array:
    """The covariance of the data; a row that is not valid knows only of itself."""
    both = valid[:, None] & valid[None, :]
    return jnp.where(both, matrix, 0.0) + jnp.diag(jnp.where(valid, jnp.exp(theta[-1]) + _JITTER, 1.0))


def slope_of_gram(covariance: Array, target: Array, valid: Array) -> Array:
    """The derivative of the negative log likelihood by each entry of the covariance of the data."""
    root = inverse_root(covariance)
    inverse = root.T @ root
    weights = inverse @ target
    slope = 0.5 * (inverse - weights[:, None] * weights[None, :] / _signal_variance(target @ weights, valid))
    return jnp.where(valid[:, None] & valid[None, :], slope, 0.0)


def posterior(kernel: Matern, theta: Array, points: Array, target: Array, valid: Array) -> Posterior:
    root = inverse_root(gram(theta, kernel(theta, points, points), valid))
    # Rows that are not valid are taken out here, once, and a prediction need not know of them.
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
    # The root is triangular: its upper rows meet the upper half alone.
    half = cross.shape[0] // 2
    upper, lower = params.inverse_root[:half, :half] @ cross[:half], params.inverse_root[half:] @ cross
    known = jnp.sum(jnp.square(upper), axis=0) + jnp.sum(jnp.square(lower), axis=0)
    return params.weights @ cross, jnp.sqrt(params.variance * jnp.maximum(1.0 - known, 1e-10))


def covariance_at(kernel: Matern, params: Posterior, points: Array) -> Array:
    half = params.inverse_root @ kernel(params.theta, params.points, points)
    return params.variance * (kernel(params.theta, points, points) - half.T @ half)


def fit_rows(target: Array, valid: Array, num: int) -> Array:
    """Rows for the length scales: the best ``num / 2``, and as many evenly over the other ranks; none twice."""
    if target.shape[0] <= num:
        return jnp.arange(target.shape[0])
    half = num // 2
    order = jnp.argsort(jnp.where(valid, target, jnp.inf))
    rest = jnp.maximum(valid.sum() - half, num - half)
    return order[jnp.concatenate([jnp.arange(half), half + (jnp.arange(num - half) * rest) // (num - half)])]


def _signal_variance(inner: Array, valid: Array) -> Array:
    """The most likely one, in closed form, as if two more points of variance one had been seen."""
    return (inner + 2.0) / (valid.sum() + 2.0)


@single_precision
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

        def gradient(theta: Array) -> Array:
            """Of the negative log posterior, written out: a derivative of the factorisation is ten times slower."""
            rates = jnp.exp(-2.0 * theta[:-1])
            r = jnp.sqrt(5.0 * sum(rates[i] * pair for i, pair in enumerate(pairs)))
            decay = jnp.exp(-r)
            outer = slope_of_gram(gram(theta, (1.0 + r + r * r / 3.0) * decay, few_valid), few_target, few_valid)
            common = outer * (-5.0 / 3.0) * (1.0 + r) * decay
            lengths = jnp.stack([-rates[i] * jnp.sum(common * pair) for i, pair in enumerate(pairs)])
            noise = jnp.exp(theta[-1]) * jnp.trace(outer)
            return jnp.append(lengths, noise) + (theta - prior.mean) / jnp.square(prior.std)

        def step(_: Array, carry: tuple[Array, PyTree]) -> tuple[Array, PyTree]:
            move: Any
            theta, moments = carry
            move, moments = optimizer.update(jnp.nan_to_num(gradient(theta)), moments)
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
