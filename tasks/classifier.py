"""What the tasks share that train a classifier: its images, its minibatches, its curves and its scores."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxga import in_batches
from jaxga.tasks.data import ImageData

NUM_CLASSES = 10
# The most points of a curve, and the most validation images that a point is computed from.
NUM_CURVE_POINTS = 10
NUM_CURVE_IMAGES = 256


class Images(NamedTuple):
    """One split: ``images`` u8[N, ...] or signals f32[N, ...], ``labels`` i32[N]."""

    images: Array
    labels: Array


def splits_of(data: ImageData) -> tuple[Images, Images, Images]:
    """Training, validation and test split, as arrays of JAX."""
    names = ("train", "validation", "test")
    pairs = [(getattr(data, f"{name}_images"), getattr(data, f"{name}_labels")) for name in names]
    train, validation, test = (Images(jnp.asarray(images), jnp.asarray(labels)) for images, labels in pairs)
    return train, validation, test


def as_float(images: Array) -> Array:
    """f32 of the same shape: bytes become numbers from 0 to 1, signals stay."""
    return images if images.dtype == jnp.float32 else images.astype(jnp.float32) / 255.0


def fit(
    key: Array,
    params: Any,
    optimizer: optax.GradientTransformation,
    loss: Callable[[Any, Images, Array], Array],
    accuracy: Callable[[Any], Array],
    split: Images,
    *,
    num_steps: int,
    batch_size: int,
) -> tuple[Any, dict[str, Array]]:
    """Train on minibatches that are drawn with replacement.

    Args:
        key: of the minibatches.
        params: the initial weights.
        optimizer: what turns gradients into updates.
        loss: of the weights, a minibatch and the step's number i32[].
        accuracy: of the weights, for the curve.
        split: what is trained on.
        num_steps: the number of minibatches.
        batch_size: images in each.

    Returns:
        The weights; ``training_loss_curve`` f32[T], the mean loss of the minibatches in each of T equal parts of the
        training, and ``validation_accuracy_curve`` f32[T], the accuracy at the end of each part.
    """
    num_points = min(NUM_CURVE_POINTS, num_steps)
    part = np.arange(num_steps) * num_points // num_steps
    ends = np.flatnonzero(np.append(np.diff(part), 1))

    def step(carry: Any, xs: Any) -> tuple[Any, Any]:
        params, state = carry
        i, is_end, rows = xs
        batch = Images(split.images[rows], split.labels[rows])
        value, gradient = jax.value_and_grad(loss)(params, batch, i)
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        # The condition is not batched, so that under vmap the accuracy is still computed only where it is true.
        correct = jax.lax.cond(is_end, lambda: accuracy(params), lambda: jnp.zeros(()))
        return (params, state), (value, correct)

    rows = jax.random.randint(key, (num_steps, batch_size), 0, len(split.labels))
    steps = np.arange(num_steps)
    (params, _), (losses, accuracies) = jax.lax.scan(
        step, (params, optimizer.init(params)), (steps, np.isin(steps, ends), rows)
    )
    sums = jax.ops.segment_sum(losses, part, num_points)
    return params, {"training_loss_curve": sums / np.bincount(part), "validation_accuracy_curve": accuracies[ends]}


def score(logits: Callable[[Array], Array], split: Images, batch_size: int) -> tuple[Array, Array]:
    """Mean cross-entropy f32[] and accuracy f32[] of ``logits(images)`` f32[N, 10] on a split, in batches."""

    def score_batch(batch: Images) -> tuple[Array, Array]:
        given = logits(batch.images)
        loss = optax.softmax_cross_entropy_with_integer_labels(given, batch.labels)
        return loss, jnp.argmax(given, axis=-1) == batch.labels

    loss, is_right = in_batches(score_batch, split, batch_size)
    return jnp.mean(loss), jnp.mean(is_right)


def dropout_mask(key: Array, dropout_rate: Array, shape: tuple[int, ...]) -> Array:
    """f32 of the given shape: 0 with probability ``dropout_rate`` in ``[0, 1)``, else ``1 / (1 - dropout_rate)``.

    Source: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
    """
    return jax.random.bernoulli(key, 1.0 - dropout_rate, shape) / (1.0 - dropout_rate)
