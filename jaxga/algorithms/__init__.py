"""Search methods behind one contract, :class:`jaxga.base.Algorithm`.

Every factory takes ``(space, *, population_size, ...)``.
"""

from collections.abc import Callable

from jaxga.algorithms.designs import grid_search, latin_hypercube, sobol_search
from jaxga.algorithms.invasive import ga, invasive_ga
from jaxga.algorithms.random import random_search
from jaxga.base import Algorithm

ALGORITHMS: dict[str, Callable[..., Algorithm]] = {
    "invasive_ga": invasive_ga,
    "ga": ga,
    "random_search": random_search,
    "sobol_search": sobol_search,
    "latin_hypercube": latin_hypercube,
    "grid_search": grid_search,
}

__all__ = [
    "ALGORITHMS",
    "ga",
    "grid_search",
    "invasive_ga",
    "latin_hypercube",
    "random_search",
    "sobol_search",
]
