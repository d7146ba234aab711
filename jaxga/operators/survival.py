"""Survival: who lives on. ``survive(loss_parents f32[M], loss_children f32[L]) -> indices i32[M]``.

The indices point into the parents followed by the children, best first. A failed member (``+inf`` or NaN) counts
as the worst.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from jaxga.checks import check_count
from jaxga.precision import single_precision

Survival = Callable[[Array, Array], Array]


def _order(loss: Array) -> Array:
    return jnp.argsort(jnp.where(jnp.isnan(loss), jnp.inf, loss))


@single_precision
def plus() -> Survival:
    """(mu + lambda): the best M of parents and children together; the best is never lost.

    >>> plus()(jnp.array([1.0, 4.0]), jnp.array([3.0, 2.0])).tolist()
    [0, 3]
    """

    def survive(loss_parents: Array, loss_children: Array) -> Array:
        return _order(jnp.concatenate([loss_parents, loss_children]))[: loss_parents.shape[0]]

    return survive


@single_precision
def comma(num_elites: int = 0) -> Survival:
    """(mu, lambda) with elites: the best ``num_elites`` parents live on, the children compete for the rest.

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
        elites = _order(loss_parents)[:num_elites]
        children = size + _order(loss_children)[: size - num_elites]
        loss = jnp.concatenate([loss_parents, loss_children])
        survivors = jnp.concatenate([elites, children])
        return survivors[_order(loss[survivors])]

    return survive
