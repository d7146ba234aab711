"""A network of one hidden layer that learns handwritten digits by SGD with momentum."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array

from jaxga import (
    Evaluation,
    LogInteger,
    LogUniform,
    Objective,
    SearchSpace,
    Trainable,
    Uniform,
    run_defaults,
    single_precision,
)
from jaxga.checks import check_count
from jaxga.tasks.classifier import (
    NUM_CLASSES,
    NUM_CURVE_IMAGES,
    Images,
    Training,
    as_float,
    dropout_mask,
    fit_part,
    part_size,
    score,
    splits_of,
    start,
)
from jaxga.tasks.data import Dataset, ImageData, load_images
from jaxga.tasks.products import PRECISIONS, Precision, dense_product
from jaxga.text import check_choice

# Images that are scored side by side: their hidden units fit the cache of a CPU core.
SCORE_BATCH_SIZE = 500
# The narrowest network that the "full" search tries.
MIN_HIDDEN_SIZE = 8

# The values of the hyperparameters that are not searched.
FIXED = {"weight_decay": 0.0, "label_smoothing": 0.0, "dropout_rate": 0.0, "learning_rate_decay": 1.0}


class Network(nn.Module):
    """pixels - H - 10 with ReLU; ``mask`` multiplies the hidden units (dropout), 1 where there is none."""

    hidden_size: int
    precision: Precision = "float32"

    @nn.compact
    def __call__(self, images: Array, mask: Array | float = 1.0) -> Array:
        product = dense_product(self.precision)
        hidden = nn.relu(nn.Dense(self.hidden_size, name="hidden", dot_general=product)(as_float(images))) * mask
        return nn.Dense(NUM_CLASSES, name="output", dot_general=product)(hidden)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["train_split", "validation_split", "test_split"],
    meta_fields=["space", "objective", "num_steps", "batch_size", "hidden_size", "precision", "data_source"],
)
@dataclass(frozen=True)
class Mnist(Trainable):
    """Trains one network for ``num_steps`` minibatches; the value is its validation loss. Built by :func:`mnist`.

    Attributes:
        train_split, validation_split, test_split: the images; only ``test`` uses the last.
        space: ``learning_rate`` and ``momentum``, and five more where the search is ``"full"``.
        objective: the validation loss (mean cross-entropy, nats), minimised.
        num_steps, batch_size: the number of minibatches, and of images in each, drawn with replacement.
        hidden_size: hidden units; the greatest width where the width is searched.
        precision: of the matrix products.
        data_source: which images, and where they came from.
    """

    train_split: Images
    validation_split: Images
    test_split: Images
    space: SearchSpace
    objective: Objective
    num_steps: int
    batch_size: int
    hidden_size: int
    precision: Precision
    data_source: str

    structure = ("hidden_size",)

    @property
    def num_parts(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Equal parts of the training; the last one may have fewer minibatches."""
        return -(-self.num_steps // part_size(self.num_steps))

    @single_precision
    def init(self, key: Array, setting: dict[str, Array]) -> Training:
        """New weights."""
        full = {**FIXED, **setting}
        return start(self._initial_params(key, full), sgd(full, self.num_steps), self.num_parts)

    @single_precision
    def advance(self, key: Array, carry: Training, setting: dict[str, Array], part: Array) -> Training:
        """One part of the minibatches."""
        full = {**FIXED, **setting}
        curve_split = jax.tree.map(lambda leaf: leaf[:NUM_CURVE_IMAGES], self.validation_split)
        return fit_part(
            key,
            carry,
            part,
            sgd(full, self.num_steps),
            lambda params, batch, key: self._training_loss(params, batch, full, key),
            lambda params: self._score(params, curve_split)[1],
            self.train_split,
            num_steps=self.num_steps,
            batch_size=self.batch_size,
        )

    @single_precision
    def score(self, key: Array, carry: Training, setting: dict[str, Array]) -> Evaluation:
        """Validate.

        Metrics: ``validation_accuracy`` f32[]; ``training_loss_curve`` f32[T], the mean loss of the minibatches
        in each of the T parts of the training; ``validation_accuracy_curve`` f32[T], at the end of each part,
        on the first few hundred validation images. A training that diverged has a value that is not finite.
        The model is the parameters of a :class:`Network`: ``Network(hidden_size).apply(model, images)`` gives logits.
        """
        del key, setting
        loss, accuracy = self._score(carry.params, self.validation_split)
        return Evaluation(loss, {"validation_accuracy": accuracy, **carry.curves}, carry.params)

    @single_precision
    def test(self, key: Array, setting: dict[str, Array]) -> Evaluation:
        """As ``evaluate``, and ``test_loss`` and ``test_accuracy`` f32[] of the same network as further metrics."""
        value, metrics, params = self.evaluate(key, setting)
        loss, accuracy = self._score(params, self.test_split)
        return Evaluation(value, {**metrics, "test_loss": loss, "test_accuracy": accuracy}, params)

    def _initial_params(self, key: Array, setting: dict[str, Any]) -> Any:
        params: Any = Network(self.hidden_size).init(key, self.train_split.images[:1])
        if "hidden_size" not in self.space.names:
            return params
        # A hidden unit with zero weights outputs zero, and ReLU's gradient at zero is zero: the weights stay zero, and
        # the network is truly narrower. The output weights are scaled for its true fan-in.
        active = jnp.arange(self.hidden_size) < setting["hidden_size"]
        hidden, output = params["params"]["hidden"], params["params"]["output"]
        scale = jnp.sqrt(self.hidden_size / setting["hidden_size"])
        hidden = {**hidden, "kernel": jnp.where(active[None, :], hidden["kernel"], 0.0)}
        output = {**output, "kernel": jnp.where(active[:, None], output["kernel"] * scale, 0.0)}
        return {"params": {"hidden": hidden, "output": output}}

    def _logits(self, params: Any, images: Array, mask: Array | float = 1.0) -> Any:
        return Network(self.hidden_size, self.precision).apply(params, images, mask)

    def _training_loss(self, params: Any, batch: Images, setting: dict[str, Any], key: Array) -> Array:
        mask: Array | float = 1.0
        if "dropout_rate" in self.space.names:
            mask = dropout_mask(key, setting["dropout_rate"], (self.batch_size, self.hidden_size))
        logits = self._logits(params, batch.images, mask)
        targets = optax.smooth_labels(jax.nn.one_hot(batch.labels, NUM_CLASSES), setting["label_smoothing"])
        return jnp.mean(optax.softmax_cross_entropy(logits, targets))

    def _score(self, params: Any, split: Images) -> tuple[Array, Array]:
        return score(lambda images: self._logits(params, images), split, SCORE_BATCH_SIZE)


def sgd(setting: dict[str, Any], num_steps: int) -> optax.GradientTransformation:
    """SGD with momentum, weight decay added to the gradient, and a learning rate that falls linearly.

    It falls from ``learning_rate`` to ``learning_rate * (1 - learning_rate_decay)`` over ``num_steps``.
    """

    def rate(count: Any) -> Array:
        return setting["learning_rate"] * (1.0 - setting["learning_rate_decay"] * count / num_steps)

    return optax.chain(
        optax.add_decayed_weights(setting["weight_decay"]), optax.sgd(rate, momentum=setting["momentum"])
    )


@run_defaults(population_size=10, num_generations=10)
def mnist(
    dataset: Dataset | ImageData = "mnist",
    *,
    data_dir: str | Path | None = None,
    search: Literal["default", "full"] = "default",
    num_steps: int = 300,
    batch_size: int = 128,
    hidden_size: int = 128,
    precision: Precision = "float32",
) -> Mnist:
    """The task "train a small network on images of ten classes".

    Args:
        dataset: a name, whose images :func:`jaxga.tasks.data.load_images` loads, or the images themselves.
        data_dir: the folder of the four IDX files; default: the environment variable ``JAXGA_DATA_DIR``, or where
            ``load_images`` finds the images.
        search: ``"default"`` searches ``learning_rate`` (1e-4 to 1, log) and ``momentum`` (0 to 0.99);
            ``"full"`` adds ``weight_decay``, ``label_smoothing``, ``dropout_rate``, ``learning_rate_decay``
            and ``hidden_size``, a mask within the maximum: every member costs as much as the widest one.
            Under ``"default"`` the learning rate falls linearly to zero, and the other four are off.
        num_steps: minibatches of one training, at least 1.
        batch_size: images in a minibatch, at least 1.
        hidden_size: hidden units, at least 1; the maximum, above 8, under ``"full"``.
        precision: of the matrix products of training and scoring: ``"float32"``, or ``"bfloat16"`` with float32 sums,
            for devices that compute it faster (see :func:`jaxga.tasks.products.dense_product`).

    Returns:
        The task; its data are pytree leaves, 47 MB of uint8 for MNIST.

    Raises:
        ValueError: an unknown search or precision, a number below its least value, or images that cannot be loaded.
    """
    check_choice("mnist: search", search, ("default", "full"))
    check_choice("mnist: precision", precision, PRECISIONS)
    least_width = 1 if search == "default" else MIN_HIDDEN_SIZE + 1
    for name, value, least in (
        ("num_steps", num_steps, 1),
        ("batch_size", batch_size, 1),
        ("hidden_size", hidden_size, least_width),
    ):
        check_count(f"mnist: {name}", value, least)
    if not isinstance(dataset, ImageData):
        dataset = load_images(dataset, data_dir)
    elif data_dir is not None:
        raise ValueError(f"mnist: data_dir is for a dataset that is given by name, got {data_dir!r} and images")
    dimensions: dict[str, Any] = {"learning_rate": LogUniform(1e-4, 1.0), "momentum": Uniform(0.0, 0.99)}
    if search == "full":
        dimensions |= {
            "weight_decay": LogUniform(1e-7, 1e-2),
            "label_smoothing": Uniform(0.0, 0.3),
            "dropout_rate": Uniform(0.0, 0.7),
            "learning_rate_decay": Uniform(0.0, 1.0),
            "hidden_size": LogInteger(MIN_HIDDEN_SIZE, hidden_size),
        }
    return Mnist(
        *splits_of(dataset),
        SearchSpace(dimensions),
        Objective("validation loss", "min"),
        num_steps,
        batch_size,
        hidden_size,
        precision,
        data_source=f"{dataset.name}: {dataset.source}",
    )
