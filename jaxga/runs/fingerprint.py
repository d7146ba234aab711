"""Digests of what a search computes, so that a resume can tell whether its functions have changed."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxga.base import Algorithm, Measured, Task
from jaxga.precision import single_precision
from jaxga.runs.checkpoint import digest

# A function that a program calls is printed with its address, which is another one in each process.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@single_precision
def fingerprint(task: Task, algorithm: Algorithm | None = None) -> dict[str, str]:
    """SHA-256 of the traced programs of a task's ``evaluate`` and of an algorithm, with the constants in them.

    Without an algorithm, only the task's digest is returned. Comments and names in the source do not
    count, nor do a task's data, which have a digest of their own. What a program asks of the host by a callback is not
    seen.
    """

    def evaluate(task: Task, key: Any, genome: Any) -> Any:
        return task.evaluate(key, task.space.decode(genome))

    key = jax.random.key(0, impl="threefry2x32")
    found = {"task": _sha256(_program(evaluate, task, key, jnp.zeros(task.space.size)))}
    if algorithm is None:
        return found
    state = jax.eval_shape(algorithm.init, key)
    genomes, number = jnp.zeros((algorithm.population_size, task.space.size)), jnp.arange(algorithm.population_size)
    loss = genomes[:, 0]
    # Of the shapes of a run, so that what is traced here is not traced again there.
    told = [_program(algorithm.ask, key, state), _program(algorithm.tell, key, state, genomes, loss, loss)]
    if algorithm.revise is not None:
        told.append(_program(algorithm.revise, key, state, Measured(genomes, number, loss, loss, loss)))
    return found | {"algorithm": _sha256(*told)}


def _program(function: Callable[..., Any], *arguments: Any) -> str:
    """A traced program as text, with the digest of its constants."""
    traced = jax.make_jaxpr(function)(*arguments)
    return _ADDRESS.sub("", str(traced)) + digest(traced.consts)


def _sha256(*programs: str) -> str:
    return hashlib.sha256("\n".join(programs).encode()).hexdigest()
