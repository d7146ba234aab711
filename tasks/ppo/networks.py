"""Actor and critic: two equal networks held as one, with a leading axis of 2 on every weight.

So every layer of both is one batched product. Observations of rank 3 (the MinAtar games) pass
through a 3x3 convolution first.

Source: the initialisation is that of Huang et al., "The 37 Implementation Details of Proximal
Policy Optimization", 2022.
"""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

Params = dict[str, Any]

_NUM_FILTERS = 16  # as in Young and Tian, "MinAtar", 2019


def init(key: Array, observation_shape: tuple[int, ...], num_means: int, num_log_stds: int, hidden_size: int) -> Params:
    """Orthogonal weights (gain sqrt(2) inside, 0.01 on the policy, 1 on the value), all else zero."""
    key_filters, key_first, key_second, key_policy, key_value = jax.random.split(key, 5)
    params: Params = {}
    num_features = math.prod(observation_shape)
    if len(observation_shape) == 3:
        height, width, channels = observation_shape
        params["filters"] = _pair(key_filters, 9 * channels, _NUM_FILTERS)
        params["filters_bias"] = jnp.zeros((2, _NUM_FILTERS))
        num_features = (height - 2) * (width - 2) * _NUM_FILTERS
    orthogonal = jax.nn.initializers.orthogonal
    # The critic's head is as wide as the actor's, so that both are one product; only its first row is used.
    weights = jnp.zeros((2, num_means, hidden_size))
    weights = weights.at[0].set(orthogonal(0.01)(key_policy, (num_means, hidden_size)))
    weights = weights.at[1, 0].set(orthogonal(1.0)(key_value, (1, hidden_size))[0])
    return params | {
        "first": _pair(key_first, num_features, hidden_size),
        "first_bias": jnp.zeros((2, hidden_size)),
        "second": _pair(key_second, hidden_size, hidden_size),
        "second_bias": jnp.zeros((2, hidden_size)),
        "heads": weights,
        "heads_bias": jnp.zeros((2, num_means)),
        "log_stds": jnp.zeros(num_log_stds),
    }


def policy_and_value(params: Params, observations: Array) -> tuple[Array, Array]:
    """Observations f32[N, ...] to the policy's outputs f32[O, N] and values f32[N]."""
    outputs = _towers(params, observations)
    return _with_log_stds(params, outputs[0]), outputs[1, 0]


def policy(actor: Params, observations: Array) -> Array:
    """Observations f32[N, ...] to the policy's outputs f32[O, N], by the :func:`half` that is the actor."""
    return _with_log_stds(actor, _towers(actor, observations)[0])


def value(critic: Params, observations: Array) -> Array:
    """Observations f32[N, ...] to values f32[N], by the :func:`half` that is the critic."""
    return _towers(critic, observations)[0, 0]


def half(params: Params, which: Literal["actor", "critic"]) -> Params:
    """One of the two networks: the actor for a rollout, which needs no value, or the critic, to bootstrap."""
    index = ("actor", "critic").index(which)
    return {name: leaf if name == "log_stds" else leaf[index : index + 1] for name, leaf in params.items()}


def _with_log_stds(params: Params, means: Array) -> Array:
    log_stds = params["log_stds"][:, None]
    return jnp.concatenate([means, jnp.broadcast_to(log_stds, (log_stds.shape[0], means.shape[1]))])


def _pair(key: Array, num_inputs: int, num_outputs: int) -> Array:
    keys = jax.random.split(key)
    return jax.vmap(lambda k: jax.nn.initializers.orthogonal(math.sqrt(2))(k, (num_inputs, num_outputs)))(keys)


def _towers(params: Params, observations: Array) -> Array:
    """Observations f32[N, ...] to the outputs f32[H, num_means, N] of the H networks in ``params``."""
    features = observations
    if "filters" in params:
        features = _patches(observations)
        features = jnp.broadcast_to(features, (params["filters"].shape[0], *features.shape))
        filtered = jax.vmap(jnp.matmul)(features, params["filters"]) + params["filters_bias"][:, None, None, None]
        features = jax.nn.relu(filtered).reshape(*filtered.shape[:2], -1)
    else:
        features = jnp.broadcast_to(features, (params["first"].shape[0], *features.shape))
    hidden = tanh(features @ params["first"] + params["first_bias"][:, None])
    hidden = tanh(hidden @ params["second"] + params["second_bias"][:, None])
    return heads(hidden, params["heads"]) + params["heads_bias"][:, :, None]


@jax.custom_jvp
def tanh(x: Array) -> Array:
    """The hyperbolic tangent to within 1e-4: Lambert's continued fraction, cut off where it reaches 1.

    XLA's function, exact in float32, takes twice the time, and a step of training calls it 1,280 times.
    """
    x = jnp.clip(x, -4.97, 4.97)
    square = x * x
    above = x * (135135.0 + square * (17325.0 + square * (378.0 + square)))
    return above / (135135.0 + square * (62370.0 + square * (3150.0 + square * 28.0)))


@tanh.defjvp
def _tanh_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    y = tanh(*primals)
    return y, (1.0 - y * y) * tangents[0]


@jax.custom_vjp
def heads(hidden: Array, weights: Array) -> Array:
    """Hidden layers f32[H, N, K] through weights f32[H, O, K] to outputs f32[H, O, N].

    The rows are the last axis: the losses then run along the long axis, and the gradient of the weights is a plain
    matrix product. The product for the gradient of the hidden layer has a short inner axis. It is written out as a
    sum, so that XLA fuses it with the derivative of the activation.
    """
    return jnp.einsum("hnk,hok->hon", hidden, weights)


def _heads_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    hidden, weights = saved
    terms = [gradient[:, i, :, None] * weights[:, i, None] for i in range(weights.shape[1])]
    return sum(terms[1:], terms[0]), gradient @ hidden


heads.defvjp(lambda hidden, weights: (heads(hidden, weights), (hidden, weights)), _heads_backward)


def _patches(images: Array) -> Array:
    """Images f32[N, H, W, C] to their 3x3 patches f32[N, H-2, W-2, 9C].

    A convolution with other weights for each member is slow; a matrix product with patches is not.
    """
    height, width = images.shape[1] - 2, images.shape[2] - 2
    return jnp.concatenate([images[:, i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=-1)
