"""Search methods behind one contract, :class:`jaxga.base.Algorithm`.

Every factory takes ``(space, *, population_size, ...)``.
"""

from collections.abc import Callable

from jaxga.algorithms.invasive import ga, invasive_ga
from jaxga.algorithms.random import random_search
from jaxga.base import Algorithm

ALGORITHMS: dict[str, Callable[..., Algorithm]] = {
    "invasive_ga": invasive_ga,
    "ga": ga,
    "random_search": random_search,
}

__all__ = ["ALGORITHMS", "ga", "invasive_ga", "random_search"]
