"""Search methods behind one contract, :class:`jaxga.base.Algorithm`.

Every factory takes ``(space, *, population_size, ...)``.
"""

from collections.abc import Callable

from jaxga.adapters.evosax import (
    evosax_cma_es,
    evosax_differential_evolution,
    evosax_mr15_ga,
    evosax_open_es,
    evosax_pso,
    evosax_sep_cma_es,
    evosax_simple_ga,
)
from jaxga.algorithms.classic import classic_ga
from jaxga.algorithms.designs import grid_search, latin_hypercube, sobol_search
from jaxga.algorithms.invasive import ga, invasive_ga
from jaxga.algorithms.random import random_search
from jaxga.base import Algorithm

ALGORITHMS: dict[str, Callable[..., Algorithm]] = {
    "invasive_ga": invasive_ga,
    "ga": ga,
    "classic_ga": classic_ga,
    "random_search": random_search,
    "sobol_search": sobol_search,
    "latin_hypercube": latin_hypercube,
    "grid_search": grid_search,
    "evosax_cma_es": evosax_cma_es,
    "evosax_sep_cma_es": evosax_sep_cma_es,
    "evosax_open_es": evosax_open_es,
    "evosax_differential_evolution": evosax_differential_evolution,
    "evosax_pso": evosax_pso,
    "evosax_simple_ga": evosax_simple_ga,
    "evosax_mr15_ga": evosax_mr15_ga,
}

__all__ = [
    "ALGORITHMS",
    "classic_ga",
    "ga",
    "grid_search",
    "invasive_ga",
    "latin_hypercube",
    "random_search",
    "sobol_search",
]
