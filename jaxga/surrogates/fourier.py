"""Random Fourier features: an approximate Gaussian process whose prediction costs the same for any number of points."""

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import Surrogate
from jaxga.precision import single_precision
from jaxga.space import SearchSpace
from jaxga.surrogates.features import num_features, numeric
from jaxga.surrogates.linear import bayesian_linear

# The evidence chooses one of these length scales; their unit is D^(1/4) times the side of the cube.
_LENGTHS = (0.15, 0.3, 0.6, 1.2)


@single_precision
def random_features(space: SearchSpace, *, num_points: int, num_units: int = 256) -> Surrogate:
    """Bayesian linear regression on random cosines with the frequencies of a Matern-5/2 kernel.

    It equals a network with one hidden layer of random weights, whose last layer is solved exactly.

    Args:
        space: the search space; each choice of a category is one 0/1 input.
        num_points: the number of rows that ``fit`` gets (not used: any number is possible).
        num_units: number of cosines, at least 8.

    Source: A. Rahimi, B. Recht, "Random features for large-scale kernel machines", 2007.
    """
    del num_points
    if num_units < 8:
        raise ValueError(f"random_features: num_units must be at least 8, got {num_units!r}")
    size = num_features(space)
    key_normal, key_chi, key_phase = jax.random.split(jax.random.key(0, impl="threefry2x32"), 3)
    # The spectrum of a Matern-5/2 kernel is Student's t distribution with five degrees of freedom.
    chi_square = jnp.sum(jnp.square(jax.random.normal(key_chi, (5, num_units))), axis=0)
    frequencies = jax.random.normal(key_normal, (size, num_units)) * jnp.sqrt(5.0 / chi_square)[None, :]
    phases = jax.random.uniform(key_phase, (num_units,), maxval=2.0 * jnp.pi)
    lengths = jnp.array(_LENGTHS) * size**0.25

    def features(choice: Array, genomes: Array) -> Array:
        waves = numeric(space, genomes) @ frequencies / lengths[choice]
        return jnp.sqrt(2.0 / num_units) * jnp.cos(waves + phases[None, :])

    return bayesian_linear(features, len(_LENGTHS), num_units, predicts_noise=False)
