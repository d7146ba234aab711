"""Algorithms, operators and surrogates by name."""

from jaxga.algorithms import ALGORITHMS
from jaxga.algorithms.classic import CROSSOVERS, MUTATIONS, SELECTIONS, SURVIVALS
from jaxga.surrogates import SURROGATES

__all__ = ["ALGORITHMS", "CROSSOVERS", "MUTATIONS", "SELECTIONS", "SURROGATES", "SURVIVALS"]
