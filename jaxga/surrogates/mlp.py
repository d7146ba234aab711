"""Multilayer perceptrons: the original's single network, and an ensemble whose disagreement is its uncertainty."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxga.base import PyTree, Surrogate
from jaxga.space import SearchSpace
from jaxga.surrogates.features import num_features, numeric


class _Network(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = nn.gelu(nn.Dense(self.width)(2.0 * x - 1.0))
        x = nn.gelu(nn.Dense(self.width)(x))
        return nn.Dense(1)(x)[..., 0]


class EnsembleParams(NamedTuple):
    """weights and optimiser of the trained networks, weights of the fixed ones ("priors"), E of each."""

    weights: PyTree
    moments: PyTree
    priors: PyTree


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
    """An ensemble of Flax networks, each with its own bootstrap weights and its own fixed random network added.

    The mean of the ensemble is the prediction, its standard deviation the uncertainty: near data the
    networks agree, far from it they keep what their random networks say.

    Args:
        space: the search space; a category is one 0/1 input a choice.
        num_points: A, rows that ``fit`` is given.
        num_networks: E, at least 2.
        width: units in each of two hidden layers.
        num_steps: Adam steps in each fit, warm-started.
        learning_rate: of Adam.
        prior_scale: how much of the fixed random networks is added, 0 for none.

    Source: I. Osband, J. Aslanides, A. Cassirer, "Randomized prior functions for deep reinforcement
    learning", 2018.
    """
    if num_networks < 2:
        raise ValueError(f"mlp_ensemble: num_networks must be at least 2, got {num_networks!r}")
    network = _Network(width)
    optimizer = optax.adam(learning_rate, b2=0.95)
    example = jnp.zeros(num_features(space))

    def forward(weights: PyTree, inputs: Array) -> Array:
        return jnp.asarray(network.apply(weights, inputs))

    def outputs(params: EnsembleParams, inputs: Array) -> Array:
        """f32[E, N]"""
        apply = jax.vmap(forward, in_axes=(0, None))
        return apply(params.weights, inputs) + prior_scale * apply(params.priors, inputs)

    def init(key: Array) -> EnsembleParams:
        keys = jax.random.split(key, 2 * num_networks)
        weights = jax.vmap(lambda k: network.init(k, example))(keys[:num_networks])
        priors = jax.vmap(lambda k: network.init(k, example))(keys[num_networks:])
        return EnsembleParams(weights, jax.vmap(optimizer.init)(weights), priors)

    def fit(key: Array, params: EnsembleParams, genomes: Array, target: Array, valid: Array) -> EnsembleParams:
        inputs = numeric(space, genomes)
        target = jnp.where(valid, target, 0.0)
        # A row has the same bootstrap weight in every fit, so that the networks stay different.
        del key
        rows = jnp.arange(num_points)
        draws = jax.vmap(lambda e: jax.random.exponential(jax.random.fold_in(jax.random.key(0), e), (num_points,)))
        importance = jnp.where(valid, draws(jnp.arange(num_networks))[:, rows], 0.0)
        offset = prior_scale * jax.vmap(forward, in_axes=(0, None))(params.priors, inputs)

        def loss(weights: PyTree, importance: Array, offset: Array) -> Array:
            error = jnp.square(forward(weights, inputs) + offset - target)
            return jnp.sum(importance * error) / jnp.maximum(importance.sum(), 1.0)

        def train(weights: PyTree, moments: PyTree, importance: Array, offset: Array) -> tuple[PyTree, PyTree]:
            def step(_: Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
                weights, moments = carry
                updates, moments = optimizer.update(jax.grad(loss)(weights, importance, offset), moments)
                return optax.apply_updates(weights, updates), moments

            return jax.lax.fori_loop(0, num_steps, step, (weights, moments))

        weights, moments = jax.vmap(train)(params.weights, params.moments, importance, offset)
        return EnsembleParams(weights, moments, params.priors)

    def predict(params: EnsembleParams, genomes: Array) -> tuple[Array, Array]:
        values = outputs(params, numeric(space, genomes))
        return values.mean(0), jnp.sqrt(values.var(0, ddof=1) + 1e-8)

    def covariance(params: EnsembleParams, genomes: Array) -> Array:
        values = outputs(params, numeric(space, genomes))
        centred = values - values.mean(0)
        return centred.T @ centred / (num_networks - 1)

    return Surrogate(init, fit, predict, covariance)
