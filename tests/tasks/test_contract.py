"""What every task owes the engine; a registered task adds one row to ``ROWS``."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxga
from jaxga import loop
from jaxga.tasks.classical import adaboost, knn, random_forest, svm
from jaxga.tasks.cnn import cnn
from jaxga.tasks.data import ImageData
from jaxga.tasks.guess import guess
from jaxga.tasks.mnist import mnist
from jaxga.tasks.neuroevolution import neuroevolution
from jaxga.tasks.ppo import ppo
from tests.tasks.test_factories import REGISTERED


class Row(NamedTuple):
    """A light instance of a task, built anew at each call, and whether its value depends on the key."""

    build: Callable[[], Any]
    is_noisy: bool


def _tiny_images(dtype=np.uint8) -> ImageData:
    rng = np.random.default_rng(0)
    splits = [array for n in (40, 20, 20) for array in (rng.integers(0, 256, (n, 9), np.uint8), rng.integers(0, 10, n))]
    splits[::2] = [(images / 255).astype(dtype) if dtype == np.float32 else images for images in splits[::2]]
    return ImageData("noise", "made up", *splits)


def _tiny_mnist(search):
    return mnist(_tiny_images(), search=search, num_steps=4, batch_size=5, hidden_size=12)


ROWS = {
    "guess": Row(guess, is_noisy=False),
    "mnist": Row(lambda: _tiny_mnist("default"), is_noisy=True),
    "mnist full": Row(lambda: _tiny_mnist("full"), is_noisy=True),
    "cnn": Row(
        lambda: cnn(
            _tiny_images(np.float32),  # as signals: a convolution of one axis compiles faster
            num_steps=4,
            batch_size=5,
            max_conv_layers=1,
            max_filters=5,
            max_kernel_size=3,
            max_dense_layers=1,
            max_units=5,
        ),
        is_noisy=True,
    ),
    # One episode each and one update: rounding grows with every further update.
    "ppo": Row(
        lambda: ppo(
            "Pendulum-v1",
            num_steps=400,
            num_envs=2,
            rollout_length=200,
            num_epochs=1,
            num_minibatches=2,
            num_episodes=1,
        ),
        is_noisy=True,
    ),
}
ROWS["neuroevolution"] = Row(
    lambda: neuroevolution("CartPole-v1", hidden_sizes=(4,), num_episodes=2, num_steps=60), is_noisy=True
)
CLASSICAL = {"svm": svm, "knn": knn, "adaboost": adaboost, "random_forest": random_forest}
ROWS |= {
    name: Row(partial(factory, "wine", num_folds=2, num_workers=1), is_noisy=True)
    for name, factory in CLASSICAL.items()
}
NUM_MEMBERS = 4
# ``test`` is optional; where a task has it, it owes the same.
CASES = [
    (name, method) for name, row in ROWS.items() for method in ("evaluate", "test") if hasattr(row.build(), method)
]

# Compiled once per task and method, for all tests here.
_one = jax.jit(lambda method, task, key, setting: getattr(task, method)(key, setting), static_argnums=0)
_many = jax.jit(lambda method, task, keys, settings: jax.vmap(getattr(task, method))(keys, settings), static_argnums=0)


@pytest.fixture(params=ROWS)
def row(request):
    return ROWS[request.param]


@pytest.fixture(params=CASES, ids="-".join)
def case(request):
    name, method = request.param
    return method, ROWS[name].build()


def settings(task, seed=0):
    """``NUM_MEMBERS`` settings, their genes away from the bounds, where a training could diverge."""
    genomes = jax.random.uniform(jax.random.key(seed), (NUM_MEMBERS, task.space.size), minval=0.2, maxval=0.8)
    return task.space.decode(genomes)


def member(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


def assert_close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), a, b)


def test_every_registered_task_has_a_row():
    assert set(REGISTERED) - {"cartpole"} <= set(ROWS)  # cartpole() is ppo()


def test_is_a_task_and_a_pytree(row):
    task = row.build()
    assert isinstance(task, jaxga.Task)
    assert isinstance(task.space, jaxga.SearchSpace)
    assert task.objective.direction in ("min", "max")
    leaves, structure = jax.tree.flatten(task)
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
    # What is not data is static: hashable, and equal for equal arguments.
    again = jax.tree.structure(row.build())
    assert structure == again
    assert hash(structure) == hash(again)
    rebuilt = jax.tree.unflatten(structure, leaves)
    assert rebuilt.space == task.space
    with pytest.raises(AttributeError):
        task.space = None
    assert isinstance(getattr(task, "data_source", ""), str)


def test_evaluation_has_the_contract_shape(case):
    method, task = case
    evaluation = _one(method, task, jax.random.key(0), member(settings(task), 0))
    assert isinstance(evaluation, jaxga.Evaluation)
    assert evaluation.value.shape == ()
    assert evaluation.value.dtype == jnp.float32
    assert np.isfinite(evaluation.value)
    assert all(isinstance(metric, jax.Array) for metric in evaluation.metrics.values())


def test_vmap_equals_one_after_another(case):
    method, task = case
    keys, many = jax.random.split(jax.random.key(1), NUM_MEMBERS), settings(task)
    together = _many(method, task, keys, many)
    for i in range(NUM_MEMBERS):
        assert_close(member(together, i), _one(method, task, keys[i], member(many, i)))


def test_chunks_equal_one_batch(row):
    task = row.build()
    members = jax.random.split(jax.random.key(1), NUM_MEMBERS), settings(task)
    in_chunks = jax.jit(lambda task, members: jax.lax.map(lambda one: task.evaluate(*one), members, batch_size=2))
    assert_close(in_chunks(task, members), _many("evaluate", task, *members))


TRAINABLES = [name for name, row in ROWS.items() if isinstance(row.build(), jaxga.Trainable)]


@pytest.mark.parametrize("name", TRAINABLES)
def test_a_training_in_parts_is_one_in_one_go(name):
    task, key = ROWS[name].build(), jax.random.key(5)
    setting = member(settings(task), 0)
    # As users have them: PPO makes much of how a program rounds.
    jit = partial(jax.jit, compiler_options=loop.compiler_options())
    advance = jit(lambda task, *arguments: task.advance(*arguments))
    carry = jit(lambda task, *arguments: task.init(*arguments))(task, jax.random.fold_in(key, 0), setting)
    for part in range(task.num_parts):
        earlier, carry = carry, advance(task, jax.random.fold_in(key, part + 1), carry, setting, jnp.int32(part))
    score = jit(lambda task, *arguments: task.scored(*arguments))
    evaluate = jit(lambda task, *arguments: task.evaluate(*arguments))
    whole, cut = evaluate(task, key, setting), score(task, key, carry, setting)
    assert_close(whole, cut)
    assert float(score(task, key, earlier, setting).value) != float(whole.value)


def test_is_deterministic_in_its_key(row):
    task = row.build()
    keys = [jax.random.split(jax.random.key(seed), NUM_MEMBERS) for seed in (5, 5, 6)]
    first, again, other = (_many("evaluate", task, its, settings(task)) for its in keys)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert bool((first.value != other.value).any()) == row.is_noisy


def test_x64_changes_nothing(case):
    method, task = case
    one, key = member(settings(task), 0), jax.random.key(5)
    with jax.enable_x64(True), jax.debug_nans(True):
        wide = jax.jit(lambda task, key, one: getattr(task, method)(key, one))(task, key, one)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(wide)} <= {"float32", "int32"}
    assert_close(wide, _one(method, task, key, one))


def test_depends_on_its_setting(row):
    task = row.build()
    same_key = jnp.broadcast_to(jax.random.key(0), (NUM_MEMBERS,))
    assert len(set(_many("evaluate", task, same_key, settings(task)).value.tolist())) > 1


@pytest.mark.filterwarnings("ignore:a member failed")
def test_nan_setting_is_a_failed_member_and_nothing_else(case):
    method, task = case
    keys, good = jax.random.split(jax.random.key(1), NUM_MEMBERS), settings(task)
    real = [name for name, column in good.items() if jnp.issubdtype(column.dtype, jnp.floating)]
    # Whole numbers have no NaN; where there are no others, it comes as a float.
    bad = good | {name: good[name].astype(jnp.float32).at[1].set(jnp.nan) for name in real or good}
    with_nan, without = _many(method, task, keys, bad), _many(method, task, keys, good)
    assert not np.isfinite(with_nan.value[1])
    for i in set(range(NUM_MEMBERS)) - {1}:
        assert_close(member(with_nan, i), member(without, i))


def test_second_call_traces_nothing(case):
    method, task = case
    traces = []

    def call(task, key, one):
        traces.append(1)
        return getattr(task, method)(key, one).value

    # Lowering is enough, and cheap: it traces on a first call and finds the trace on the next ones.
    program = jax.jit(call)
    for seed in range(3):
        program.trace(task, jax.random.key(seed), member(settings(task, seed), seed))
    assert len(traces) == 1


def test_strict_flags(row):
    """No key is used twice (and, as in every test, no rank is promoted in silence)."""
    task = row.build()
    with jax.debug_key_reuse(True):
        evaluation = jax.jit(lambda task, key, one: task.evaluate(key, one))(
            task, jax.random.key(0), member(settings(task), 0)
        )
    assert np.isfinite(evaluation.value)
