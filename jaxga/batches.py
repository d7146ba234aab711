"""A function of many rows, computed from a few rows at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxga.base import PyTree
from jaxga.checks import check_count


def in_batches(function: Callable[[Any], PyTree], rows: PyTree, batch_size: int) -> PyTree:
    """``function(rows)``, computed from ``batch_size`` rows at a time, one batch after another.

    Memory then holds what one batch takes (under ``vmap``, of each member), and on a CPU the arrays stay in the cache.

    Args:
        function: gives for B rows a pytree of arrays with a first axis of length B; each row of the result depends on
            its own row alone.
        rows: a pytree of arrays with a first axis of length N >= 1.
        batch_size: B, at least 1. Where N is no multiple of B, the last batch is filled with rows from the beginning,
            whose results are dropped.

    Returns:
        The function's results, with a first axis of length N.

    Raises:
        ValueError: ``batch_size`` is no whole number of at least 1.

    >>> in_batches(lambda x: x * x, jnp.arange(5), batch_size=2)
    Array([ 0,  1,  4,  9, 16], dtype=int32)
    """
    check_count("in_batches: batch_size", batch_size, 1)
    num_rows = jax.tree.leaves(rows)[0].shape[0]
    if num_rows <= batch_size:
        return function(rows)
    num_batches = -(-num_rows // batch_size)
    if num_batches * batch_size > num_rows:
        padding = jnp.arange(num_batches * batch_size) % num_rows
        rows = jax.tree.map(lambda x: x[padding], rows)
    batches = jax.tree.map(lambda x: x.reshape(num_batches, batch_size, *x.shape[1:]), rows)
    # `lax.map(batch_size=)` does the same, but fails on arrays without an element, which a model may have.
    results = lax.map(function, batches)
    return jax.tree.map(lambda x: x.reshape(num_batches * batch_size, *x.shape[2:])[:num_rows], results)
