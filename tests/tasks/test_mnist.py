"""The MNIST network: against numpy, against a truly narrower network, and on the real images."""

import dataclasses
import struct
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga.loop import evaluate_fresh
from jaxga.tasks.classifier import dropout_mask, part_size
from jaxga.tasks.data import ImageData, load_images
from jaxga.tasks.mnist import Network, mnist, sgd
from jaxga.tasks.products import dense_product

PIXELS = 16
FILES = {
    "train-images-idx3-ubyte": (24, 28, 28),
    "train-labels-idx1-ubyte": (24,),
    "t10k-images-idx3-ubyte": (6, 28, 28),
    "t10k-labels-idx1-ubyte": (6,),
}
NEUTRAL = {"weight_decay": 0.0, "label_smoothing": 0.0, "dropout_rate": 0.0, "learning_rate_decay": 1.0}


# Compiled once per structure: the tests below share programs wherever their tasks differ in data alone.
evaluate = jax.jit(lambda task, key, setting: task.evaluate(key, setting))
retrain = jax.jit(lambda task, key, setting: task.test(key, setting))
initial_params = jax.jit(lambda task, key, setting: task._initial_params(key, setting)["params"])


def prototypes(num_train=80, num_validation=40, num_test=30):
    """Ten random patterns with noise: easy to learn, quick to train on."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (10, PIXELS))
    splits = []
    for n in (num_train, num_validation, num_test):
        labels = np.arange(n) % 10
        noisy = patterns[labels] + rng.normal(0, 20, (n, PIXELS))
        splits += [np.clip(noisy, 0, 255).astype(np.uint8), labels.astype(np.int32)]
    return ImageData("prototypes", "made up", *splits)


def small(**kwargs):
    return mnist(prototypes(), **{"num_steps": 23, "batch_size": 8, "hidden_size": 32, **kwargs})


def setting(**values):
    return {name: jnp.asarray(value) for name, value in values.items()}


def numpy_cross_entropy(logits, targets):
    shifted = logits - logits.max(-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return -(targets * log_probabilities).sum(-1).mean(), np.exp(log_probabilities) - targets


def numpy_training(task, key, values, width):
    """The same training in numpy, of a network that has ``width`` hidden units and no others."""
    initial = initial_params(task, jax.random.fold_in(key, 0), values)
    hidden, output = initial["hidden"], initial["output"]
    arrays = [hidden["kernel"][:, :width], hidden["bias"][:width], output["kernel"][:width], output["bias"]]
    params = [np.asarray(array, np.float64) for array in arrays]
    velocity = [np.zeros_like(array) for array in params]
    train, validation = (
        (np.asarray(split.images) / 255, np.eye(10)[np.asarray(split.labels)])
        for split in (task.train_split, task.validation_split)
    )
    rows = []
    for part in range(task.num_parts):
        key_batch, _ = jax.random.split(jax.random.fold_in(key, part + 1))
        rows.append(jax.random.randint(key_batch, (part_size(task.num_steps), task.batch_size), 0, len(train[0])))
    losses, scores = [], []
    for i, batch in enumerate(np.concatenate(rows)[: task.num_steps]):
        x, y = train[0][batch], train[1][batch]
        y = y * (1 - values["label_smoothing"]) + values["label_smoothing"] / 10
        before = x @ params[0] + params[1]
        after = np.maximum(before, 0)
        loss, error = numpy_cross_entropy(after @ params[2] + params[3], y)
        losses.append(loss)
        error = error / len(batch)
        back = (error @ params[2].T) * (before > 0)
        gradients = [x.T @ back, back.sum(0), after.T @ error, error.sum(0)]
        rate = values["learning_rate"] * (1 - values["learning_rate_decay"] * i / task.num_steps)
        for j, gradient in enumerate(gradients):
            velocity[j] = values["momentum"] * velocity[j] + gradient + values["weight_decay"] * params[j]
            params[j] = params[j] - rate * velocity[j]
        logits = np.maximum(validation[0] @ params[0] + params[1], 0) @ params[2] + params[3]
        scores.append((logits.argmax(-1) == validation[1].argmax(-1)).mean())
    loss, _ = numpy_cross_entropy(logits, validation[1])
    return loss, scores, losses


@pytest.mark.parametrize("search", ["default", "full"])
def test_training_equals_numpys(search):
    """The whole training; under "full" a masked network equals one that truly has 11 hidden units."""
    task, key = small(search=search), jax.random.key(4)
    values = {"learning_rate": 0.3, "momentum": 0.8, **NEUTRAL}
    width = 32
    if search == "full":
        width = 11
        values |= {"weight_decay": 0.01, "label_smoothing": 0.2, "learning_rate_decay": 0.6, "hidden_size": width}
    searched = {name: values[name] for name in task.space.names}
    value, metrics, _ = evaluate(task, key, setting(**searched))
    loss, scores, losses = numpy_training(task, key, values, width)
    # Float32 against float64 over 23 steps.
    assert float(value) == pytest.approx(loss, rel=1e-4)
    assert float(metrics["validation_accuracy"]) == pytest.approx(scores[-1])
    assert task.num_parts == 8
    parts = [range(23)[3 * part : 3 * part + 3] for part in range(8)]
    mean_losses = [np.mean([losses[i] for i in part]) for part in parts]
    np.testing.assert_allclose(metrics["training_loss_curve"], mean_losses, rtol=1e-4)
    # Taken after the last step of each part; here the validation images are few enough to be used all.
    np.testing.assert_allclose(metrics["validation_accuracy_curve"], [scores[part[-1]] for part in parts], rtol=1e-5)


def test_sgd_step_equals_numpys():
    values = {"learning_rate": 0.5, "momentum": 0.9, "weight_decay": 0.1, "learning_rate_decay": 0.5}
    optimizer = sgd(values, num_steps=4)
    params = weights = np.array([1.0, -2.0], np.float32)
    state, velocity = optimizer.init(params), np.zeros(2)
    for i in range(4):
        gradient = np.array([0.3, 0.1 * i], np.float32)
        updates, state = optimizer.update(gradient, state, params)
        params = params + updates
        velocity = 0.9 * velocity + gradient + 0.1 * weights
        weights = weights - 0.5 * (1 - 0.5 * i / 4) * velocity
        np.testing.assert_allclose(params, weights, rtol=1e-6)


@pytest.mark.parametrize("width", [64, 256])
def test_initial_weights_have_the_scale_of_the_true_width(width):
    task = small(search="full", hidden_size=256)
    params = initial_params(task, jax.random.key(0), setting(hidden_size=width))
    hidden, output = np.asarray(params["hidden"]["kernel"]), np.asarray(params["output"]["kernel"])
    assert not hidden[:, width:].any()
    assert not output[width:].any()
    # LeCun's initialiser: variance 1 / fan-in. Of n draws the deviation's relative error is about 1 / sqrt(2 n).
    for kernel, fan_in in ((hidden[:, :width], PIXELS), (output[:width], width)):
        assert kernel.std() * np.sqrt(fan_in) == pytest.approx(1.0, abs=5 / np.sqrt(2 * kernel.size))


def test_full_search_with_everything_off_is_the_default():
    key, two = jax.random.key(1), {"learning_rate": 0.2, "momentum": 0.7}
    plain = evaluate(small(), key, setting(**two))
    full = evaluate(small(search="full"), key, setting(**two, **NEUTRAL, hidden_size=32))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), plain, full)


def test_dropout_mask_keeps_the_mean():
    rate, n = 0.7, 100_000
    mask = np.asarray(dropout_mask(jax.random.key(0), jnp.asarray(rate), (n,)))
    assert set(np.unique(mask).tolist()) == {0.0, float(np.float32(1) / (np.float32(1) - np.float32(rate)))}
    # The deviation of a mean of n draws of 1 / (1 - rate) with chance 1 - rate.
    assert mask.mean() == pytest.approx(1.0, abs=5 * np.sqrt(rate / (1 - rate) / n))


@pytest.mark.parametrize("name", ["weight_decay", "label_smoothing", "dropout_rate", "learning_rate_decay"])
def test_every_hyperparameter_has_an_effect(name):
    task, key = small(search="full"), jax.random.key(1)
    off = {"learning_rate": 0.2, "momentum": 0.7, **NEUTRAL, "hidden_size": 32}
    on = {**off, name: 0.4}
    assert float(evaluate(task, key, setting(**off)).value) != float(evaluate(task, key, setting(**on)).value)


def test_learns_and_shows_it():
    task = small(num_steps=200)
    good, idle = (retrain(task, jax.random.key(0), setting(learning_rate=rate, momentum=0.5)) for rate in (0.3, 1e-4))
    assert float(good.metrics["validation_accuracy"]) > 0.9
    assert float(good.value) < 0.5 < float(idle.value)
    curve = np.asarray(good.metrics["training_loss_curve"])
    assert curve.shape == good.metrics["validation_accuracy_curve"].shape == (10,)
    assert curve[-1] < 0.5 * curve[0]


def test_fewer_steps_than_points():
    _, metrics, _ = evaluate(small(num_steps=3), jax.random.key(0), setting(learning_rate=0.1, momentum=0.5))
    assert metrics["training_loss_curve"].shape == (3,)
    assert np.isfinite(metrics["training_loss_curve"]).all()


def test_test_split_is_for_test_alone():
    data, key = prototypes(), jax.random.key(2)
    good = setting(learning_rate=0.3, momentum=0.5)
    task = mnist(data, num_steps=200, batch_size=8, hidden_size=32)
    # The test split's labels all wrong: nothing moves but the test figures.
    wrong = mnist(
        dataclasses.replace(data, test_labels=(data.test_labels + 1) % 10), num_steps=200, batch_size=8, hidden_size=32
    )
    (value, metrics, _), (wrong_value, wrong_metrics, _) = retrain(task, key, good), retrain(wrong, key, good)
    assert float(value) == float(wrong_value) == pytest.approx(float(evaluate(task, key, good).value), rel=1e-6)
    assert float(metrics["test_accuracy"]) > 0.9 > 0.1 > float(wrong_metrics["test_accuracy"])
    assert float(metrics["test_loss"]) < float(wrong_metrics["test_loss"])


def test_the_model_gives_the_recorded_figures():
    task = small()
    fresh = evaluate_fresh(task, task.space.encode({"learning_rate": 0.1, "momentum": 0.5}), key=0, num_seeds=3)
    for split, name in ((task.validation_split, None), (task.test_split, "test_loss")):
        recorded = fresh.value if name is None else fresh.metrics[name]
        for i in range(3):
            params = jax.tree.map(lambda leaf, i=i: leaf[i], fresh.model)
            logits = Network(task.hidden_size).apply(params, split.images)
            loss, _ = numpy_cross_entropy(np.asarray(logits), np.eye(10)[np.asarray(split.labels)])
            assert loss == pytest.approx(recorded[i], rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_dense_products_and_their_gradients_equal_numpys(precision):
    """Alone and under vmap, of both factors or of one, and with more than one leading axis."""
    rng = np.random.default_rng(0)
    x, kernel, g = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 2, 4, 6), (3, 6, 5), (3, 2, 4, 5)))
    rtol = 1e-5 if precision == "float32" else 2**-7  # of the largest factor's rounding, 2^-9 each, in sums of 6 and 8
    product = partial(dense_product(precision), dimension_numbers=None, precision=None)

    def check(given, expected):
        np.testing.assert_allclose(given, expected, rtol=rtol, atol=rtol * 6)
        assert given.dtype == jnp.float32
        # The rounding is there, and only there.
        assert (np.abs(np.asarray(given) - expected).max() > 1e-4) == (precision == "bfloat16")

    check(jax.jit(product)(x, kernel[0]), x @ kernel[0])
    check(jax.jit(jax.vmap(product))(x, kernel), np.einsum("nabi,nio->nabo", x, kernel))
    check(jax.jit(jax.vmap(product, in_axes=(None, 0)))(x[0], kernel), np.einsum("abi,nio->nabo", x[0], kernel))
    backward = jax.jit(jax.vmap(lambda x, kernel, g: jax.vjp(product, x, kernel)[1](g)))
    in_x, in_kernel = backward(x, kernel, g)
    check(in_x, np.einsum("nabo,nio->nabi", g, kernel))
    check(in_kernel, np.einsum("nabi,nabo->nio", x, g))


def test_bfloat16_trains_as_well():
    values = setting(learning_rate=0.3, momentum=0.5)
    exact, rounded = (
        evaluate(small(num_steps=200, precision=p), jax.random.key(0), values) for p in ("float32", "bfloat16")
    )
    assert float(rounded.value) != float(exact.value)
    assert float(rounded.value) == pytest.approx(float(exact.value), rel=0.1)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(rounded))


def test_scores_hold_one_batch_of_images(monkeypatch):
    """The figures are those of all images at once; memory is not, and no image is left out or counted twice."""
    data = prototypes(num_validation=1300)
    values = jax.vmap(lambda rate: {"learning_rate": rate, "momentum": 0.5})(jnp.full(4, 0.1))

    def program():
        task = mnist(data, num_steps=2, batch_size=8, hidden_size=512)
        train = jax.jit(lambda task, keys, settings: jax.vmap(task.evaluate)(keys, settings)[:2])
        return train.lower(task, keys, values).compile(), task

    keys = jax.random.split(jax.random.key(0), 4)
    batched, task = program()
    monkeypatch.setattr("jaxga.tasks.mnist.SCORE_BATCH_SIZE", 10_000)
    whole, _ = program()
    compare = partial(np.testing.assert_allclose, rtol=1e-5)
    jax.tree.map(compare, batched(task, keys, values), whole(task, keys, values))
    hidden = 4 * 512 * 4 * 1300  # bytes of the hidden units of all images
    assert batched.memory_analysis().temp_size_in_bytes < hidden < whole.memory_analysis().temp_size_in_bytes


def test_diverging_member_leaves_its_neighbours():
    task, keys = small(), jax.random.split(jax.random.key(3), 3)
    rates, momentum = jnp.array([0.1, jnp.inf, 0.2]), jnp.full(3, 0.5)
    together = jax.jit(lambda task, keys, settings: jax.vmap(task.evaluate)(keys, settings))
    both = together(task, keys, {"learning_rate": rates, "momentum": momentum})
    assert np.isfinite(both.value).tolist() == [True, False, True]
    for i in (0, 2):
        alone = evaluate(task, keys[i], setting(learning_rate=rates[i], momentum=0.5))
        np.testing.assert_allclose(both.value[i], alone.value, rtol=1e-5)


def test_images_are_arguments_of_the_program():
    program = jax.make_jaxpr(lambda task, key, s: task.evaluate(key, s))(
        small(), jax.random.key(0), setting(learning_rate=0.1, momentum=0.5)
    )
    assert sum(np.size(constant) for constant in program.consts) < 1000


def test_images_by_name_are_those_of_the_folder(tmp_path, monkeypatch):
    for name, shape in FILES.items():
        values = np.arange(np.prod(shape), dtype=np.int64).reshape(shape) % 10
        header = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
        (tmp_path / name).write_bytes(header + values.astype(np.uint8).tobytes())
    task = mnist("mnist", data_dir=tmp_path)
    assert task.train_split.images.shape == (20, 784)
    assert task.data_source == f"mnist: the IDX files in {tmp_path}"
    with pytest.raises(ValueError, match="mnist: data_dir is for a dataset that is given by name"):
        mnist(prototypes(), data_dir=tmp_path)
    monkeypatch.setenv("JAXGA_DATA_DIR", str(tmp_path))
    jax.tree.map(np.testing.assert_array_equal, mnist(), task)


def test_search_spaces():
    assert small().space.names == ("learning_rate", "momentum")
    full = small(search="full").space
    assert set(full.names) == {"learning_rate", "momentum", "hidden_size", *NEUTRAL}
    corners = full.decode(jnp.stack([jnp.zeros(full.size), jnp.ones(full.size)]))
    np.testing.assert_allclose(corners["learning_rate"], [1e-4, 1.0], rtol=1e-5)
    np.testing.assert_allclose(corners["momentum"], [0.0, 0.99])
    assert corners["hidden_size"].tolist() == [8, 32]


@pytest.mark.parametrize(
    "argument",
    [{"num_steps": 0}, {"batch_size": 0}, {"hidden_size": 0}, {"search": "wide"}, {"precision": "float16"}],
    ids=str,
)
def test_arguments_are_checked(argument):
    [(name, value)] = argument.items()
    with pytest.raises(ValueError, match=rf"mnist: {name} must be .*, got '?{value}'?"):
        small(**argument)
    with pytest.raises(ValueError, match="hidden_size must be a whole number of at least 9"):
        small(search="full", hidden_size=8)


def test_real_images_are_learnt(real_mnist):
    task = mnist(load_images("mnist", real_mnist), num_steps=100)
    _, metrics, _ = retrain(task, jax.random.key(0), setting(learning_rate=0.2, momentum=0.8))
    # A training on shuffled labels stays at 10 %.
    assert float(metrics["test_accuracy"]) > 0.90


@pytest.mark.slow
def test_published_accuracy_on_fresh_seeds(real_mnist):
    """One hidden layer of 128 units, 2,000 minibatches of 128: at least 97.3 % on the test images."""
    task = mnist(load_images("mnist", real_mnist), num_steps=2000)
    run = jax.jit(lambda task, keys, s: jax.lax.map(lambda key: task.test(key, s), keys))
    _, metrics, _ = run(task, jax.random.split(jax.random.key(7), 5), setting(learning_rate=0.3, momentum=0.85))
    assert float(metrics["test_accuracy"].mean()) >= 0.973
