"""Bayesian linear regression on features, shared by ``random_features`` and ``quadratic_ridge``."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import Surrogate
from jaxga.surrogates.linalg import inverse_root

# The evidence chooses one of these ratios of noise variance to signal variance.
_NOISE_RATIOS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


class LinearParams(NamedTuple):
    """choice i32[] of the feature map, weights f32[F], root f32[F, F] of their covariance, noise variance f32[]."""

    choice: Array
    weights: Array
    root: Array
    noise: Array


def bayesian_linear(
    features: Callable[[Array, Array], Array], num_choices: int, num_features: int, *, predicts_noise: bool
) -> Surrogate:
    """A surrogate of ``features(choice i32[], genomes f32[N, D]) -> f32[N, F]``, weights ~ N(0, signal variance).

    The evidence chooses one of ``num_choices`` feature maps and one of five noise ratios.

    Args:
        features: the feature maps.
        num_choices: the number of feature maps.
        num_features: F.
        predicts_noise: whether the uncertainty includes the noise, i.e. the part that the features cannot express.

    Source: C. M. Bishop, "Pattern recognition and machine learning", 2006, section 3.5.
    """
    choices = jnp.repeat(jnp.arange(num_choices), len(_NOISE_RATIOS))
    ratios = jnp.tile(jnp.array(_NOISE_RATIOS), num_choices)

    def init(key: Array) -> LinearParams:
        del key
        return LinearParams(jnp.zeros((), jnp.int32), jnp.zeros(num_features), jnp.eye(num_features), jnp.ones(()))

    def fit(key: Array, params: LinearParams, genomes: Array, target: Array, valid: Array) -> LinearParams:
        del key, params
        target = jnp.where(valid, target, 0.0)
        count = valid.sum()

        def solve(choice: Array, ratio: Array) -> tuple[Array, LinearParams]:
            matrix = jnp.where(valid[:, None], features(choice, genomes), 0.0)
            root = inverse_root((matrix.T @ matrix) / ratio + jnp.eye(num_features))
            weights = root.T @ (root @ (matrix.T @ target)) / ratio
            misfit = jnp.sum(jnp.square(target - matrix @ weights)) / ratio + jnp.sum(jnp.square(weights))
            # A prior worth two points of variance one.
            signal = (misfit + 2.0) / (count + 2.0)
            log_det = -2.0 * jnp.sum(jnp.log(jnp.diagonal(root))) + count * jnp.log(ratio)
            evidence = -0.5 * ((count + 2.0) * jnp.log(signal) + log_det)
            return evidence, LinearParams(choice, weights, root * jnp.sqrt(signal), ratio * signal)

        evidence, solved = jax.lax.map(lambda pair: solve(*pair), (choices, ratios))
        best = jnp.argmax(jnp.nan_to_num(evidence, nan=-jnp.inf))
        return jax.tree.map(lambda leaf: leaf[best], solved)

    def predict(params: LinearParams, genomes: Array) -> tuple[Array, Array]:
        matrix = features(params.choice, genomes)
        variance = jnp.sum(jnp.square(matrix @ params.root.T), axis=1) + predicts_noise * params.noise
        return matrix @ params.weights, jnp.sqrt(variance + 1e-10)

    def covariance(params: LinearParams, genomes: Array) -> Array:
        half = features(params.choice, genomes) @ params.root.T
        return half @ half.T + predicts_noise * params.noise * jnp.eye(genomes.shape[0])

    return Surrogate(init, fit, predict, covariance)
