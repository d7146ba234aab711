"""Trainings that can be cut into parts."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxga
from jaxga import Evaluation, LogUniform, Objective, SearchSpace, Uniform


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Line(jaxga.Trainable):
    """A user's own Flax model, 5 steps a part; the learning rate falls over the whole training."""

    inputs: jax.Array
    space = SearchSpace(lr=LogUniform(1e-2, 1.0), momentum=Uniform(0.0, 0.9))
    objective, num_parts, part_size = Objective("loss"), 4, 5

    def optimizer(self, setting):
        num_steps = self.num_parts * self.part_size
        return optax.sgd(lambda i: setting["lr"] * (1 - i / num_steps), setting["momentum"])

    def init(self, key, setting):
        params = nn.Dense(1).init(key, self.inputs)
        return params, self.optimizer(setting).init(params)

    def advance(self, key, carry, setting, part):
        def step(carry, key):
            params, state = carry
            x = jax.random.choice(key, self.inputs, (4,))
            gradient = jax.grad(lambda params: jnp.mean((nn.Dense(1).apply(params, x) - 2 * x) ** 2))(params)
            updates, state = self.optimizer(setting).update(gradient, state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, carry, jax.random.split(key, self.part_size))[0]

    def score(self, key, carry, setting):
        loss = jnp.mean((nn.Dense(1).apply(carry[0], self.inputs) - 2 * self.inputs) ** 2)
        return Evaluation(loss, {}, carry[0])


TASK = Line(jnp.linspace(-1, 1, 16)[:, None])
SETTING = {"lr": jnp.float32(0.3), "momentum": jnp.float32(0.5)}


def test_a_training_in_parts_is_one_in_one_go():
    key = jax.random.key(3)
    carry, losses = jax.jit(TASK.init)(jax.random.fold_in(key, 0), SETTING), []
    for part in range(TASK.num_parts):
        carry = jax.jit(TASK.advance)(jax.random.fold_in(key, part + 1), carry, SETTING, jnp.int32(part))
        losses.append(float(TASK.scored(key, carry, SETTING).value))
    whole = jax.jit(TASK.evaluate)(key, SETTING)
    np.testing.assert_allclose(losses[-1], whole.value, rtol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), carry[0], whole.model)
    assert losses[0] > losses[-1]


def test_a_trainable_is_a_task(tmp_path):
    assert isinstance(TASK, jaxga.Task)
    result = jaxga.optimize(
        TASK, population_size=8, num_generations=4, key=0, algorithm="ga", chunk_size=3, num_fresh=2, out=tmp_path
    )
    assert result.fresh_value < 0.1
    model = jaxga.load(tmp_path).model
    assert abs(float(model["params"]["kernel"][0, 0]) - 2.0) < 0.5


class WithoutParts(Line):
    num_parts = 0


class Grows(Line):
    def advance(self, key, carry, setting, part):
        return carry[0], jax.tree.map(lambda leaf: leaf.astype(jnp.float16), carry[1])


class Loses(Line):
    def advance(self, key, carry, setting, part):
        return carry[0]


class Looks(Line):
    def advance(self, key, carry, setting, part):
        return carry if setting["lr"] > 0.1 else carry[::-1]


class Misspells(Line):
    def init(self, key, setting):
        return setting["learning_rate"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WithoutParts, "task: num_parts must be a whole number of at least 1, got 0"),
        (
            Grows,
            r"task: advance must keep the carry's shapes and types: carry\[1\].* is float32.* after init and float16",
        ),
        (Loses, "task: advance must return a carry as init does, got "),
        (Looks, r"init or advance cannot be traced \(test_trainable.py:"),
        (
            Misspells,
            r"nothing has the name 'learning_rate' \(test_trainable.py:\d+\); a setting has \['lr', 'momentum'\]",
        ),
    ],
)
def test_a_mistake_is_one_line(kind, message):
    made: Any = jax.tree_util.register_dataclass(dataclass(frozen=True)(kind))
    with pytest.raises(ValueError, match=message) as error:
        jaxga.optimize(made(TASK.inputs), population_size=4, num_generations=1)
    assert "\n" not in str(error.value)
