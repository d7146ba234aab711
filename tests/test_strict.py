"""Strict flags of JAX: no key is used twice, and no traced value is kept."""

import jax
import jax.numpy as jnp
import pytest

from jaxga import SearchSpace, Uniform
from jaxga.algorithms import ALGORITHMS

SPACE = SearchSpace(x=Uniform(0.0, 1.0), y=Uniform(0.0, 1.0))
SMALL = {
    "invasive_ga": {"archive_size": 16, "num_candidates": 64, "surrogate": "quadratic_ridge"},
    "ga": {"archive_size": 16},
}
# The functions inside evosax are not ours.
OURS = [name for name in ALGORITHMS if not name.startswith("evosax_")]


def two_generations(name, key):
    algorithm = ALGORITHMS[name](SPACE, population_size=8, **SMALL.get(name, {}))
    key_init, *keys = jax.random.split(key, 5)
    state = algorithm.init(key_init)
    for key_ask, key_tell in (keys[:2], keys[2:]):
        genomes, state = algorithm.ask(key_ask, state)
        state, _ = algorithm.tell(key_tell, state, genomes, jnp.sum(genomes, axis=1))
    return state


@pytest.mark.parametrize("name", OURS)
def test_no_algorithm_uses_a_key_twice(name):
    with jax.debug_key_reuse(True):
        two_generations(name, jax.random.key(0))


@pytest.mark.parametrize("name", ["invasive_ga", "sobol_search"])
def test_no_traced_value_is_kept(name):
    with jax.checking_leaks():
        jax.eval_shape(lambda key: two_generations(name, key), jax.random.key(0))
