"""Digests of what a search computes, so that a resume can tell whether its functions have changed."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxga.base import Algorithm, Task
from jaxga.precision import single_precision
from jaxga.runs.checkpoint import digest

# A function that a program calls is printed with its address, which is another one in each process.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@single_precision
def fingerprint(task: Task, algorithm: Algorithm) -> dict[str, str]:
    """SHA-256 of the traced programs of a task's ``evaluate`` and of an algorithm, with the constants in them.

    Comments and names in the source do not count, nor do a task's data, which have a digest of their own. What a
    program asks of the host by a callback is not seen.
    """

    def evaluate(task: Task, key: Any, genome: Any) -> Any:
        return task.evaluate(key, task.space.decode(genome))

    key = jax.random.key(0, impl="threefry2x32")
    state = jax.eval_shape(algorithm.init, key)
    genomes = jnp.zeros((algorithm.population_size, task.space.size))
    return {
        "task": _digest(evaluate, task, key, jnp.zeros(task.space.size)),
        "algorithm": _digest(algorithm.ask, key, state) + _digest(algorithm.tell, key, state, genomes, genomes[:, 0]),
    }


def _digest(function: Callable[..., Any], *arguments: Any) -> str:
    traced = jax.make_jaxpr(function)(*arguments)
    text = _ADDRESS.sub("", str(traced))
    return hashlib.sha256((text + digest(traced.consts)).encode()).hexdigest()
