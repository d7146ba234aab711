"""The matrix products of a dense layer, in an order and a precision that devices compute fast."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array, lax

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


def dense_product(precision: Precision) -> Callable[..., Array]:
    """A ``dot_general`` for ``flax.linen.Dense``: ``x @ kernel`` of x f32[..., I] and kernel f32[I, O].

    The kernel's gradient is computed as ``x.T @ g``. JAX's own rule is ``(g.T @ x).T``, after which XLA transposes an
    array of the kernel's size in every step.

    Args:
        precision: ``"float32"``; or ``"bfloat16"``: the factors of each product, forward and backward, are rounded to
            8 bits of mantissa, and the sums are float32. Fast on devices with such products: an accelerator, a CPU with
            AVX512-BF16 or AMX. Other CPUs compute it more slowly than float32.
    """

    def product(x: Array, kernel: Array, *_: Any, **__: Any) -> Array:  # a Dense always contracts these two axes
        rows: Any = _product(precision, x.reshape(-1, x.shape[-1]), kernel)
        return rows.reshape(*x.shape[:-1], kernel.shape[-1])

    return product


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _product(precision: Precision, x: Array, kernel: Array) -> Array:
    return _multiply(precision)(x, kernel)


def _forward(precision: Precision, x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _product(precision, x, kernel), (x, kernel)


def _backward(precision: Precision, factors: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = factors
    multiply = _multiply(precision)
    return multiply(g, kernel.T), multiply(x.T, g)


_product.defvjp(_forward, _backward)


def _multiply(precision: Precision) -> Callable[[Array, Array], Array]:
    if precision == "float32":
        return lax.dot
    # XLA has no batched product of this kind on some CPUs (it fails at run time): there a vmap becomes a loop.
    return jax.custom_batching.sequential_vmap(_bfloat16) if jax.default_backend() == "cpu" else _bfloat16


def _bfloat16(x: Array, y: Array) -> Array:
    return lax.dot(x.astype(jnp.bfloat16), y.astype(jnp.bfloat16), preferred_element_type=jnp.float32)
