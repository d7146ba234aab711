"""Conditions: hyperparameters that exist only where others have given values.

Here a hyperparameter is the number of its gene, and a value is the number of its level. A gene whose condition does not
hold is inactive.
"""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array


class Condition(NamedTuple):
    """Gene ``gene`` is active only where gene ``parent`` is active and has one of ``levels``, in ascending order."""

    gene: int
    parent: int
    levels: tuple[int, ...]


def parents_first(conditions: Sequence[Condition], names: tuple[str, ...]) -> tuple[Condition, ...]:
    """The conditions in an order in which those on a gene come before those that it decides.

    Raises ``ValueError`` where the conditions form a cycle.
    """
    parents: dict[int, set[int]] = {}
    for condition in conditions:
        parents.setdefault(condition.gene, set()).add(condition.parent)
    try:
        place = {gene: i for i, gene in enumerate(TopologicalSorter(parents).static_order())}
    except CycleError as error:
        cycle = " -> ".join(names[gene] for gene in error.args[1])
        raise ValueError(f"SearchSpace: conditions must not form a cycle, got {cycle}") from None
    return tuple(sorted(conditions, key=lambda condition: place[condition.gene]))


def active_genes(conditions: Sequence[Condition], levels: Array) -> Array:
    """bool[..., D]: the genes that are active where the genes have the levels f32[..., D].

    >>> active_genes([Condition(1, 0, (2, 3))], jnp.array([[1.0, 0.0], [2.0, 0.0]])).tolist()
    [[True, False], [True, True]]
    """
    active = [jnp.ones(levels.shape[:-1], bool)] * levels.shape[-1]
    for gene, parent, allowed in conditions:
        level = levels[..., parent]
        holds = [(low <= level) & (level <= high) for low, high in _intervals(allowed)]
        active[gene] &= active[parent] & jnp.stack(holds).any(0)
    return jnp.stack(active, axis=-1)


def _intervals(levels: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending whole numbers as the first and the last of each gapless run."""
    runs = np.split(np.asarray(levels), np.flatnonzero(np.diff(levels) != 1) + 1)
    return [(int(run[0]), int(run[-1])) for run in runs]


def values_of(given: object) -> list[object]:
    """The values of a condition as a list: one value, or several in a list, tuple, range or set."""
    return list(given) if isinstance(given, list | tuple | range | set | frozenset) else [given]


def as_text(condition: Mapping[str, Sequence[object]]) -> str:
    """A condition as it is written in code.

    >>> as_text({"kernel": ["rbf"], "n": [2, 3]})
    ".when(kernel='rbf', n=[2, 3])"
    """
    given = {parent: list(values) if len(values) > 1 else values[0] for parent, values in condition.items()}
    return f".when({', '.join(f'{parent}={value!r}' for parent, value in given.items())})"
