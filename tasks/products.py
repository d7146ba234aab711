"""The products of dense and of convolutional layers, in an order and a precision that devices compute fast."""

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


def convolution(precision: Precision) -> Callable[..., Array]:
    """A ``conv_general_dilated`` for ``flax.linen.Conv`` with padding ``"SAME"`` and stride 1, as one matrix product.

    ``x`` f32[N, ..., I] and ``kernel`` f32[K, ..., I, O] give f32[N, ..., O]; one or two axes stand for the dots. The
    rows of the product are the windows of ``x``: K, or K x K, copies of ``x``, shifted. They take as many times the
    memory of ``x``. XLA's own convolution takes 7 to 15 times as long in a training on a CPU, and with kernels that
    differ from member to member it becomes a grouped convolution, slow on every device (benchmarks/cnn.md).

    Args:
        precision: as of :func:`dense_product`.
    """
    multiply = dense_product(precision)

    def convolve(x: Array, kernel: Array, *_: Any, **__: Any) -> Array:  # stride 1, no dilation, one group
        window, num_outputs = kernel.shape[:-2], kernel.shape[-1]
        # Axis by axis, the last one first: K + K slices instead of K x K, in the order of the kernel's rows.
        for axis, size in reversed([*enumerate(window, start=1)]):
            padding = [((size - 1) // 2, size // 2) if a == axis else (0, 0) for a in range(x.ndim)]
            padded, length = jnp.pad(x, padding), x.shape[axis]
            shifted = [lax.slice_in_dim(padded, start, start + length, axis=axis) for start in range(size)]
            x = jnp.concatenate(shifted, axis=-1)
        return multiply(x, kernel.reshape(-1, num_outputs))

    return convolve


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
