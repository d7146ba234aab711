"""One-line errors for arguments that several parts share."""

import math
from typing import Any

import numpy as np

from jaxga.space import SearchSpace

# The members of a run are numbered in int32.
MAX_MEMBERS = 2**31 - 1
MAX_POPULATION = 2**20


def check_count(field: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise ``ValueError`` unless ``value`` is a whole number in [low, high].

    >>> check_count("population_size", "8", 2)
    Traceback (most recent call last):
    ValueError: population_size must be a whole number of at least 2, got '8'
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        allowed = f"of at least {low}" if high is None else f"in [{low}, {high}]"
        raise ValueError(f"{field} must be a whole number {allowed}, got {value!r}")


def check_search(space: Any, population_size: Any, least: int) -> None:
    """Raise ``ValueError`` unless ``space`` is a search space and ``population_size`` is in [least, 2^20]."""
    if not isinstance(space, SearchSpace):
        raise ValueError(f"space must be a jaxga.SearchSpace, got {space!r}")
    check_size("population_size", population_size, least)


def check_size(field: str, value: Any, least: int) -> None:
    """Raise ``ValueError`` unless ``value`` is a whole number in [least, 2^20]."""
    check_count(field, value, least)
    if value > MAX_POPULATION:
        raise ValueError(f"{field} must be at most {MAX_POPULATION}, got {value!r}")


def check_number(
    field: str, value: Any, low: float, high: float = math.inf, *, above: bool = False, below: bool = False
) -> None:
    """Raise ``ValueError`` unless ``value`` is a finite number in [low, high].

    ``low`` itself is not allowed where ``above``, ``high`` not where ``below``.

    >>> check_number("rank: pressure", 3, 1, 2)
    Traceback (most recent call last):
    ValueError: rank: pressure must lie in [1, 2], got 3
    """
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
    if is_number and low <= value <= high and not (above and value == low) and not (below and value == high):
        return
    allowed = f"lie in {'(' if above else '['}{low:g}, {high:g}{')' if below else ']'}"
    if math.isinf(high):
        allowed = f"be {'above' if above else 'at least'} {low:g}"
    raise ValueError(f"{field} must {allowed}, got {value!r}")
