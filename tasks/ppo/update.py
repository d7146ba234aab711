"""The update: the clipped losses of PPO, steps of Adam, and epochs of shuffled minibatches.

Sources: Schulman et al., "Proximal Policy Optimization Algorithms", 2017; Huang et al., "The 37
Implementation Details of Proximal Policy Optimization", 2022; Kingma and Ba, "Adam", 2015.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxga.tasks.ppo.distributions import Distribution
from jaxga.tasks.ppo.hyperparameters import Hyperparameters


class Batch(NamedTuple):
    """The data of the losses, one row for each step of an environment.

    Attributes:
        observation: f32[N, ...].
        action: f32[N, action_size].
        log_prob: f32[N], of the action under the policy that chose it.
        value: f32[N], the critic's estimate before the update.
        advantage: f32[N].
        target: f32[N], the value that the critic is trained to give.
    """

    observation: Array
    action: Array
    log_prob: Array
    value: Array
    advantage: Array
    target: Array


class Adam(NamedTuple):
    """Parameters as one vector f32[W], and the state of their optimiser."""

    params: Array
    state: optax.OptState

    @classmethod
    def of(cls, params: Array) -> "Adam":
        return cls(params, _optimizer(1.0, 1.0).init(params))

    def step(self, gradient: Array, learning_rate: Array | float, max_grad_norm: Array | float) -> "Adam":
        """One step down a gradient f32[W], which is first scaled down to a norm of at most ``max_grad_norm``."""
        move, state = _optimizer(learning_rate, max_grad_norm).update(gradient, self.state)
        return Adam(self.params + jnp.asarray(move), state)


def _optimizer(learning_rate: Array | float, max_grad_norm: Array | float) -> optax.GradientTransformation:
    """Built for each step from traced numbers; its state does not depend on them."""
    # The epsilon of 1e-5 instead of Adam's 1e-8 is one of the 37 details.
    return optax.chain(optax.clip_by_global_norm(max_grad_norm), optax.adam(learning_rate, eps=1e-5))


def policy_loss(log_prob: Array, old_log_prob: Array, advantage: Array, clip_range: Array | float) -> Array:
    """The clipped surrogate loss f32[], a mean over the arrays f32[N]."""
    ratio = jnp.exp(log_prob - old_log_prob)
    clipped = jnp.clip(ratio, 1 - clip_range, 1 + clip_range)
    return -jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage))


def value_loss(value: Array, old_value: Array, target: Array, clip_range: Array | float | None) -> Array:
    """Half the mean squared error of the value; with ``clip_range`` the greater of it and that of the clipped value."""
    error = (value - target) ** 2
    if clip_range is not None:
        clipped = old_value + jnp.clip(value - old_value, -clip_range, clip_range)
        error = jnp.maximum(error, (clipped - target) ** 2)
    return 0.5 * jnp.mean(error)


def loss(
    apply: Callable[[Array], tuple[Array, Array]], distribution: Distribution, batch: Batch, hyper: Hyperparameters
) -> Array:
    """The loss of PPO, of policy, value and entropy; ``apply`` gives the outputs of both networks."""
    outputs, value = apply(batch.observation)
    log_prob = distribution.log_prob(outputs, batch.action.T)
    return (
        policy_loss(log_prob, batch.log_prob, batch.advantage, hyper.clip_range)
        + hyper.value_coefficient * value_loss(value, batch.value, batch.target, hyper.value_clip_range)
        - hyper.entropy_coefficient * jnp.mean(distribution.entropy(outputs))
    )


def normalize_advantages(advantage: Array, num_accumulated: Array | int) -> Array:
    """Advantages f32[epochs, B, M] standardised within each group of ``num_accumulated`` of the B parts.

    A group is one minibatch of the setting: mean and variance are taken over the whole minibatch.
    """
    group = jnp.arange(advantage.shape[1]) // num_accumulated
    share = (group[:, None] == group[None]) / num_accumulated
    centred = advantage - (advantage.mean(-1) @ share)[..., None]
    variance = (centred**2).mean(-1) @ share
    return centred / (jnp.sqrt(variance) + 1e-8)[..., None]


def shuffle(key: Array, batch: Batch, num_epochs: int, num_parts: int) -> Batch:
    """``num_epochs`` permutations of the rows, each in ``num_parts`` parts: arrays [epochs, parts, rows, ...]."""
    size = batch.advantage.shape[0]
    columns = [leaf.reshape(size, -1) for leaf in batch]
    rows = jnp.concatenate(columns, axis=1)  # one gather, not one for each array
    # The high bits are random, the low bits are the number of the row. To sort one such array is several times cheaper
    # than to sort the rows by random numbers, and no two entries are equal.
    low_bits = jnp.uint32(2 ** (size - 1).bit_length() - 1)
    tickets = (jax.random.bits(key, (num_epochs, size)) & ~low_bits) | jnp.arange(size, dtype=jnp.uint32)[None]
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
    """The steps of Adam over a shuffled batch, arrays [epochs, parts, rows, ...].

    If ``hyper.minibatch_size`` is given, the gradients of as many parts as make one minibatch are averaged before each
    step. The result is the gradient of the minibatch. Every size costs as much as the smallest one, because Adam's
    arithmetic is done, and masked, at every part.
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
