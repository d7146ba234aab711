"""A deep kernel: an exact Gaussian process on the outputs of a Flax network."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxga.base import PyTree, Surrogate
from jaxga.precision import single_precision
from jaxga.space import SearchSpace
from jaxga.surrogates.features import num_features, numeric
from jaxga.surrogates.gp import (
    Matern,
    Posterior,
    covariance_at,
    fit_rows,
    hyperprior,
    nothing_known,
    posterior,
    predict_at,
    slopes,
)


class _Bend(nn.Module):
    """The input plus a correction that starts at zero."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        hidden = nn.tanh(nn.Dense(self.width)(2.0 * x - 1.0))
        return x + nn.Dense(x.shape[-1], kernel_init=nn.initializers.zeros)(hidden)


class DeepKernelParams(NamedTuple):
    """The weights of the network and the posterior of the Gaussian process."""

    weights: PyTree
    head: Posterior


@single_precision
def deep_kernel(
    space: SearchSpace,
    *,
    num_points: int,
    width: int = 32,
    num_steps: int = 12,
    learning_rate: float = 0.01,
    weight_std: float = 0.1,
    max_fit_points: int = 192,
) -> Surrogate:
    """A Gaussian process on the outputs of a Flax network; the marginal likelihood fits both.

    The network is the identity plus a correction that starts at zero. With ``learning_rate=0`` the model is the plain
    Gaussian process.

    Args:
        space: the search space; each choice of a category is one 0/1 input.
        num_points: A, the number of rows that ``fit`` gets.
        width: number of units of the hidden layer.
        num_steps: Adam steps in each fit; they start from the last fit.
        learning_rate: that of the network, at least 0; that of length scales and noise is 0.1.
        weight_std: standard deviation of the weights before data, positive: the less, the nearer the network stays
            to the identity, that is to the plain Gaussian process.
        max_fit_points: the greatest number of rows in these steps; the posterior has all rows.

    Source: A. G. Wilson, Z. Hu, R. Salakhutdinov, E. P. Xing, "Deep kernel learning", 2016.
    """
    if not learning_rate >= 0:
        raise ValueError(f"deep_kernel: learning_rate must be at least 0, got {learning_rate!r}")
    if not weight_std > 0:
        raise ValueError(f"deep_kernel: weight_std must be positive, got {weight_std!r}")
    size = num_features(space)
    network, kernel, prior = _Bend(width), Matern((False,) * size), hyperprior(size)
    optimizer = optax.adam(1.0, b2=0.95)

    def bend(weights: PyTree, genomes: Array) -> Array:
        return jnp.asarray(network.apply(weights, numeric(space, genomes)))

    def init(key: Array) -> DeepKernelParams:
        return DeepKernelParams(network.init(key, jnp.zeros(size)), nothing_known(prior.start, num_points, size))

    def fit(key: Array, params: DeepKernelParams, genomes: Array, target: Array, valid: Array) -> DeepKernelParams:
        del key
        target = jnp.where(valid, target, 0.0)
        rows = fit_rows(target, valid, max_fit_points)
        few, few_target, few_valid = genomes[rows], target[rows], valid[rows]

        def step(_: Array, carry: tuple[PyTree, Array, PyTree]) -> tuple[PyTree, Array, PyTree]:
            moves: Any
            weights, theta, moments = carry
            points, pull_back = jax.vjp(lambda weights: bend(weights, few), weights)
            by_square, by_noise = slopes(theta, kernel.square(theta, points, points), few_target, few_valid)
            # The chain rule by hand. ``apart`` is sum_j by_square[i, j] (x[i] - x[j]), as one matrix product.
            apart = by_square.sum(1, keepdims=True) * points - by_square @ points
            rates = jnp.exp(-2.0 * theta[:-1])
            slope_theta = jnp.append(-2.0 * rates * jnp.sum(points * apart, axis=0), by_noise) + prior.slope(theta)
            (slope_weights,) = pull_back(2.0 * rates[None] * apart)
            slope_weights = jax.tree.map(lambda slope, weight: slope + weight / weight_std**2, slope_weights, weights)
            found = jax.tree.map(jnp.nan_to_num, (slope_weights, slope_theta))
            moves, moments = optimizer.update(found, moments)
            weights = jax.tree.map(lambda weight, move: weight + learning_rate * move, weights, moves[0])
            return weights, jnp.clip(theta + 0.1 * moves[1], prior.low, prior.high), moments

        begin = (params.weights, params.head.theta)
        weights, theta, _ = jax.lax.fori_loop(0, num_steps, step, (*begin, optimizer.init(begin)))
        return DeepKernelParams(weights, posterior(kernel, theta, bend(weights, genomes), target, valid))

    return Surrogate(
        init,
        fit,
        lambda params, genomes: predict_at(kernel, params.head, bend(params.weights, genomes)),
        lambda params, genomes: covariance_at(kernel, params.head, bend(params.weights, genomes)),
    )
