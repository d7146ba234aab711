"""The convolutional networks: against plain Flax networks of the same size, and what is searched."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

import jaxga
from jaxga.tasks.cnn import cnn, initial_params, longer, middle, pooled, resized
from jaxga.tasks.data import ImageData
from jaxga.tasks.products import convolution

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "silu": lambda x: x / (1 + jnp.exp(-x))}
SIZES = {"max_conv_layers": 3, "max_filters": 6, "max_kernel_size": 5, "max_dense_layers": 2, "max_units": 7}
# Networks of three lengths, narrower than the widest one; kernels of even and odd sizes.
TRAINING = {"activation": "relu", "dropout_rate": 0.0, "optimizer": "adam", "adam_learning_rate": 0.01}
ONE = {"num_conv_layers": 1, "filters_1": 5, "kernel_size_1": 4, "num_dense_layers": 2, "units_1": 6, "units_2": 5}
ONE |= TRAINING
TWO = {**ONE, "num_conv_layers": 2, "filters_2": 4, "kernel_size_2": 3, "num_dense_layers": 1, "activation": "silu"}
TWO |= {"optimizer": "sgd", "sgd_learning_rate": 0.2, "momentum": 0.5}
del TWO["units_2"], TWO["adam_learning_rate"]
THREE = {**ONE, "num_conv_layers": 3, "filters_2": 4, "kernel_size_2": 3, "filters_3": 6, "kernel_size_3": 2}
THREE["activation"] = "tanh"
WIDE = {**THREE, **dict.fromkeys(("filters_1", "filters_2"), 6), "kernel_size_2": 5, "kernel_size_3": 5, "units_2": 7}
LENGTHS = {"one": ONE, "two": TWO, "three": THREE}


def patterns(shape):
    """Ten random patterns with noise: images of bytes, or signals."""
    rng = np.random.default_rng(0)
    originals, splits = rng.normal(size=(10, int(np.prod(shape)))), []
    for n in (60, 30, 20):
        labels = np.arange(n) % 10
        rows = originals[labels] + 0.1 * rng.normal(size=(n, originals.shape[1]))
        rows = np.clip(128 + 50 * rows, 0, 255).astype(np.uint8) if len(shape) == 2 else rows.astype(np.float32)
        splits += [rows, labels.astype(np.int32)]
    return ImageData("patterns", "made up", *splits)


def small(shape=(13,), **arguments):
    return cnn(patterns(shape), **{"num_steps": 200, "batch_size": 10, **SIZES, **arguments})


def decoded(task, values):
    return task.space.decode(jnp.asarray(task.space.encode(values)))


# Compiled once: the tests below differ in data and settings alone.
retrain = jax.jit(lambda task, key, setting: task.test(key, setting))
initial = jax.jit(lambda task, key, setting: initial_params(task.network, key, task.train_split.images, setting))


class Plain(nn.Module):
    """The network of one setting, of its own length and widths, in Flax alone."""

    setting: dict

    @nn.compact
    def __call__(self, images):
        x, s = (images / 255.0 if images.dtype == jnp.uint8 else images)[..., None], self.setting
        num_axes, activate = images.ndim - 1, ACTIVATIONS[s["activation"]]

        def pool(x):
            sides = (2,) * num_axes
            return nn.max_pool(x, sides, sides, "SAME") if max(x.shape[1:-1]) > 4 else x

        for i in range(1, s["num_conv_layers"] + 1):
            x = nn.Conv(s[f"filters_{i}"], (s[f"kernel_size_{i}"],) * num_axes, name=f"conv_{i}")(x)
            x = pool(activate(x))
        while max(x.shape[1:-1]) > 4:
            x = pool(x)
        x = x.reshape(len(x), -1)
        for i in range(1, s["num_dense_layers"] + 1):
            x = activate(nn.Dense(s[f"units_{i}"], name=f"dense_{i}")(x))
        return nn.Dense(10, name="output")(x)


@jax.jit
def logits_and_gradients(task, params, inputs, targets, setting):
    def loss(params):
        logits = task.logits(params, inputs, setting)
        return jnp.mean(jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)), logits

    return jax.grad(loss, has_aux=True)(params)[::-1]


@pytest.mark.parametrize(("shape", "length"), [((9, 9), "two"), ((9, 9), "three"), ((13,), "one")])
def test_a_masked_network_equals_the_plain_one(shape, length):
    """Logits and gradients, with the same weights at the places that exist."""
    task, values = small(shape), LENGTHS[length]
    plain, inputs = Plain(values), task.train_split.images[:8]
    setting, targets = decoded(task, values), jax.random.normal(jax.random.key(2), (8, 10))
    params, masks = initial(task, jax.random.key(0), setting)
    # Biases begin at zero, where a wrong mask would not show.
    params = jax.tree.map(lambda w, m: w + 0.1 * m * np.random.default_rng(0).normal(size=w.shape), params, masks)
    shapes = jax.eval_shape(lambda: plain.init(jax.random.key(0), inputs))

    def kept(tree):
        """What exists, in the plain network's shapes: the order of the weights is the same."""
        return {
            "params": {
                name: {
                    leaf: np.asarray(tree["params"][name][leaf])[np.asarray(masks["params"][name][leaf]) > 0].reshape(
                        shape.shape
                    )
                    for leaf, shape in leaves.items()
                }
                for name, leaves in shapes["params"].items()
            }
        }

    @jax.jit
    def reference(params):
        def loss(params):
            logits = plain.apply(params, inputs)
            return jnp.mean(jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)), logits

        return jax.grad(loss, has_aux=True)(params)[::-1]

    logits, gradients = logits_and_gradients(task, params, inputs, targets, setting)
    expected, expected_gradients = reference(kept(params))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(np.asarray(logits)) > 0.1
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), kept(gradients), expected_gradients)


@pytest.mark.parametrize("values", [TWO, THREE], ids=["sgd", "adam"])
def test_weights_that_do_not_exist_stay_zero(values):
    task, key = small(), jax.random.key(3)
    setting = decoded(task, values)
    first, masks = initial(task, jax.random.split(key, 3)[0], setting)
    trained = retrain(task, key, setting).model
    for mask, before, after in zip(*map(jax.tree.leaves, (masks, first, trained)), strict=True):
        mask, before, after = (np.asarray(x) for x in (mask, before, after))
        assert not after[mask == 0].any()
        assert (after != before)[mask > 0].all()


def test_initial_weights_have_the_scale_of_the_true_fan_in():
    task = small((9, 9), max_filters=64, max_units=64)
    values = {**TWO, "filters_1": 32, "filters_2": 48, "units_1": 40}
    params, masks = initial(task, jax.random.key(0), decoded(task, values))
    fans = {"conv_1": (16, 32), "conv_2": (9 * 32, 48), "dense_1": (9 * 48, 40), "output": (40, 10)}
    for name, (fan_in, fan_out) in fans.items():
        kernel = np.asarray(params["params"][name]["kernel"])[np.asarray(masks["params"][name]["kernel"]) > 0]
        assert kernel.size == fan_in * fan_out
        # Flax draws with variance 1 / fan-in. Of n draws the deviation's relative error is about 1 / sqrt(2 n).
        assert kernel.std() * np.sqrt(fan_in) == pytest.approx(1.0, abs=5 / np.sqrt(2 * kernel.size))


def test_windows_lie_where_same_padding_has_them():
    """A convolution with a small kernel, and with a large one that is zero but in its middle."""
    x = jax.random.normal(jax.random.key(0), (2, 9, 3))
    for size, number in [(5, 2), (5, 3), (4, 3), (6, 5)]:
        kernel = jax.random.normal(jax.random.key(1), (number, 3, 4))
        padded = np.zeros((size, 3, 4), np.float32)
        padded[np.flatnonzero(middle(size, jnp.asarray(number)))] = kernel
        expected = lax.conv_general_dilated(x, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))
        np.testing.assert_allclose(convolution("float32")(x, padded), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(7,), (6, 5)], ids=["signals", "images"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_convolution_and_its_gradients_equal_xlas(shape, precision):
    """Of two members, whose kernels differ."""
    keys, window = jax.random.split(jax.random.key(0), 3), (3, 2)[: len(shape)]
    x = jax.random.normal(keys[0], (2, 4, *shape, 3))
    kernel = jax.random.normal(keys[1], (2, *window, 3, 5))
    g = jax.random.normal(keys[2], (2, 4, *shape, 5))
    layout = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}[len(shape)]
    reference = partial(
        lax.conv_general_dilated, window_strides=(1,) * len(shape), padding="SAME", dimension_numbers=layout
    )

    def with_gradients(convolve):
        def one(x, kernel, g):
            value, backward = jax.vjp(convolve, x, kernel)
            return value, *backward(g)

        return jax.jit(jax.vmap(one))(x, kernel, g)

    # bfloat16 rounds factors by 2^-9 of themselves; sums of up to 120 products of them.
    error = 1e-5 if precision == "float32" else 2**-8
    for given, expected in zip(with_gradients(convolution(precision)), with_gradients(reference), strict=True):
        scale = float(jnp.abs(expected).max())
        np.testing.assert_allclose(given, expected, atol=4 * error * scale, rtol=0)
        assert (np.abs(np.asarray(given - expected)).max() > 1e-4 * scale) == (precision == "bfloat16")


@pytest.mark.parametrize("shape", [(7, 8), (11,)])
def test_pooling_equals_flaxs(shape):
    x, sides = -jnp.abs(jax.random.normal(jax.random.key(0), (2, *shape, 3))), (2,) * len(shape)
    np.testing.assert_array_equal(pooled(x), nn.max_pool(x, sides, sides, "SAME"))
    assert pooled(x[:, :4] if len(shape) == 1 else x[:, :4, :4]).shape[1] == 4


def test_dropout_keeps_the_mean():
    """Where all units are above zero ReLU is linear, and the mean logits are those without dropout."""
    task, n = small(), 2000
    setting = decoded(task, {**THREE, "activation": "relu", "dropout_rate": 0.4})
    params = jax.tree.map(jnp.abs, initial(task, jax.random.key(0), setting)[0])
    logits = jax.jit(lambda key, setting: task.logits(params, jnp.abs(task.train_split.images[:2]), setting, key))
    drawn = np.asarray(jax.vmap(logits, in_axes=(0, None))(jax.random.split(jax.random.key(1), n), setting))
    expected = np.asarray(logits(jax.random.key(1), {**setting, "dropout_rate": jnp.zeros(())}))
    assert (np.abs(drawn.mean(0) - expected) < 5 * drawn.std(0) / np.sqrt(n)).all()
    assert (drawn.std(0) > 0.1 * expected).all()
    # Every image has a mask of its own.
    assert abs(np.corrcoef(drawn[:, 0, 0], drawn[:, 1, 0])[0, 1]) < 5 / np.sqrt(n)
    np.testing.assert_allclose(task.logits(params, jnp.abs(task.train_split.images[:2]), setting), expected, rtol=1e-5)


def test_every_hyperparameter_has_an_effect():
    task, key = small(), jax.random.key(1)
    for values in (TWO, THREE):
        setting = decoded(task, values)
        value = float(retrain(task, key, setting).value)
        assert np.isfinite(value)
        for name in values:
            others = {"num_conv_layers": 1, "num_dense_layers": 3 - setting["num_dense_layers"]}
            others |= {"activation": 0, "optimizer": 1 - setting["optimizer"]}
            step = -1 if setting[name].dtype == jnp.int32 else 0.1
            other = jnp.asarray(others.get(name, setting[name] + step), setting[name].dtype)
            assert float(retrain(task, key, {**setting, name: other}).value) != value, name


def test_learns_and_gives_its_model():
    task, setting = small(), decoded(small(), WIDE)
    value, metrics, model = retrain(task, jax.random.key(0), setting)
    assert float(metrics["validation_accuracy"]) > 0.9
    assert float(metrics["test_accuracy"]) > 0.9
    assert float(metrics["training_loss_curve"][-1]) < 0.5 * float(metrics["training_loss_curve"][0])
    logits = task.logits(model, task.validation_split.images, setting)
    log_probabilities = np.asarray(jax.nn.log_softmax(logits))
    loss = -log_probabilities[np.arange(30), np.asarray(task.validation_split.labels)].mean()
    assert float(value) == pytest.approx(loss, rel=1e-4)


def test_the_test_split_is_for_test_alone():
    task = small()
    wrong = dataclasses.replace(task, test_split=task.test_split._replace(labels=(task.test_split.labels + 1) % 10))
    right, other = (retrain(one, jax.random.key(0), decoded(task, WIDE)) for one in (task, wrong))
    assert float(right.value) == float(other.value)
    assert float(right.metrics["test_accuracy"]) > 0.9 > 0.1 > float(other.metrics["test_accuracy"])


def test_a_layers_hyperparameters_are_active_where_it_exists():
    space = small().space
    for values in LENGTHS.values():
        assert set(space.active_names(values)) == set(values)
    assert space.condition_of("filters_2") == {"num_conv_layers": [2, 3]}
    shortest = small(max_conv_layers=1, max_dense_layers=1)
    assert not {"num_conv_layers", "num_dense_layers", "filters_2", "units_2"} & set(shortest.space.names)
    setting = shortest.space.decode(jnp.full(shortest.space.size, 0.5))
    assert jax.eval_shape(shortest.evaluate, jax.random.key(0), setting).value.shape == ()


def test_the_longest_and_widest_network_has_all_weights():
    task = small()
    _, masks = initial(task, jax.random.key(0), task.space.decode(jnp.ones(task.space.size)))
    assert all(np.asarray(mask).all() for mask in jax.tree.leaves(masks))


def test_networks_grow_over_searches():
    """The recipe in the docstring of ``cnn``, without its trainings."""
    settings, options = None, {"population_size": 8, "num_generations": 1, "num_fresh": 0}
    for longest in (1, 2, 3):
        space = small(max_conv_layers=longest).space
        result = jaxga.minimize(
            lambda key, setting: setting["dropout_rate"],
            space,
            algorithm="random_search",
            warm_start=settings,
            **options,
        )
        rows = [space.active_part(row) for row in result.population]
        if settings is not None:
            assert {row["num_conv_layers"] for row in rows} == {longest}
            for name in ("filters", "kernel_size"):
                assert all(row[f"{name}_{longest}"] == row[f"{name}_{longest - 1}"] for row in rows)
            # All else is as it was found, to the precision of a genome.
            assert sorted(row["filters_1"] for row in rows) == sorted(setting["filters_1"] for setting in settings)
        settings = [longer(row) for row in rows]
    assert longer(TWO) == {
        **TWO,
        "num_conv_layers": 3,
        "filters_3": TWO["filters_2"],
        "kernel_size_3": TWO["kernel_size_2"],
    }


@pytest.mark.parametrize("shape", [(9, 9), (13,)])
@pytest.mark.parametrize("size", [5, 12])
def test_images_of_another_size(shape, size):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, *shape)).astype(np.uint8)
    expected = jax.image.resize(jnp.asarray(images, jnp.float32), (3, *(size,) * len(shape)), "linear")
    np.testing.assert_allclose(resized(images.astype(np.float32), size), expected, atol=1e-3)
    assert resized(images, size).dtype == np.uint8
    np.testing.assert_allclose(resized(images, size), expected, atol=0.501)
    task = small(shape, image_size=size)
    assert task.train_split.images.shape == (60, *(size,) * len(shape))
    # What is searched does not depend on the size, so settings of one size are settings of another.
    assert task.space == small().space


@pytest.mark.parametrize(
    "argument",
    [
        {"num_steps": 0},
        {"batch_size": 0},
        {"max_conv_layers": 0},
        {"max_filters": 4},
        {"max_kernel_size": 2},
        {"max_dense_layers": 0},
        {"max_units": 4},
        {"image_size": 1},
        {"precision": "float16"},
    ],
    ids=str,
)
def test_arguments_are_checked(argument):
    [(name, value)] = argument.items()
    with pytest.raises(ValueError, match=rf"cnn: {name} must be .*, got '?{value}'?") as raised:
        small(**argument)
    assert "\n" not in str(raised.value)


def test_a_wrong_data_set_is_one_line():
    with pytest.raises(ValueError, match=r"dataset must be one of .*got 'mnist2d'; did you mean mnist1d"):
        cnn("mnist2d")
    with pytest.raises(ValueError, match="cnn: data_dir is for a dataset that is given by name"):
        cnn(patterns((13,)), data_dir="folder")


@pytest.mark.slow
def test_published_accuracy_on_signals():
    """MNIST-1D by a setting that a search chose on the validation split: above the published 94 % for a CNN."""
    pytest.importorskip("mnist1d")
    task = cnn("mnist1d", num_steps=2000, batch_size=100)
    values = {"num_conv_layers": 3, "filters_1": 31, "filters_2": 32, "filters_3": 24, "num_dense_layers": 1}
    values |= {"kernel_size_1": 5, "kernel_size_2": 5, "kernel_size_3": 3, "units_1": 17, "activation": "silu"}
    values |= {"dropout_rate": 0.2508, "optimizer": "adam", "adam_learning_rate": 0.0129}
    run = jax.jit(lambda task, keys, setting: jax.lax.map(lambda key: task.test(key, setting).metrics, keys))
    metrics = run(task, jax.random.split(jax.random.key(7), 4), decoded(task, values))
    assert float(metrics["test_accuracy"].mean()) >= 0.94
