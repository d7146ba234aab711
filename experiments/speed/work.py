"""How much a program computes: the floating-point operations and bytes of its matrix products and convolutions."""

from typing import Any, NamedTuple

from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.interpreters.partial_eval import dce_jaxpr

from jaxga.work import product_flops


class Work(NamedTuple):
    """Attributes:
    flops: a multiplication and an addition count as two.
    num_bytes: of the operands and results of each product, as if each of them crossed the memory once.
    """

    flops: float
    num_bytes: float

    def __add__(self, other: "Work") -> "Work":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Work(self.flops + other.flops, self.num_bytes + other.num_bytes)

    def __mul__(self, times: float) -> "Work":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Work(times * self.flops, times * self.num_bytes)


def count(program: Jaxpr | ClosedJaxpr) -> Work:
    """The work of a traced program, as ``jax.make_jaxpr`` gives it: the passes of its scans, the dearest of branches.

    Raises ``ValueError`` for a ``while`` loop around a product: how often it runs is not known.

    >>> import jax, jax.numpy as jnp
    >>> count(jax.make_jaxpr(jnp.dot)(jnp.ones((2, 3)), jnp.ones((3, 4)))).flops
    48.0
    """
    jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    # What no result depends on is traced, but XLA removes it.
    jaxpr, _ = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    total = Work(0.0, 0.0)
    for equation in jaxpr.eqns:
        name, inner = equation.primitive.name, [count(p) for p in _programs(equation.params)]
        if flops := product_flops(equation):
            arrays: list[Any] = [variable.aval for variable in (*equation.invars[:2], equation.outvars[0])]
            total += Work(flops, float(sum(array.size * array.dtype.itemsize for array in arrays)))
        elif name == "scan":
            total += sum(inner, Work(0.0, 0.0)) * equation.params["length"]
        elif name == "cond":
            total += max(inner)
        elif name == "while" and any(work.flops for work in inner):
            raise ValueError("work: a while loop around a matrix product: its number of passes is not known")
        else:
            total = sum(inner, total)
    return total


def _programs(parameters: dict[str, Any]) -> list[Any]:
    """The programs inside an equation: bodies of loops, branches, called functions."""
    found = [x for value in parameters.values() for x in (value if isinstance(value, tuple | list) else (value,))]
    return [x for x in found if isinstance(x, Jaxpr | ClosedJaxpr)]
