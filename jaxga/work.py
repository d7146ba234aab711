"""What one member's training costs, read off its traced program: nothing is compiled and nothing runs.

The program of a population is walked once. An array belongs to a member if one of its axes is as long as the
population, which is given a length that no other axis has.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Var, jaxprs_in_params

from jaxga.base import Evaluation, Task
from jaxga.evaluate import train_members

_NUM_MEMBERS = 8191  # a prime: an axis that a reshape merged with the population's is still a multiple of it
# XLA computes these where their result is read, and keeps no array of it.
_FUSED = {"broadcast_in_dim", "convert_element_type", "copy", "expand_dims", "iota", "reshape", "slice", "squeeze"}
# Of one Zen 4 core, fitted to MNIST and CartPole in chunks of 1 to 64: see benchmarks/memory_plan.md.
_FLOPS_A_SECOND, _BYTES_A_SECOND = 70e9, 90e9


class Work(NamedTuple):
    """Of one member.

    Attributes:
        memory: bytes of the arrays that are alive at the same time, at most.
        operations: how many operations start.
        seconds: what they compute and write would take on one core of a CPU if starting them took no time.
    """

    memory: float
    operations: float
    seconds: float


def work_of(task: Task, method: Callable[..., Evaluation] | None = None) -> Work:
    """The work of one training.

    Args:
        task: what is trained.
        method: as in :func:`jaxga.evaluate.train_members`; by default the task's ``evaluate``.

    A loop whose number of passes depends on data counts as one pass, a branch as if it was always taken.
    """
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0, impl="threefry2x32"), _NUM_MEMBERS))
    genomes = jax.ShapeDtypeStruct((_NUM_MEMBERS, task.space.size), jnp.float32)
    method = type(task).evaluate if method is None else method
    return _walk(jax.make_jaxpr(lambda *jobs: train_members(method, *jobs))(task, keys, genomes).jaxpr)


def _walk(jaxpr: Jaxpr) -> Work:
    """The work of a program; of the arrays alive, those that come in belong to the program around it."""
    last_use = {v: i for i, equation in enumerate(jaxpr.eqns) for v in equation.invars if isinstance(v, Var)}
    last_use |= {v: len(jaxpr.eqns) for v in jaxpr.outvars if isinstance(v, Var)}
    alive: dict[Var, float] = {}
    memory = operations = seconds = 0.0
    for i, equation in enumerate(jaxpr.eqns):
        name = equation.primitive.name
        inner = [_walk(part) for part in jaxprs_in_params(equation.params)]
        inside = max((work.memory for work in inner), default=0.0)
        results = {v: 0.0 if name in _FUSED else _bytes(v) for v in equation.outvars if v in last_use}
        written = sum(results.values())
        # A call's results are among the arrays alive inside it; a loop has its carry, and what it stacks, besides.
        inside = inside + written if name in ("scan", "while") else max(inside, written)
        memory = max(memory, sum(alive.values()) + inside)
        passes = equation.params["length"] if name == "scan" else 1
        if any(work.operations for work in inner):
            operations += passes * sum(work.operations for work in inner)
            seconds += passes * sum(work.seconds for work in inner)
        elif written:
            operations += 1
            seconds += product_flops(equation) / _NUM_MEMBERS / _FLOPS_A_SECOND + written / _BYTES_A_SECOND
        alive |= results
        for v in {v for v in equation.invars if isinstance(v, Var) and last_use[v] == i}:
            alive.pop(v, None)
    return Work(memory, operations, seconds)


def _bytes(v: Var) -> float:
    """Bytes of one member's share of an array, 0 where it is the same for all members."""
    shape = getattr(v.aval, "shape", ())
    if not any(length and length % _NUM_MEMBERS == 0 for length in shape):
        return 0.0
    return math.prod(shape) // _NUM_MEMBERS * getattr(v.aval, "dtype").itemsize  # noqa: B009 - an array has one


def product_flops(equation: Any) -> float:
    """Floating-point operations of an equation of a traced program: 0 unless it is a matrix product or a convolution.

    A multiplication and an addition count as two.
    """
    name = equation.primitive.name
    if name not in ("dot_general", "conv_general_dilated"):
        return 0.0
    left, right = (v.aval.shape for v in equation.invars[:2])
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        products = math.prod(left[axis] for axis in contracted)
    else:
        products = math.prod(right) // right[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2.0 * products * math.prod(equation.outvars[0].aval.shape)
