"""Guess the numbers: a task without any training, to watch an algorithm."""

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga import Evaluation, Integer, Objective, SearchSpace, run_defaults, single_precision
from jaxga.checks import check_count


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["target"],
    meta_fields=["space", "objective"],
)
@dataclass(frozen=True)
class Guess:
    """Hidden whole numbers; the value is the mean absolute distance to them. Built by :func:`guess`.

    Attributes:
        target: i32[N], the hidden numbers.
        space: one ``Integer`` per number.
        objective: the mean distance, minimised; 0 where every number is right.
    """

    target: Array
    space: SearchSpace
    objective: Objective = field(default=Objective("mean distance", "min"))

    @single_precision
    def evaluate(self, key: Array, setting: dict[str, Array]) -> Evaluation:
        """The mean of ``|guess - target|`` over the N numbers. Metric: ``num_correct`` i32[]. The key is not used."""
        guesses = jnp.stack([jnp.asarray(setting[name], jnp.float32) for name in self.space.names])
        distance = jnp.abs(guesses - self.target.astype(jnp.float32))
        return Evaluation(jnp.mean(distance), {"num_correct": jnp.sum(distance == 0)})


@run_defaults(population_size=10, num_generations=30, num_fresh=1, is_heavy=False)
def guess(*, num_numbers: int = 10, high: int = 99, target_seed: int = 0) -> Guess:
    """The task "guess the numbers": ``num_numbers`` hidden whole numbers in ``[0, high]``.

    The mean absolute distance has no local optimum, every number has the same weight, and its unit is that of the
    numbers. The original experiment: initial population 10, 4 parents, 1 mutation.

    Args:
        num_numbers: how many, at least 1.
        high: the largest number, at least 1.
        target_seed: the seed of the hidden numbers, at least 0.

    Returns:
        The task, its ``space`` named ``n0``, ``n1``, ...

    Raises:
        ValueError: an argument is no whole number, or below its least value.

    >>> task = guess()
    >>> right = dict(zip(task.space.names, task.target))
    >>> float(task.evaluate(jax.random.key(0), right).value)
    0.0
    """
    for name, value, least in (("num_numbers", num_numbers, 1), ("high", high, 1), ("target_seed", target_seed, 0)):
        check_count(f"guess: {name}", value, least)
    target = np.random.default_rng(target_seed).integers(0, high + 1, num_numbers)
    space = SearchSpace({f"n{i}": Integer(0, high) for i in range(num_numbers)})
    return Guess(jnp.asarray(target, jnp.int32), space)
