"""What the tasks share that train a classifier: its images, its minibatches, its curves and its scores."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxga import in_batches
from jaxga.tasks.data import ImageData

NUM_CLASSES = 10
# The most parts of a training, and the most validation images that a part's accuracy is computed from.
MAX_PARTS = 10
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


class Training(NamedTuple):
    """What a training carries from part to part.

    Attributes:
        params: the weights.
        state: of the optimizer.
        training_loss: f32[T], the mean loss of the minibatches in each of the T parts; 0 in those to come.
        validation_accuracy: f32[T], likewise, at the end of each part, on the first few hundred validation images.
    """

    params: Any
    state: Any
    training_loss: Array
    validation_accuracy: Array

    @property
    def curves(self) -> dict[str, Array]:
        """The metrics of an evaluation."""
        return {
            "training_loss_curve": self.training_loss,
            "validation_accuracy_curve": self.validation_accuracy,
        }


def part_size(num_steps: int) -> int:
    """Minibatches of one part: of at most ten equal parts, of which the last may be shorter."""
    return -(-num_steps // MAX_PARTS)


def start(params: Any, optimizer: optax.GradientTransformation, num_parts: int) -> Training:
    """The training before its first minibatch."""
    return Training(params, optimizer.init(params), jnp.zeros(num_parts), jnp.zeros(num_parts))


def fit_part(
    key: Array,
    training: Training,
    part: Array,
    optimizer: optax.GradientTransformation,
    loss: Callable[[Any, Images, Array], Array],
    accuracy: Callable[[Any], Array],
    split: Images,
    *,
    num_steps: int,
    batch_size: int,
) -> Training:
    """The training after one more part, on minibatches that are drawn with replacement.

    Args:
        key: of this part.
        training: as the part before left it.
        part: i32[], the number of the part.
        optimizer: what turns gradients into updates.
        loss: of the weights, a minibatch and a key.
        accuracy: of the weights, for the curve.
        split: what is trained on.
        num_steps: the number of minibatches of the whole training.
        batch_size: images in each.
    """
    size = part_size(num_steps)
    key_batch, key_loss = jax.random.split(key)
    rows = jax.random.randint(key_batch, (size, batch_size), 0, len(split.labels))

    def descend(weights: tuple[Any, Any], i: Array, rows: Array) -> tuple[tuple[Any, Any], Array]:
        params, state = weights
        batch = Images(split.images[rows], split.labels[rows])
        value, gradient = jax.value_and_grad(loss)(params, batch, jax.random.fold_in(key_loss, i))
        updates, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), value

    def step(weights: tuple[Any, Any], xs: tuple[Array, Array]) -> tuple[tuple[Any, Any], Array]:
        if num_steps % size == 0:
            return descend(weights, *xs)
        is_over = part * size + xs[0] >= num_steps
        return jax.lax.cond(is_over, lambda weights, *_: (weights, jnp.zeros(())), descend, weights, *xs)

    (params, state), losses = jax.lax.scan(step, (training.params, training.state), (jnp.arange(size), rows))
    mean_loss = losses.sum() / jnp.minimum(size, num_steps - part * size)
    return Training(
        params,
        state,
        training.training_loss.at[part].set(mean_loss),
        training.validation_accuracy.at[part].set(accuracy(params)),
    )


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
