"""Actor and critic: two equal networks held as one, with a leading axis of 2 on every weight.

So every layer of both is one batched product. Observations of rank 3 (the MinAtar games) pass
through a 3x3 convolution first.

Source: the initialisation is that of Huang et al., "The 37 Implementation Details of Proximal
Policy Optimization", 2022.
"""

import math
from typing import Any

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
    return params | {
        "first": _pair(key_first, num_features, hidden_size),
        "first_bias": jnp.zeros((2, hidden_size)),
        "second": _pair(key_second, hidden_size, hidden_size),
        "second_bias": jnp.zeros((2, hidden_size)),
        "policy": orthogonal(0.01)(key_policy, (hidden_size, num_means)),
        "policy_bias": jnp.zeros(num_means),
        "log_stds": jnp.zeros(num_log_stds),
        "value": orthogonal(1.0)(key_value, (hidden_size, 1)),
        "value_bias": jnp.zeros(1),
    }


def policy_and_value(params: Params, observations: Array) -> tuple[Array, Array]:
    """Observations f32[N, ...] to the policy's outputs f32[N, A] and values f32[N]."""
    actor, critic = jax.vmap(_tower, in_axes=(0, None))(_towers(params), observations)
    return _outputs(params, actor), _value(params, critic)


def actor_of(params: Params) -> Params:
    """The actor's half of the weights: taken once before a rollout, which needs no value."""
    heads = {name: params[name] for name in ("policy", "policy_bias", "log_stds")}
    return jax.tree.map(lambda leaf: leaf[0], _towers(params)) | heads


def policy(actor: Params, observations: Array) -> Array:
    """Observations f32[N, ...] to the policy's outputs f32[N, A]."""
    return _outputs(actor, _tower(actor, observations))


def value(params: Params, observations: Array) -> Array:
    """Observations f32[N, ...] to values f32[N], by the critic alone."""
    return _value(params, _tower(jax.tree.map(lambda leaf: leaf[1], _towers(params)), observations))


def _value(params: Params, hidden: Array) -> Array:
    return (product(hidden, params["value"]) + params["value_bias"])[:, 0]


def _outputs(params: Params, hidden: Array) -> Array:
    means = product(hidden, params["policy"]) + params["policy_bias"]
    log_stds = jnp.broadcast_to(params["log_stds"], (*means.shape[:-1], params["log_stds"].size))
    return jnp.concatenate([means, log_stds], axis=-1)


def _pair(key: Array, num_inputs: int, num_outputs: int) -> Array:
    keys = jax.random.split(key)
    return jax.vmap(lambda k: jax.nn.initializers.orthogonal(math.sqrt(2))(k, (num_inputs, num_outputs)))(keys)


def _towers(params: Params) -> Params:
    names = ("filters", "filters_bias", "first", "first_bias", "second", "second_bias")
    return {name: params[name] for name in names if name in params}


def _tower(tower: Params, observations: Array) -> Array:
    features = observations
    if "filters" in tower:
        filtered = jax.nn.relu(_patches(observations) @ tower["filters"] + tower["filters_bias"])
        features = filtered.reshape(filtered.shape[0], -1)
    hidden = tanh(product(features, tower["first"]) + tower["first_bias"])
    return tanh(product(hidden, tower["second"]) + tower["second_bias"])


@jax.custom_jvp
def tanh(x: Array) -> Array:
    """The hyperbolic tangent to within 1e-4: Lambert's continued fraction, cut off where it reaches 1.

    XLA's own, exact to float32, takes twice the time, and there are 1,280 to a step of training.
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
def product(rows: Array, weights: Array) -> Array:
    """``rows @ weights``, f32[N, I] and f32[I, O]; what has a short inner size is fused with what follows it.

    Few features make the first layer such a product, and few actions the gradient through the heads.
    """
    return _product(rows, weights)


def _product(rows: Array, weights: Array) -> Array:
    if weights.shape[0] > 8:
        return rows @ weights
    return sum((rows[:, i, None] * weights[i] for i in range(1, weights.shape[0])), rows[:, :1] * weights[0])


def _product_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    rows, weights = saved
    return _product(gradient, weights.T), rows.T @ gradient


product.defvjp(lambda rows, weights: (_product(rows, weights), (rows, weights)), _product_backward)


def _patches(images: Array) -> Array:
    """Images f32[N, H, W, C] to their 3x3 patches f32[N, H-2, W-2, 9C].

    A convolution whose weights differ from member to member is slow; a product of patches is not.
    """
    height, width = images.shape[1] - 2, images.shape[2] - 2
    return jnp.concatenate([images[:, i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=-1)
