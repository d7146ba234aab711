"""Convolutional networks of variable length for images and signals: structure and training are searched together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from jaxga import (
    Categorical,
    Evaluation,
    Integer,
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
from jaxga.tasks.products import PRECISIONS, Precision, convolution, dense_product
from jaxga.text import check_choice

# All give 0 for 0.
ACTIVATIONS = {"relu": nn.relu, "tanh": nn.tanh, "silu": nn.silu}
OPTIMIZERS = ("sgd", "adam")
# Pooling halves the image after each convolution until no side is longer, and before the first dense layer in any case.
GRID_SIZE = 4
# The narrowest layer of a search.
MIN_WIDTH = 4


class Network(nn.Module):
    """Convolutions, each with max pooling and an activation, then dense layers with dropout, then 10 logits.

    The sizes are those of the longest and widest network; which layers and what activation there are is traced.

    Attributes:
        num_conv_layers, num_dense_layers: the most layers of each kind, at least 1.
        num_filters, num_units: the width of every convolutional and of every dense layer.
        kernel_size: of every convolution, along each axis.
        precision: of the matrix products.
    """

    num_conv_layers: int
    num_dense_layers: int
    num_filters: int
    num_units: int
    kernel_size: int
    precision: Precision = "float32"

    @nn.compact
    def __call__(self, images: Array, setting: dict[str, Any], key_dropout: Array | None = None) -> Array:
        """Logits f32[N, 10] of ``images`` [N, ...]; ``setting`` has ``activation`` and the numbers of layers.

        ``key_dropout`` switches dropout on, with the setting's ``dropout_rate``.
        """
        x, window = as_float(images)[..., None], (self.kernel_size,) * (images.ndim - 1)
        product, convolve = dense_product(self.precision), convolution(self.precision)

        def activate(x: Array) -> Array:
            return lax.select_n(setting["activation"], *(activation(x) for activation in ACTIVATIONS.values()))

        for i in range(self.num_conv_layers):
            layer = nn.Conv(self.num_filters, window, conv_general_dilated=convolve, name=f"conv_{i + 1}")
            # In this order there is less to activate; ReLU and tanh commute with the maximum.
            convolved = activate(pooled(layer(x)))
            x = convolved if i == 0 else jnp.where(i < setting["num_conv_layers"], convolved, pooled(x))
        while max(x.shape[1:-1]) > GRID_SIZE:
            x = pooled(x)
        x = x.reshape(len(x), -1)
        sizes = [x.shape[1], *[self.num_units] * self.num_dense_layers]
        dropout: Sequence[Any] = [1.0] * len(sizes)
        if key_dropout is not None:
            mask = dropout_mask(key_dropout, setting["dropout_rate"], (len(x), sum(sizes)))
            dropout = jnp.split(mask, np.cumsum(sizes)[:-1], axis=1)
        x = x * dropout[0]
        for i in range(self.num_dense_layers):
            layer = nn.Dense(self.num_units, dot_general=product, name=f"dense_{i + 1}")
            connected = activate(layer(x)) * dropout[i + 1]
            x = connected if i == 0 else jnp.where(i < setting["num_dense_layers"], connected, x)
        return nn.Dense(NUM_CLASSES, dot_general=product, name="output")(x)


def pooled(x: Array) -> Array:
    """Max pooling of x f32[N, ..., C] by 2 along each axis, or x where no axis is longer than ``GRID_SIZE``."""
    if max(x.shape[1:-1]) <= GRID_SIZE:
        return x
    for axis in range(1, x.ndim - 1):
        if x.shape[axis] % 2:
            x = jnp.pad(x, [(0, int(a == axis)) for a in range(x.ndim)], constant_values=-jnp.inf)
        # Two strided halves: on a CPU a third less time than `lax.reduce_window` and its gradient.
        x = jnp.maximum(*(lax.slice_in_dim(x, start, None, 2, axis) for start in (0, 1)))
    return x


def existing_weights(network: Network, params: Any, setting: dict[str, Any]) -> Any:
    """1 for each weight that the network of this setting has, else 0; a pytree as ``params``.

    A layer has inputs from the units that exist before it, the taps of its kernel size, and as many outputs as its
    width; a skipped layer has none of them.
    """
    layers: Any = params["params"]
    masks, inputs = {}, jnp.ones(1)

    def mask_of(name: str, taps: Sequence[Array], inputs: Array, outputs: Array) -> None:
        masks[name] = {"kernel": reduce(jnp.multiply.outer, [*taps, inputs, outputs]), "bias": outputs}

    for i in range(1, network.num_conv_layers + 1):
        exists = i <= setting["num_conv_layers"]
        outputs = exists * first(network.num_filters, setting[f"filters_{i}"])
        *window, _, _ = layers[f"conv_{i}"]["kernel"].shape
        taps = [middle(size, setting[f"kernel_size_{i}"]) for size in window]
        mask_of(f"conv_{i}", taps, inputs, outputs)
        inputs = outputs if i == 1 else jnp.where(exists, outputs, inputs)
    inputs = jnp.tile(inputs, layers["dense_1"]["kernel"].shape[0] // network.num_filters)
    for i in range(1, network.num_dense_layers + 1):
        exists = i <= setting["num_dense_layers"]
        outputs = exists * first(network.num_units, setting[f"units_{i}"])
        mask_of(f"dense_{i}", [], inputs, outputs)
        inputs = outputs if i == 1 else jnp.where(exists, outputs, inputs)
    mask_of("output", [], inputs, jnp.ones(NUM_CLASSES))
    return {"params": masks}


def first(size: int, number: Array) -> Array:
    """f32[size]: as many ones, then zeros."""
    return (jnp.arange(size) < number).astype(jnp.float32)


def middle(size: int, number: Array) -> Array:
    """f32[size]: as many ones, placed as padding ``"SAME"`` places a window of this number in one of ``size``."""
    offset = jnp.arange(size) - (size - 1) // 2
    return ((-offset <= (number - 1) // 2) & (offset <= number // 2)).astype(jnp.float32)


def initial_params(network: Network, key: Array, images: Array, setting: dict[str, Any]) -> tuple[Any, Any]:
    """Weights of variance 1 / fan-in, biases of zero; and :func:`existing_weights`: the others are zero.

    Source: Y. LeCun et al., "Efficient backprop", 1998.
    """
    shapes = jax.eval_shape(network.init, key, images[:1], setting)
    masks = existing_weights(network, shapes, setting)

    def scaled(draws: Array, mask: Array) -> Array:
        if mask.ndim == 1:
            return jnp.zeros_like(draws)
        fan_in = mask[..., 0].sum()  # a layer that exists has a first unit
        return draws * mask / jnp.sqrt(jnp.maximum(fan_in, 1.0))

    # One draw for all layers: a draw for each took a third of the time to compile a training.
    draws, to_layers = ravel_pytree(jax.tree.map(jnp.zeros_like, masks))
    return jax.tree.map(scaled, to_layers(jax.random.normal(key, draws.shape)), masks), masks


def chosen_optimizer(setting: dict[str, Any], num_steps: int, masks: Any) -> optax.GradientTransformation:
    """SGD with momentum or Adam, as the setting says, for the weights of ``masks``; the rate falls linearly to 0."""
    rates = jnp.stack([setting["sgd_learning_rate"], setting["adam_learning_rate"]])
    rate = optax.linear_schedule(rates[setting["optimizer"]], 0.0, num_steps)
    return optax.chain(
        optax.stateless(lambda updates, _: jax.tree.map(jnp.multiply, updates, masks)),
        # As one vector: a third of the operations to compile and to start.
        optax.flatten(_one_of(setting["optimizer"], [optax.trace(setting["momentum"]), optax.scale_by_adam()])),
        optax.scale_by_learning_rate(rate),
    )


def _one_of(index: Array, choices: Sequence[optax.GradientTransformation]) -> optax.GradientTransformation:
    """The updates of the choice at ``index`` i32[]; all of them are computed."""

    def init(params: Any) -> Any:
        return tuple(choice.init(params) for choice in choices)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        pairs = [choice.update(updates, one, params) for choice, one in zip(choices, state, strict=True)]
        all_updates, states = zip(*pairs, strict=True)
        return jax.tree.map(partial(lax.select_n, index), *all_updates), states

    return optax.GradientTransformation(init, update)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["train_split", "validation_split", "test_split"],
    meta_fields=["space", "objective", "network", "num_steps", "batch_size", "data_source"],
)
@dataclass(frozen=True)
class Cnn(Trainable):
    """Trains one network for ``num_steps`` minibatches; the value is its validation loss. Built by :func:`cnn`.

    Attributes:
        train_split, validation_split, test_split: images [N, side, side] or signals [N, length]; only ``test`` uses
            the last.
        space: the structure of the network and its training.
        objective: the validation loss (mean cross-entropy, nats), minimised.
        network: the longest and widest network.
        num_steps, batch_size: the number of minibatches, and of images in each, drawn with replacement.
        data_source: which images, and where they came from.
    """

    train_split: Images
    validation_split: Images
    test_split: Images
    space: SearchSpace
    objective: Objective
    network: Network
    num_steps: int
    batch_size: int
    data_source: str

    @property
    def structure(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """All but the dropout and the numbers of the optimiser, whose state belongs to one kind of it."""
        changing = ("dropout_rate", "sgd_learning_rate", "momentum", "adam_learning_rate")
        return tuple(name for name in self.space.names if name not in changing)

    @property
    def num_parts(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Equal parts of the training; the last one may have fewer minibatches."""
        return -(-self.num_steps // part_size(self.num_steps))

    @single_precision
    def init(self, key: Array, setting: dict[str, Array]) -> Training:
        """New weights, zero where the member has none."""
        params, masks = initial_params(self.network, key, self.train_split.images, self._complete(setting))
        return start(params, chosen_optimizer(setting, self.num_steps, masks), self.num_parts)

    @single_precision
    def advance(self, key: Array, carry: Training, setting: dict[str, Array], part: Array) -> Training:
        """One part of the minibatches."""
        masks = existing_weights(self.network, carry.params, self._complete(setting))
        curve_split = jax.tree.map(lambda leaf: leaf[:NUM_CURVE_IMAGES], self.validation_split)

        def loss(params: Any, batch: Images, key: Array) -> Array:
            logits = self.logits(params, batch.images, setting, key)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels))

        return fit_part(
            key,
            carry,
            part,
            chosen_optimizer(setting, self.num_steps, masks),
            loss,
            lambda params: self._score(params, curve_split, setting)[1],
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
        The model is the weights of the longest and widest network, zero where the member has none:
        ``task.logits(model, images, setting)`` computes with them.
        """
        del key
        loss, accuracy = self._score(carry.params, self.validation_split, setting)
        return Evaluation(loss, {"validation_accuracy": accuracy, **carry.curves}, carry.params)

    @single_precision
    def test(self, key: Array, setting: dict[str, Array]) -> Evaluation:
        """As ``evaluate``, and ``test_loss`` and ``test_accuracy`` f32[] of the same network as further metrics."""
        value, metrics, params = self.evaluate(key, setting)
        loss, accuracy = self._score(params, self.test_split, setting)
        return Evaluation(value, {**metrics, "test_loss": loss, "test_accuracy": accuracy}, params)

    def logits(self, params: Any, images: Array, setting: dict[str, Any], key_dropout: Array | None = None) -> Any:
        """f32[N, 10] of a trained model; ``setting`` is a decoded one, as ``evaluate`` takes it."""
        return self.network.apply(params, images, self._complete(setting), key_dropout)

    def _complete(self, setting: dict[str, Any]) -> dict[str, Any]:
        """The setting with the numbers of layers, which are not searched where there can be one only."""
        return {"num_conv_layers": 1, "num_dense_layers": 1, **setting}

    def _score(self, params: Any, split: Images, setting: dict[str, Any]) -> tuple[Array, Array]:
        return score(lambda images: self.logits(params, images, setting), split, self.batch_size)


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Images [N, side, side] or signals [N, length] at another size, by linear interpolation without aliasing."""
    matrix = np.asarray(jax.image.resize(jnp.eye(images.shape[1]), (size, images.shape[1]), "linear"))
    result = images.astype(np.float32)
    for axis in range(1, images.ndim):
        result = np.moveaxis(np.tensordot(result, matrix, (axis, 1)), -1, axis)
    return np.rint(result).astype(np.uint8) if images.dtype == np.uint8 else result


def search_space(network: Network) -> SearchSpace:
    """All that is searched, for networks no longer and no wider than the given one."""
    most_conv, most_dense = network.num_conv_layers, network.num_dense_layers
    genes: dict[str, Any] = {}
    if most_conv > 1:
        genes["num_conv_layers"] = Integer(1, most_conv)
    for i in range(1, most_conv + 1):
        exists = {"num_conv_layers": range(i, most_conv + 1)} if i > 1 else {}
        genes[f"filters_{i}"] = LogInteger(MIN_WIDTH, network.num_filters).when(exists)
        genes[f"kernel_size_{i}"] = Integer(2, network.kernel_size).when(exists)
    if most_dense > 1:
        genes["num_dense_layers"] = Integer(1, most_dense)
    for i in range(1, most_dense + 1):
        exists = {"num_dense_layers": range(i, most_dense + 1)} if i > 1 else {}
        genes[f"units_{i}"] = LogInteger(MIN_WIDTH, network.num_units).when(exists)
    return SearchSpace(
        **genes,
        activation=Categorical(list(ACTIVATIONS)),
        dropout_rate=Uniform(0.0, 0.7),
        optimizer=Categorical(OPTIMIZERS),
        sgd_learning_rate=LogUniform(1e-3, 1.0).when(optimizer="sgd"),
        momentum=Uniform(0.0, 0.99).when(optimizer="sgd"),
        adam_learning_rate=LogUniform(1e-4, 1e-1).when(optimizer="adam"),
    )


def longer(setting: dict[str, Any]) -> dict[str, Any]:
    """A setting in Python's values with one more convolutional layer: the last one again.

    >>> longer({"num_conv_layers": 1, "filters_1": 8, "kernel_size_1": 3})
    {'num_conv_layers': 2, 'filters_1': 8, 'kernel_size_1': 3, 'filters_2': 8, 'kernel_size_2': 3}
    """
    last = setting.get("num_conv_layers", 1)
    again = {f"{name}_{last + 1}": setting[f"{name}_{last}"] for name in ("filters", "kernel_size")}
    return {**setting, "num_conv_layers": last + 1, **again}


@run_defaults(population_size=10, num_generations=10)
def cnn(
    dataset: Dataset | ImageData = "mnist",
    *,
    data_dir: str | Path | None = None,
    image_size: int | None = None,
    num_steps: int = 300,
    batch_size: int = 64,
    max_conv_layers: int = 3,
    max_filters: int = 32,
    max_kernel_size: int = 5,
    max_dense_layers: int = 2,
    max_units: int = 64,
    precision: Precision = "float32",
) -> Cnn:
    """The task "find a convolutional network for images or signals of ten classes, and its training".

    Searched are the numbers of convolutional and dense layers, the width of each, the kernel size of each convolution,
    the activation, the dropout rate of the dense layers' inputs, the optimizer and its learning rate, which falls
    linearly to 0. What belongs to a layer is active only where the layer exists, a learning rate only with its
    optimizer.

    Every network has the shapes of the longest and widest one: units, taps of a kernel and layers that a member does
    not have are masks of zeros, and a layer that it skips is the identity. So **every member costs the time and memory
    of the maximum**, and a larger maximum makes all of them slower.

    A search can therefore grow its networks: begin with short ones, which train faster, and give each of the next
    searches the best settings so far with one more layer. ::

        settings = None
        for longest in (1, 2, 3):
            task = cnn("mnist1d", max_conv_layers=longest)
            result = jaxga.optimize(task, population_size=16, num_generations=4, warm_start=settings)
            settings = [longer(task.space.active_part(row)) for row in result.population]

    The space does not depend on ``image_size``: settings found on small images can be the ``warm_start`` of a search on
    larger ones.

    Sources: X. Xiao et al., "Efficient hyperparameter optimization in deep learning using a variable length genetic
    algorithm", 2020 (growing networks); T. Hinz et al., "Speeding up the hyperparameter optimization of deep
    convolutional neural networks", 2018 (growing images).

    Args:
        dataset: a name, whose images :func:`jaxga.tasks.data.load_images` loads, or the images themselves.
        data_dir: the folder of the four IDX files; default: the environment variable ``JAXGA_DATA_DIR``, or where
            ``load_images`` finds the images.
        image_size: pixels a side, or samples of a signal, at least 2: the data are resized once.
        num_steps: minibatches of one training, at least 1.
        batch_size: images in a minibatch, at least 1.
        max_conv_layers: convolutional layers, at least 1.
        max_filters: of a convolutional layer, at least 5.
        max_kernel_size: of a convolution, at least 3.
        max_dense_layers: dense layers before the output, at least 1.
        max_units: of such a dense layer, at least 5.
        precision: as of :func:`jaxga.tasks.mnist.mnist`.

    Returns:
        The task; its data are pytree leaves.

    Raises:
        ValueError: an unknown precision, a number below its least value, or images that cannot be loaded.
    """
    check_choice("cnn: precision", precision, PRECISIONS)
    for name, value, least in (
        ("num_steps", num_steps, 1),
        ("batch_size", batch_size, 1),
        ("max_conv_layers", max_conv_layers, 1),
        ("max_filters", max_filters, MIN_WIDTH + 1),
        ("max_kernel_size", max_kernel_size, 3),
        ("max_dense_layers", max_dense_layers, 1),
        ("max_units", max_units, MIN_WIDTH + 1),
    ):
        check_count(f"cnn: {name}", value, least)
    if image_size is not None:
        check_count("cnn: image_size", image_size, 2)
    if not isinstance(dataset, ImageData):
        dataset = load_images(dataset, data_dir)
    elif data_dir is not None:
        raise ValueError(f"cnn: data_dir is for a dataset that is given by name, got {data_dir!r} and images")
    network = Network(max_conv_layers, max_dense_layers, max_filters, max_units, max_kernel_size, precision)
    train, validation, test = (_shaped(split, dataset.shape, image_size) for split in splits_of(dataset))
    return Cnn(
        train,
        validation,
        test,
        search_space(network),
        Objective("validation loss", "min"),
        network,
        num_steps,
        batch_size,
        data_source=f"{dataset.name}: {dataset.source}",
    )


def _shaped(split: Images, shape: tuple[int, ...], size: int | None) -> Images:
    images = np.asarray(split.images).reshape(-1, *shape)
    return split._replace(images=jnp.asarray(images if size is None else resized(images, size)))
