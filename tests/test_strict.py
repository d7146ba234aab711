"""Strict flags of JAX: no traced value is kept after the trace."""

import jax
import jax.numpy as jnp
import pytest

from jaxga import SearchSpace, Uniform
from jaxga.registry import ALGORITHMS

SPACE = SearchSpace(x=Uniform(0.0, 1.0), y=Uniform(0.0, 1.0))
SMALL = {"invasive_ga": {"archive_size": 16, "num_candidates": 64, "surrogate": "quadratic_ridge"}}


@pytest.mark.parametrize("name", ["ga", "invasive_ga", "sobol_search"])
def test_no_traced_value_is_kept(name):
    def two_generations(key):
        algorithm = ALGORITHMS[name](SPACE, population_size=8, **SMALL.get(name, {}))
        key_init, *keys = jax.random.split(key, 5)
        state = algorithm.init(key_init)
        for key_ask, key_tell in (keys[:2], keys[2:]):
            offspring, state = algorithm.ask(key_ask, state)
            state, _ = algorithm.tell(key_tell, state, offspring.genomes, jnp.sum(offspring.genomes, axis=1))
        return state

    with jax.checking_leaks():
        jax.eval_shape(two_generations, jax.random.key(0))
