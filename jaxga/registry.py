"""Algorithms, operators and surrogates by name: what the command line offers and what every test matrix covers."""

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
from jaxga.algorithms import (
    ga,
    grid_search,
    invasive_ga,
    latin_hypercube,
    random_search,
    sobol_search,
    truncation_ga,
)
from jaxga.base import Algorithm
from jaxga.operators import CROSSOVERS, MUTATIONS, SELECTIONS, SURVIVALS
from jaxga.surrogates import SURROGATES

ALGORITHMS: dict[str, Callable[..., Algorithm]] = {
    "invasive_ga": invasive_ga,
    "ga": ga,
    "truncation_ga": truncation_ga,
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

__all__ = ["ALGORITHMS", "CROSSOVERS", "MUTATIONS", "SELECTIONS", "SURROGATES", "SURVIVALS"]
