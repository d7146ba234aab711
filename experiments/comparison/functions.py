"""Synthetic functions of a point in ``[-5, 5]^D``, already shifted and rotated: least, and 0, at ``z = 0``.

Source of most: Hansen, Finck, Ros and Auger, "Real-Parameter Black-Box Optimization Benchmarking 2009: Noiseless
Functions Definitions" (2009), here without its oscillating and asymmetric transformations.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

_NUM_PEAKS = 21


class Function(NamedTuple):
    """One function: ``kind`` is ``smooth``, ``multimodal`` or ``step``; ``value`` maps f32[D] to f32[]."""

    kind: str
    value: Callable[[Array], Array]
    is_rotated: bool = True


def _spread(z: Array, exponent: float) -> Array:
    """``10^(exponent i / (D - 1))`` for the i-th of D coordinates."""
    return 10.0 ** jnp.linspace(0.0, exponent, z.shape[0])


def _sphere(z: Array) -> Array:
    return jnp.sum(z**2)


def _ellipsoid(z: Array) -> Array:
    return jnp.sum(_spread(z, 6.0) * z**2)


def _discus(z: Array) -> Array:
    return 1e4 * z[0] ** 2 + jnp.sum(z[1:] ** 2)


def _ridge(z: Array) -> Array:
    return z[0] ** 2 + 100.0 * jnp.sqrt(jnp.sum(z[1:] ** 2))


def _valley(z: Array) -> Array:
    """Each term of Rosenbrock's function, its optimum moved from ones to zeros."""
    w = z + 1.0
    return 100.0 * (w[:-1] ** 2 - w[1:]) ** 2 + (w[:-1] - 1.0) ** 2


def _rosenbrock(z: Array) -> Array:
    return jnp.sum(_valley(z))


def _powers(z: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.abs(z) ** (2.0 + jnp.linspace(0.0, 4.0, z.shape[0]))))


def _decay(z: Array) -> Array:
    """Few coordinates matter, as few hyperparameters do."""
    return jnp.sum(0.25 ** jnp.arange(z.shape[0]) * jnp.abs(z) ** 1.5)


def _schwefel(z: Array) -> Array:
    return jnp.sum(jnp.cumsum(z) ** 2)


def _rastrigin(z: Array) -> Array:
    return jnp.sum(10.0 * (1.0 - jnp.cos(2.0 * jnp.pi * z)) + z**2)


def _ackley(z: Array) -> Array:
    bowl = 20.0 * (1.0 - jnp.exp(-0.2 * jnp.sqrt(jnp.mean(z**2))))
    return bowl + jnp.e - jnp.exp(jnp.mean(jnp.cos(2.0 * jnp.pi * z)))


def _schaffer(z: Array) -> Array:
    s = jnp.sqrt(z[:-1] ** 2 + z[1:] ** 2)
    return jnp.mean(jnp.sqrt(s) * (1.0 + jnp.sin(50.0 * s**0.2) ** 2)) ** 2


def _gallagher(z: Array) -> Array:
    """21 peaks of which one is the highest, at ``z = 0``."""
    key_place, key_width = jax.random.split(jax.random.key(21))
    places = jax.random.uniform(key_place, (_NUM_PEAKS, z.shape[0]), minval=-6.0, maxval=6.0).at[0].set(0.0)
    widths = 10.0 ** jax.random.uniform(key_width, (_NUM_PEAKS, z.shape[0]), minval=-0.5, maxval=0.5)
    heights = jnp.linspace(1.1, 9.1, _NUM_PEAKS).at[0].set(10.0)
    exponent = jnp.sum(widths * (z[None] - places) ** 2, axis=1) / (2.0 * z.shape[0])
    return (10.0 - jnp.max(heights * jnp.exp(-exponent))) ** 2


def _levy(z: Array) -> Array:
    w = 1.0 + z / 4.0
    middle = jnp.sum((w[:-1] - 1.0) ** 2 * (1.0 + 10.0 * jnp.sin(jnp.pi * w[:-1] + 1.0) ** 2))
    # The sine of the middle terms is not 0 at the optimum, its factor is.
    last = (w[-1] - 1.0) ** 2 * (1.0 + jnp.sin(2.0 * jnp.pi * w[-1]) ** 2)
    return jnp.sin(jnp.pi * (w[0] - 1.0)) ** 2 + middle + last


def _griewank_rosenbrock(z: Array) -> Array:
    s = _valley(z)
    return 10.0 * jnp.mean(s / 4000.0 + 1.0 - jnp.cos(s))


def _step_ellipsoid(z: Array) -> Array:
    coarse, fine = jnp.floor(0.5 + z), jnp.floor(0.5 + 10.0 * z) / 10.0
    return jnp.sum(_spread(z, 2.0) * jnp.where(jnp.abs(z) > 0.5, coarse, fine) ** 2)


def _staircase(z: Array) -> Array:
    return jnp.sum(jnp.floor(2.0 * jnp.abs(z)) ** 1.5)


FUNCTIONS: dict[str, Function] = {
    "sphere": Function("smooth", _sphere),
    "ellipsoid": Function("smooth", _ellipsoid),
    "discus": Function("smooth", _discus),
    "ridge": Function("smooth", _ridge),
    "rosenbrock": Function("smooth", _rosenbrock),
    "powers": Function("smooth", _powers),
    "decay": Function("smooth", _decay, is_rotated=False),
    "schwefel": Function("smooth", _schwefel),
    "rastrigin": Function("multimodal", _rastrigin),
    "ackley": Function("multimodal", _ackley),
    "schaffer": Function("multimodal", _schaffer),
    "gallagher": Function("multimodal", _gallagher),
    "levy": Function("multimodal", _levy),
    "griewank_rosenbrock": Function("multimodal", _griewank_rosenbrock),
    "step_ellipsoid": Function("step", _step_ellipsoid),
    "staircase": Function("step", _staircase),
}
