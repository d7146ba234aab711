"""The update: the clipped losses of PPO, Adam, and epochs of shuffled minibatches.

Sources: Schulman et al., "Proximal Policy Optimization Algorithms", 2017; Huang et al., "The 37
Implementation Details of Proximal Policy Optimization", 2022; Kingma and Ba, "Adam", 2015.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.tasks.ppo.distributions import Distribution
from jaxga.tasks.ppo.hyperparameters import Hyperparameters


class Batch(NamedTuple):
    """What the losses are taken over, one row for each step.

    Attributes:
        observation: f32[N, ...].
        action: f32[N, action_size].
        log_prob: f32[N], of the action under the policy that took it.
        value: f32[N], as the critic saw it then.
        advantage: f32[N].
        target: f32[N], what the critic learns.
    """

    observation: Array
    action: Array
    log_prob: Array
    value: Array
    advantage: Array
    target: Array


class Adam(NamedTuple):
    """Parameters as one vector f32[W], with Adam's moments and the number of steps taken."""

    params: Array
    mean: Array
    square: Array
    num_steps: Array

    @classmethod
    def of(cls, params: Array) -> "Adam":
        return cls(params, jnp.zeros_like(params), jnp.zeros_like(params), jnp.zeros(()))

    def step(self, gradient: Array, learning_rate: Array | float, max_grad_norm: Array | float) -> "Adam":
        """One step down a gradient f32[W], whose norm is first clipped to ``max_grad_norm``."""
        norm = jnp.sqrt(jnp.sum(gradient**2))
        gradient = gradient * jnp.minimum(1.0, max_grad_norm / (norm + 1e-6))
        num_steps = self.num_steps + 1
        mean = 0.9 * self.mean + 0.1 * gradient
        square = 0.999 * self.square + 0.001 * gradient**2
        rate = learning_rate / (1 - 0.9**num_steps)
        scale = jax.lax.rsqrt(1 - 0.999**num_steps)
        # The epsilon of 1e-5, not Adam's 1e-8, is one of the 37 details.
        return Adam(self.params - rate * mean / (jnp.sqrt(square) * scale + 1e-5), mean, square, num_steps)


def policy_loss(log_prob: Array, old_log_prob: Array, advantage: Array, clip_range: Array | float) -> Array:
    """The clipped surrogate, f32[N] each to its mean f32[]."""
    ratio = jnp.exp(log_prob - old_log_prob)
    clipped = jnp.clip(ratio, 1 - clip_range, 1 + clip_range)
    return -jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage))


def value_loss(value: Array, old_value: Array, target: Array, clip_range: Array | float | None) -> Array:
    """Half the mean squared error; with a ``clip_range`` the worse of that of the value and of the clipped value."""
    error = (value - target) ** 2
    if clip_range is not None:
        clipped = old_value + jnp.clip(value - old_value, -clip_range, clip_range)
        error = jnp.maximum(error, (clipped - target) ** 2)
    return 0.5 * jnp.mean(error)


def loss(
    apply: Callable[[Array], tuple[Array, Array]], distribution: Distribution, batch: Batch, hyper: Hyperparameters
) -> Array:
    """PPO's loss of the networks that ``apply`` runs: policy, value, entropy."""
    outputs, value = apply(batch.observation)
    log_prob = distribution.log_prob(outputs, batch.action.T)
    return (
        policy_loss(log_prob, batch.log_prob, batch.advantage, hyper.clip_range)
        + hyper.value_coefficient * value_loss(value, batch.value, batch.target, hyper.value_clip_range)
        - hyper.entropy_coefficient * jnp.mean(distribution.entropy(outputs))
    )


def normalize_advantages(advantage: Array, num_accumulated: Array | int) -> Array:
    """Advantages f32[epochs, B, M] standardised within each group of ``num_accumulated`` of the B parts.

    A group is one true minibatch, so the moments are its own.
    """
    group = jnp.arange(advantage.shape[1]) // num_accumulated
    share = (group[:, None] == group) / num_accumulated
    centred = advantage - (advantage.mean(-1) @ share)[..., None]
    variance = (centred**2).mean(-1) @ share
    return centred / (jnp.sqrt(variance) + 1e-8)[..., None]


def shuffle(key: Array, batch: Batch, num_epochs: int, num_parts: int) -> Batch:
    """``num_epochs`` permutations of the rows, each in ``num_parts`` parts: arrays [epochs, parts, rows, ...]."""
    size = batch.advantage.shape[0]
    columns = [leaf.reshape(size, -1) for leaf in batch]
    rows = jnp.concatenate(columns, axis=1)  # one gather, not one for each array
    # Random high bits over the row's number in the low ones: sorting one array is several times cheaper
    # than sorting one by another, and no two are equal.
    low_bits = jnp.uint32(2 ** (size - 1).bit_length() - 1)
    tickets = (jax.random.bits(key, (num_epochs, size)) & ~low_bits) | jnp.arange(size, dtype=jnp.uint32)
    order = jnp.sort(tickets, axis=-1, stable=False) & low_bits
    rows = rows.at[order].get(mode="promise_in_bounds", unique_indices=True)
    ends = [sum(column.shape[1] for column in columns[: i + 1]) for i in range(len(columns) - 1)]
    parts = (num_epochs, num_parts, size // num_parts)
    split = jnp.split(rows, ends, axis=-1)
    return Batch(*[new.reshape(*parts, *old.shape[1:]) for new, old in zip(split, batch, strict=True)])


def update(
    adam: Adam,
    gradient: Callable[[Array, Batch], Array],
    batch: Batch,
    learning_rate: Array | float,
    hyper: Hyperparameters,
) -> Adam:
    """Adam's steps over a shuffled batch, arrays [epochs, parts, rows, ...].

    Where ``hyper.minibatch_size`` is given, the gradients of so many parts as make one minibatch are
    averaged before Adam takes its step. This gives the gradient of the minibatch itself, at the cost
    of the smallest size for every size: Adam's arithmetic is done, and masked, at every part.
    """
    rows = batch.advantage.shape[-1]
    num_accumulated = 1 if hyper.minibatch_size is None else hyper.minibatch_size // rows
    normalized = normalize_advantages(batch.advantage, num_accumulated)
    batch = batch._replace(advantage=jnp.where(hyper.normalize_advantage, normalized, batch.advantage))
    parts = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batch)

    def one_step(adam: Adam, part: Batch) -> tuple[Adam, None]:
        return adam.step(gradient(adam.params, part), learning_rate, hyper.max_grad_norm), None

    def one_part(carry: tuple[Adam, Array], indexed: tuple[Array, Batch]) -> tuple[tuple[Adam, Array], None]:
        adam, total = carry
        index, part = indexed
        total = total + gradient(adam.params, part) / num_accumulated
        is_full = (index + 1) % num_accumulated == 0
        stepped = adam.step(total, learning_rate, hyper.max_grad_norm)
        adam = jax.tree.map(lambda new, old: jnp.where(is_full, new, old), stepped, adam)
        return (adam, jnp.where(is_full, 0.0, total)), None

    if hyper.minibatch_size is None:
        return jax.lax.scan(one_step, adam, parts)[0]
    indexed = (jnp.arange(parts.advantage.shape[0]), parts)
    return jax.lax.scan(one_part, (adam, jnp.zeros_like(adam.params)), indexed)[0][0]
