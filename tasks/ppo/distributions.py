"""How a policy's outputs become actions: a categorical or a diagonal normal distribution.

Both sample from noise that is drawn for a whole rollout at once; without noise the action is greedy.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.tasks.ppo.environments import Environment


class Distribution(NamedTuple):
    """A family of distributions over actions, given by a policy's outputs f32[O, ...].

    Attributes:
        num_means: how many outputs depend on the observation.
        num_log_stds: how many further outputs are parameters of their own (the logarithms of standard deviations).
        noise: ``noise(key, shape) -> f32[*shape]``, what ``sample`` takes.
        sample: ``sample(outputs, noise f32[num_means, ...]) -> f32[action_size, ...]``; the mode where ``noise`` is 0.
        action_size: how many numbers an action is.
        to_environment: one action f32[action_size] as the environment takes it.
        log_prob: ``log_prob(outputs, actions f32[action_size, ...]) -> f32[...]``.
        entropy: ``entropy(outputs) -> f32[...]``.
    """

    num_means: int
    num_log_stds: int
    noise: Callable[[Array, tuple[int, ...]], Array]
    sample: Callable[[Array, Array | float], Array]
    action_size: int
    to_environment: Callable[[Array], Array]
    log_prob: Callable[[Array, Array], Array]
    entropy: Callable[[Array], Array]


def of(environment: Environment) -> Distribution:
    """The distribution that the environment's actions call for."""
    if environment.num_actions:
        return categorical(environment.num_actions)
    return normal(environment.action_low, environment.action_high)


def categorical(num_actions: int) -> Distribution:
    """One of ``num_actions``; outputs are logits, the noise is Gumbel's (the greatest sum is a sample)."""

    def sample(logits: Array, noise: Array | float) -> Array:
        return jnp.argmax(logits + noise, axis=0, keepdims=True).astype(jnp.float32)

    def log_prob(logits: Array, actions: Array) -> Array:
        numbers = jnp.arange(num_actions, dtype=jnp.float32)
        chosen = actions == numbers.reshape(-1, *[1] * (logits.ndim - 1))
        return jnp.sum(jnp.where(chosen, jax.nn.log_softmax(logits, axis=0), 0.0), axis=0)

    def entropy(logits: Array) -> Array:
        log_probs = jax.nn.log_softmax(logits, axis=0)
        return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=0)

    return Distribution(
        num_means=num_actions,
        num_log_stds=0,
        noise=jax.random.gumbel,
        sample=sample,
        action_size=1,
        to_environment=lambda action: action[0].astype(jnp.int32),
        log_prob=log_prob,
        entropy=entropy,
    )


def normal(low: tuple[float, ...], high: tuple[float, ...]) -> Distribution:
    """A vector in ``[low, high]``, each component normal; outputs are means, then logarithms of standard deviations.

    An action is in units of half the range about its middle, and clipped only on its way to the environment.
    """
    size = len(low)
    middle = jnp.array([(a + b) / 2 for a, b in zip(low, high, strict=True)])
    half = jnp.array([(b - a) / 2 for a, b in zip(low, high, strict=True)])

    def sample(outputs: Array, noise: Array | float) -> Array:
        return outputs[:size] + jnp.exp(outputs[size:]) * noise

    def log_prob(outputs: Array, actions: Array) -> Array:
        log_stds = outputs[size:]
        scaled = (actions - outputs[:size]) * jnp.exp(-log_stds)
        return -jnp.sum(0.5 * scaled**2 + log_stds + 0.5 * math.log(2 * math.pi), axis=0)

    return Distribution(
        num_means=size,
        num_log_stds=size,
        noise=jax.random.normal,
        sample=sample,
        action_size=size,
        to_environment=lambda action: middle + half * jnp.clip(action, -1.0, 1.0),
        log_prob=log_prob,
        entropy=lambda outputs: jnp.sum(outputs[size:] + 0.5 * math.log(2 * math.pi * math.e), axis=0),
    )
