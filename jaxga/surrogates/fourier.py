"""Random Fourier features: a Gaussian process of fixed cost, however many points there are."""

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import Surrogate
from jaxga.precision import single_precision
from jaxga.space import SearchSpace
from jaxga.surrogates.features import num_features, numeric
from jaxga.surrogates.linear import bayesian_linear

# Length scales, in units of D^(1/4) times the cube's side, among which the evidence chooses.
_LENGTHS = (0.15, 0.3, 0.6, 1.2)


@single_precision
def random_features(space: SearchSpace, *, num_points: int, num_units: int = 256) -> Surrogate:
    """Bayesian linear regression on random cosines, whose frequencies are those of a Matern-5/2 kernel.

    It is a network of one hidden layer with random weights and an exactly solved last layer.

    Args:
        space: the search space; a category is one 0/1 input a choice.
        num_points: rows that ``fit`` is given (any number will do).
        num_units: cosines, at least 8.

    Source: A. Rahimi, B. Recht, "Random features for large-scale kernel machines", 2007.
    """
    del num_points
    if num_units < 8:
        raise ValueError(f"random_features: num_units must be at least 8, got {num_units!r}")
    size = num_features(space)
    key_normal, key_chi, key_phase = jax.random.split(jax.random.key(0, impl="threefry2x32"), 3)
    # The spectrum of Matern-5/2 is Student's t with five degrees of freedom.
    chi_square = jnp.sum(jnp.square(jax.random.normal(key_chi, (5, num_units))), axis=0)
    frequencies = jax.random.normal(key_normal, (size, num_units)) * jnp.sqrt(5.0 / chi_square)[None, :]
    phases = jax.random.uniform(key_phase, (num_units,), maxval=2.0 * jnp.pi)
    lengths = jnp.array(_LENGTHS) * size**0.25

    def features(choice: Array, genomes: Array) -> Array:
        waves = numeric(space, genomes) @ frequencies / lengths[choice]
        return jnp.sqrt(2.0 / num_units) * jnp.cos(waves + phases[None, :])

    return bayesian_linear(features, len(_LENGTHS), num_units, predicts_noise=False)
