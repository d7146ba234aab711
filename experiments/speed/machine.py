"""The machine's own limits, that a program's speed is a fraction of."""

import os
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

_SIZE = 2048
_NUM_FLOATS = 1 << 26  # three arrays of 256 MB: no cache holds them


def use_cores(num: int) -> None:
    """Let this process, and those that it starts, run on its first ``num`` cores alone, where the system can do it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:num])


def _least_seconds(function: Callable[[], jax.Array], times: int = 5) -> float:
    function().block_until_ready()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        function().block_until_ready()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def limits() -> dict[str, float]:
    """FLOP/s of a 2048 x 2048 matrix product, and bytes/s of ``y + 2 x`` over 768 MB; all cores of one process.

    ``bfloat16_flops`` is the product of bfloat16 matrices with a float32 result, ``numpy_flops`` numpy's in float32.
    """
    values = np.random.default_rng(0).normal(size=(2, _SIZE, _SIZE)).astype(np.float32)
    flops = 2.0 * _SIZE**3
    found = {}
    for name in ("float32", "bfloat16"):
        first, second = jnp.asarray(values, name)
        product = jax.jit(lambda x, y: jax.lax.dot(x, y, preferred_element_type=jnp.float32))
        found[f"{name}_flops"] = flops / _least_seconds(lambda p=product, x=first, y=second: p(x, y))
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        np.matmul(values[0], values[1])
        seconds.append(time.perf_counter() - began)
    found["numpy_flops"] = flops / min(seconds)
    x, y = jnp.ones(_NUM_FLOATS), jnp.ones(_NUM_FLOATS)
    triad = jax.jit(lambda x, y: y + 2.0 * x)
    found["bandwidth"] = 3 * 4.0 * _NUM_FLOATS / _least_seconds(lambda: triad(x, y))
    return found
