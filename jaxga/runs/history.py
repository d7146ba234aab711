"""A run's members as a table: one row a member, in the objective's own sign and the settings' own units."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxga.base import Objective, Species
from jaxga.evolution import Record
from jaxga.space import Categorical, Dimension, SearchSpace

_RESERVED = ("run", "generation", "member", "species", "parent_a", "parent_b")
_RESERVED += ("value", "spread", "replicates", "predicted", "seconds")


def metric_columns(space: SearchSpace, metrics: Iterable[str]) -> dict[str, str]:
    """The column of each metric: its name, after ``metric_`` where another column has that name.

    Raises ``ValueError`` where a hyperparameter has the name of one of the table's own columns, or two columns would
    have one name.
    """
    if taken := [name for name in space.names if name in _RESERVED]:
        raise ValueError(f"SearchSpace: {taken[0]!r} is a column of the history; its columns are {list(_RESERVED)}")
    others = {*_RESERVED, *space.names}
    columns = {name: f"metric_{name}" if name in others else name for name in metrics}
    named = [*space.names, *columns.values()]
    if twice := [name for name in named if named.count(name) > 1]:
        raise ValueError(f"task: two columns of the history would have the name {twice[0]!r}: rename a metric")
    return columns


def to_columns(record: Record, space: SearchSpace, objective: Objective, num_replicates: int) -> dict[str, Any]:
    """One generation as columns of length P.

    ``generation``; ``member`` (number ``i`` of generation ``t`` is ``t * P + i``); ``species``; ``parent_a``,
    ``parent_b`` (member numbers, -1 for none); one column a hyperparameter; ``value`` (NaN for a failed
    member); ``spread`` (standard deviation over replicates, 0 where there is one); ``replicates``;
    ``predicted`` (what the surrogate expected, NaN where it was not asked); one column a metric.
    """
    population_size = record.offspring.genomes.shape[0]
    settings = space.settings(record.offspring.genomes)
    columns: dict[str, Any] = {
        "generation": np.full(population_size, int(record.generation)),
        "member": int(record.generation) * population_size + np.arange(population_size),
        "species": np.array([Species(s).name.lower() for s in np.asarray(record.offspring.species).tolist()]),
        "parent_a": np.asarray(record.offspring.parents)[:, 0],
        "parent_b": np.asarray(record.offspring.parents)[:, 1],
    }
    columns |= {name: to_column([setting[name] for setting in settings], kind) for name, kind in space.items}
    columns |= {
        "value": objective.sign * _finite(record.loss),
        "spread": np.sqrt(np.asarray(record.loss_var) * num_replicates),
        "replicates": np.full(population_size, num_replicates),
        "predicted": objective.sign * _finite(record.offspring.predicted),
    }
    named = metric_columns(space, record.metrics)
    columns |= {named[name]: np.asarray(metric) for name, metric in record.metrics.items()}
    return columns


def _finite(column: Any) -> np.ndarray:
    return np.where(np.isfinite(column), column, np.nan)


def to_column(values: list[Any], dimension: Dimension) -> np.ndarray:
    """The values of one hyperparameter as an array, an object array where its choices are of several kinds."""
    if isinstance(dimension, Categorical) and not dimension.is_numeric and len(set(map(type, dimension.choices))) > 1:
        return np.array(values, object)
    # float32 is what a task was given; as float64 it would show digits that were never there.
    return np.array(values, np.float32 if all(isinstance(value, float) for value in values) else None)


def to_text(column: np.ndarray) -> Any:
    """The cells of a column for a file. Objects become text, because CSV has no None."""
    return [str(value) for value in column] if column.dtype == object else column


class History:
    """The members of a run in the order in which they were evaluated; columns as in :func:`to_columns`.

    A metric that is an array (a learning curve) is an array a row; a CSV file leaves it out.
    """

    def __init__(self, space: SearchSpace, objective: Objective, num_replicates: int) -> None:
        self.space = space
        self.objective = objective
        self.num_replicates = num_replicates
        self._generations: list[dict[str, Any]] = []

    def append(self, record: Record) -> None:
        """Add one generation, its arrays on the host."""
        self._generations.append(to_columns(record, self.space, self.objective, self.num_replicates))

    def extend(self, columns: dict[str, Any]) -> None:
        """Add rows that :meth:`columns` gave."""
        self._generations.append(columns)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Every column, over all members."""
        if not self._generations:
            return {}
        return {name: np.concatenate([g[name] for g in self._generations]) for name in self._generations[0]}

    def __len__(self) -> int:
        return sum(len(generation["member"]) for generation in self._generations)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The members one after another, as dicts."""
        columns = {name: column.tolist() if column.ndim == 1 else column for name, column in self.columns.items()}
        for i in range(len(self)):
            yield {name: column[i] for name, column in columns.items()}

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` (pandas has to be installed)."""
        import pandas as pd

        return pd.DataFrame({name: list(c) if c.ndim > 1 else c for name, c in self.columns.items()})

    def to_csv(self, path: str | Path) -> None:
        """Write the table as CSV, without array-valued metrics."""
        columns = {name: to_text(column) for name, column in self.columns.items() if column.ndim == 1}
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
