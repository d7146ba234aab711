"""32-bit types for code that promises them, also under ``jax_enable_x64``."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

_NARROW = {"float64": jnp.float32, "int64": jnp.int32, "uint64": jnp.uint32, "complex128": jnp.complex64}

P = ParamSpec("P")
R = TypeVar("R")


def single_precision(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator: the function, and the functions that it returns, run with JAX's 32-bit types.

    Under ``jax_enable_x64`` JAX creates 64-bit numbers by default. Then the two branches of a ``cond`` may differ in
    type, and a search draws other numbers. It is meant for a task's ``evaluate``, and for a factory of functions or of
    a named tuple of functions. 64-bit arguments are converted to 32 bits.

    >>> with jax.enable_x64(True):
    ...     jnp.zeros(2).dtype.name, single_precision(jnp.zeros)(2).dtype.name
    ('float64', 'float32')
    """

    @wraps(function)
    def narrow(*args: P.args, **kwargs: P.kwargs) -> R:
        if not jax.config.read("jax_enable_x64"):
            return _functions_of(function(*args, **kwargs))
        with jax.enable_x64(False):
            args, kwargs = jax.tree.map(_narrowed, (args, kwargs))  # pyright: ignore[reportAssignmentType]
            return _functions_of(function(*args, **kwargs))

    return narrow


def _narrowed(leaf: Any) -> Any:
    dtype = _NARROW.get(str(getattr(leaf, "dtype", "")))
    if dtype is None:
        return leaf
    # An array of numpy is static, and stays one inside a trace.
    return leaf.astype(dtype) if isinstance(leaf, np.ndarray | np.generic) else jnp.asarray(leaf, dtype)


def _functions_of(result: Any) -> Any:
    if hasattr(result, "_replace"):
        return result._replace(**{k: single_precision(v) for k, v in result._asdict().items() if _is_function(v)})
    return single_precision(result) if _is_function(result) else result


def _is_function(value: Any) -> bool:
    """Whether a value is callable and not a pytree of arrays; a trained model may be both."""
    return callable(value) and jax.tree_util.all_leaves([value])
