"""Survival: which members stay, ``survive(loss_parents f32[M], loss_children f32[L]) -> indices i32[M]``.

The indices point into the parents followed by the children, best first. A failed member (``+inf`` or NaN) counts
as the worst.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from jaxga.checks import check_count
from jaxga.operators.selection import order
from jaxga.precision import single_precision

Survival = Callable[[Array, Array], Array]


@single_precision
def plus() -> Survival:
    """(mu + lambda): the best M of parents and children together; the best is never lost.

    >>> plus()(jnp.array([1.0, 4.0]), jnp.array([3.0, 2.0])).tolist()
    [0, 3]
    """

    def survive(loss_parents: Array, loss_children: Array) -> Array:
        return order(jnp.concatenate([loss_parents, loss_children]))[: loss_parents.shape[0]]

    return survive


@single_precision
def comma(num_elites: int = 0) -> Survival:
    """(mu, lambda) with elites: the best ``num_elites`` parents stay, the other places go to the best children.

    Args:
        num_elites: at least 0, at most M; there must be at least M - ``num_elites`` children.

    Raises ``ValueError`` where the numbers do not fit.
    """
    check_count("comma: num_elites", num_elites, 0)

    def survive(loss_parents: Array, loss_children: Array) -> Array:
        size, num_children = loss_parents.shape[0], loss_children.shape[0]
        if num_elites > size or size - num_elites > num_children:
            raise ValueError(
                f"comma: num_elites must lie in [{max(0, size - num_children)}, {size}] for {size} parents and "
                f"{num_children} children, got {num_elites!r}"
            )
        elites = order(loss_parents)[:num_elites]
        children = size + order(loss_children)[: size - num_elites]
        loss = jnp.concatenate([loss_parents, loss_children])
        survivors = jnp.concatenate([elites, children])
        return survivors[order(loss[survivors])]

    return survive
