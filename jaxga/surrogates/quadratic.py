"""A quadratic polynomial: the simplest model that can have a minimum inside the cube."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.base import Surrogate
from jaxga.precision import single_precision
from jaxga.space import SearchSpace
from jaxga.surrogates.features import num_features, numeric
from jaxga.surrogates.linear import bayesian_linear


@single_precision
def quadratic_ridge(space: SearchSpace, *, num_points: int) -> Surrogate:
    """Bayesian ridge regression on all monomials up to degree two; the uncertainty includes the misfit.

    Args:
        space: the search space; each choice of a category is one 0/1 input.
        num_points: the number of rows that ``fit`` gets (not used: any number is possible).

    Source: G. E. P. Box, K. B. Wilson, "On the experimental attainment of optimum conditions", 1951.
    """
    del num_points
    size = num_features(space)
    first, second = np.triu_indices(size)

    def features(choice: Array, genomes: Array) -> Array:
        del choice
        x = 2.0 * numeric(space, genomes) - 1.0
        return jnp.concatenate([jnp.ones((*x.shape[:-1], 1)), x, x[..., first] * x[..., second]], axis=-1)

    return bayesian_linear(features, 1, 1 + size + len(first), predicts_noise=True)
