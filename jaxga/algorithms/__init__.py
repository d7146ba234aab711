"""Search methods behind one contract, :class:`jaxga.base.Algorithm`.

Every factory takes ``(space, *, population_size, ...)``.
"""

from jaxga.algorithms.designs import grid_search, latin_hypercube, sobol_search
from jaxga.algorithms.genetic import ga
from jaxga.algorithms.invasive import invasive_ga
from jaxga.algorithms.random import random_search
from jaxga.algorithms.truncation import truncation_ga

__all__ = ["ga", "grid_search", "invasive_ga", "latin_hypercube", "random_search", "sobol_search", "truncation_ga"]
