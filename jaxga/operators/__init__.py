"""Small factories of pure functions: selection, crossover, mutation, survival.

>>> from jaxga.operators import crossover, mutation, selection, survival
"""

from jaxga.operators import crossover, mutation, selection, survival

__all__ = ["crossover", "mutation", "selection", "survival"]
