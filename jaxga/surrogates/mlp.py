"""Multilayer perceptrons: one network, and an ensemble whose standard deviation is the uncertainty."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxga.base import PyTree, Surrogate
from jaxga.precision import single_precision
from jaxga.space import SearchSpace
from jaxga.surrogates.features import num_features, numeric


class _Network(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = nn.gelu(nn.Dense(self.width)(2.0 * x - 1.0))
        x = nn.gelu(nn.Dense(self.width)(x))
        return nn.Dense(1)(x)[..., 0]


def _forward(network: _Network, weights: PyTree, inputs: Array) -> Array:
    return jnp.asarray(network.apply(weights, inputs))


def _trained(
    network: _Network,
    weights: PyTree,
    inputs: Array,
    target: Array,
    importance: Array,
    num_steps: int,
    learning_rate: float,
) -> PyTree:
    """The weights after ``num_steps`` Adam steps on the squared error; a row of importance 0 has no influence."""
    optimizer = optax.adam(learning_rate, b2=0.95)

    def loss(weights: PyTree) -> Array:
        error = jnp.where(importance > 0, _forward(network, weights, inputs) - target, 0.0)
        return jnp.sum(importance * jnp.square(error)) / jnp.maximum(importance.sum(), 1.0)

    def step(_: Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
        weights, moments = carry
        updates, moments = optimizer.update(jax.grad(loss)(weights), moments)
        return optax.apply_updates(weights, updates), moments

    return jax.lax.fori_loop(0, num_steps, step, (weights, optimizer.init(weights)))[0]


class SingleParams(NamedTuple):
    """The weights of the network and its root mean square error f32[] on the rows of the last fit."""

    weights: PyTree
    error: Array


@single_precision
def mlp(
    space: SearchSpace, *, num_points: int, width: int = 32, num_steps: int = 60, learning_rate: float = 0.01
) -> Surrogate:
    """One Flax network; its uncertainty is the same everywhere: the root mean square error of the last fit.

    Args:
        space: the search space; each choice of a category is one 0/1 input.
        num_points: the number of rows that ``fit`` gets (not used: any number is possible).
        width: number of units in each of the two hidden layers.
        num_steps: Adam steps in each fit; they start from the last fit.
        learning_rate: that of Adam.

    Source: the slides "Evolving Hyperparameters: Learning Enhanced Model Training" (the network of this method).
    """
    del num_points
    network = _Network(width)

    def init(key: Array) -> SingleParams:
        return SingleParams(network.init(key, jnp.zeros(num_features(space))), jnp.ones(()))

    def fit(key: Array, params: SingleParams, genomes: Array, target: Array, valid: Array) -> SingleParams:
        del key
        inputs, importance = numeric(space, genomes), valid.astype(jnp.float32)
        weights = _trained(network, params.weights, inputs, target, importance, num_steps, learning_rate)
        error = jnp.where(valid, _forward(network, weights, inputs) - target, 0.0)
        return SingleParams(weights, jnp.sqrt(jnp.sum(jnp.square(error)) / jnp.maximum(valid.sum(), 1) + 1e-6))

    def predict(params: SingleParams, genomes: Array) -> tuple[Array, Array]:
        mean = _forward(network, params.weights, numeric(space, genomes))
        return mean, jnp.full_like(mean, params.error)

    return Surrogate(init, fit, predict)


class EnsembleParams(NamedTuple):
    """Weights of the E trained networks and of the E fixed ones."""

    weights: PyTree
    priors: PyTree


@single_precision
def mlp_ensemble(
    space: SearchSpace,
    *,
    num_points: int,
    num_networks: int = 8,
    width: int = 32,
    num_steps: int = 60,
    learning_rate: float = 0.01,
    prior_scale: float = 0.5,
) -> Surrogate:
    """An ensemble of Flax networks; each has its own bootstrap weights and its own fixed random network.

    The random network is added to the trained one. The prediction is the mean of the ensemble, the uncertainty its
    standard deviation. Near the data the networks agree; far from the data they differ as their random networks do.

    Args:
        space: the search space; each choice of a category is one 0/1 input.
        num_points: A, the number of rows that ``fit`` gets.
        num_networks: E, at least 2.
        width: number of units in each of the two hidden layers.
        num_steps: Adam steps in each fit; they start from the last fit.
        learning_rate: that of Adam.
        prior_scale: factor of the fixed random networks; 0 removes them.

    Source: I. Osband, J. Aslanides, A. Cassirer, "Randomized prior functions for deep reinforcement
    learning", 2018.
    """
    if num_networks < 2:
        raise ValueError(f"mlp_ensemble: num_networks must be at least 2, got {num_networks!r}")
    network, example = _Network(width), jnp.zeros(num_features(space))
    # A row has the same bootstrap weight in every fit, so that the networks stay different.
    importance = jax.random.exponential(jax.random.key(0, impl="threefry2x32"), (num_networks, num_points))

    def outputs(params: EnsembleParams, inputs: Array) -> Array:
        """f32[E, N]"""
        apply = jax.vmap(_forward, in_axes=(None, 0, None))
        return apply(network, params.weights, inputs) + prior_scale * apply(network, params.priors, inputs)

    def init(key: Array) -> EnsembleParams:
        keys = jax.random.split(key, 2 * num_networks)
        weights = jax.vmap(lambda key: network.init(key, example))(keys[:num_networks])
        priors = jax.vmap(lambda key: network.init(key, example))(keys[num_networks:])
        return EnsembleParams(weights, priors)

    def fit(key: Array, params: EnsembleParams, genomes: Array, target: Array, valid: Array) -> EnsembleParams:
        del key
        inputs = numeric(space, genomes)

        def train(weights: PyTree, prior: PyTree, importance: Array) -> PyTree:
            wanted = target - prior_scale * _forward(network, prior, inputs)
            return _trained(network, weights, inputs, wanted, valid * importance, num_steps, learning_rate)

        return EnsembleParams(jax.vmap(train)(params.weights, params.priors, importance), params.priors)

    def predict(params: EnsembleParams, genomes: Array) -> tuple[Array, Array]:
        values = outputs(params, numeric(space, genomes))
        return values.mean(0), jnp.sqrt(values.var(0, ddof=1) + 1e-8)

    def covariance(params: EnsembleParams, genomes: Array) -> Array:
        values = outputs(params, numeric(space, genomes))
        centred = values - values.mean(0, keepdims=True)
        return centred.T @ centred / (num_networks - 1)

    return Surrogate(init, fit, predict, covariance)
