"""Random numbers as the algorithms draw them."""

import math

import jax
from jax import Array


def uniform(key: Array, shape: tuple[int, ...]) -> Array:
    """``jax.random.uniform``, the same numbers, drawn as one row, which XLA compiles in a fraction of the time.

    On a CPU (20, 64, 10, 2) took 6.5 s to compile, and as one row 0.3 s.
    """
    return jax.random.uniform(key, (math.prod(shape),)).reshape(shape)
