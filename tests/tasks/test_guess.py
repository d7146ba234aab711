"""Guess the numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga.tasks.guess import guess


def evaluate(task, guesses):
    setting = dict(zip(task.space.names, jnp.asarray(guesses), strict=True))
    return task.evaluate(jax.random.key(0), setting)


def test_value_is_mean_absolute_distance():
    task = guess(target_seed=3)
    guesses = np.random.default_rng(1).integers(0, 100, 10)
    value, metrics, _ = evaluate(task, guesses)
    distances = [abs(int(a) - int(b)) for a, b in zip(guesses, np.asarray(task.target), strict=True)]
    assert float(value) == pytest.approx(sum(distances) / 10)
    assert int(metrics["num_correct"]) == distances.count(0)


def test_only_the_target_has_distance_zero():
    task = guess()
    value, metrics, _ = evaluate(task, task.target)
    assert float(value) == 0.0
    assert int(metrics["num_correct"]) == 10
    # One number off by one: a tenth, in whichever direction.
    step = jnp.where(task.target[0] < 99, 1, -1)
    assert float(evaluate(task, task.target.at[0].add(step)).value) == pytest.approx(0.1)


def test_original_ranges_and_hidden_target():
    task = guess()
    assert task.space.num_levels.tolist() == [100] * 10
    assert 0 <= int(task.target.min()) <= int(task.target.max()) <= 99
    assert np.array_equal(task.target, guess().target)
    assert not np.array_equal(task.target, guess(target_seed=1).target)
    # The target is data, not structure: another one does not recompile.
    assert jax.tree.structure(task) == jax.tree.structure(guess(target_seed=1))


def test_the_upper_bound_is_reached():
    targets = [guess(num_numbers=200, high=1, target_seed=seed).target for seed in range(3)]
    assert all(set(target.tolist()) == {0, 1} for target in targets)


@pytest.mark.parametrize("argument", [{"num_numbers": 0}, {"high": 0}, {"target_seed": -1}, {"num_numbers": 2.5}])
def test_arguments_are_checked(argument):
    [(name, value)] = argument.items()
    with pytest.raises(ValueError, match=rf"guess: {name} must be a whole number of at least \d, got {value}"):
        guess(**argument)
