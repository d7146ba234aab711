"""The history of a run, one row a member: its columns, and how ``history.csv`` is written and read back.

Values are in the objective's own sign, hyperparameters in their own units.
"""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxga.base import Objective, Outcome, Species
from jaxga.evolution import Record
from jaxga.space import SearchSpace, is_missing

Columns = dict[str, np.ndarray]

# As the history has them: the outcome of a member that was trained to the end, and the species of one whose training
# was begun under another setting.
FINISHED, HEIR = Outcome.FINISHED.name.lower(), Species.HEIR.name.lower()

# Genomes that wait to become columns: those of a network are larger than its row.
_MAX_BYTES = 64 * 2**20

# The columns that are neither a hyperparameter nor a metric. Metrics are float32.
_DTYPES: dict[str, Any] = {
    "run": np.str_,
    "generation": np.int64,
    "member": np.int64,
    "species": np.str_,
    "parent_a": np.int64,
    "parent_b": np.int64,
    "value": np.float32,
    "spread": np.float32,
    "replicates": np.int64,
    "predicted": np.float32,
    "seconds": np.float32,
    "trained": np.float32,
    "outcome": np.str_,
    "bracket": np.int64,
}


def metric_columns(space: SearchSpace, metrics: Iterable[str]) -> dict[str, str]:
    """The column of each metric: its name, with ``metric_`` before it where another column has that name.

    Raises ``ValueError`` where a hyperparameter has the name of one of the history's own columns, or where two columns
    would have the same name.
    """
    if taken := [name for name in space.names if name in _DTYPES]:
        raise ValueError(f"SearchSpace: {taken[0]!r} is a column of the history; its columns are {list(_DTYPES)}")
    others = {*_DTYPES, *space.names}
    columns = {name: f"metric_{name}" if name in others else name for name in metrics}
    named = [*space.names, *columns.values()]
    if twice := [name for name in named if named.count(name) > 1]:
        raise ValueError(f"task: two columns of the history would have the name {twice[0]!r}: rename a metric")
    return columns


def to_columns(
    record: Record, space: SearchSpace, objective: Objective, num_replicates: int, num_parts: int = 1
) -> Columns:
    """One generation as columns of length P, or G generations, stacked on a first axis, as columns of length G P.

    ``generation``; ``member`` (number ``i`` of generation ``t`` is ``t * P + i``); ``species``; ``parent_a``,
    ``parent_b`` (member numbers, -1 for no parent); one column a hyperparameter (NaN, in the file a blank, where it
    was inactive); ``value`` (NaN for a failed member); ``spread`` (standard deviation over replicates, 0 for one
    replicate); ``replicates``;
    ``predicted`` (the surrogate's prediction of ``value``, NaN without a prediction); one column a metric.

    Under a schedule a row is one score of a member, ``generation`` the one in which it was scored, and there are three
    more columns: ``trained`` (the share of a whole training), ``outcome`` (``went_on``, ``halted``, ``finished``,
    ``failed``, ``replaced``) and ``bracket``. A generation without scores has no row. In population-based training
    ``parent_a`` of an ``heir`` is the member whose training it goes on with: that of another lane, or the one before
    it in its own lane.
    """
    num_axes = np.ndim(record.loss)

    def rows(x: Any) -> np.ndarray:
        return np.reshape(x, (-1, *np.shape(x)[num_axes:]))

    size = np.shape(record.loss)[-1]
    generation = np.repeat(record.generation, size)
    number = generation.astype(np.int64) * size + np.arange(len(generation)) % size
    settings = space.settings(rows(record.offspring.genomes))
    parents = rows(record.offspring.parents)
    rungs = record.rungs and jax.tree.map(rows, record.rungs)
    own = {
        "generation": generation,
        "member": number if rungs is None else rungs.number,
        "species": [Species(s).name.lower() for s in rows(record.offspring.species).tolist()],
        "parent_a": parents[:, 0],
        "parent_b": parents[:, 1],
    }
    found = {
        "value": objective.sign * _finite(rows(record.loss)),
        "spread": np.sqrt(rows(record.loss_var) * num_replicates),
        "replicates": np.full(len(generation), num_replicates),
        "predicted": objective.sign * _finite(rows(record.offspring.predicted)),
    }
    if rungs is not None:
        found |= {
            "trained": rungs.part / np.float32(num_parts),
            "outcome": [Outcome(o).name.lower() for o in rungs.outcome.tolist()],
            "bracket": rungs.bracket,
        }
    named = metric_columns(space, record.metrics)
    columns = (
        {name: np.asarray(column, _DTYPES[name]) for name, column in own.items()}
        | {name: _values([setting.get(name, np.nan) for setting in settings], space, name) for name in space.names}
        | {name: np.asarray(column, _DTYPES[name]) for name, column in found.items()}
        | {named[name]: rows(metric) for name, metric in record.metrics.items()}
    )
    if rungs is None:
        return columns
    exists = rungs.number >= 0  # while the lanes fill, some have no member
    return {name: column[exists] for name, column in columns.items()}


def is_whole(columns: Columns) -> np.ndarray:
    """bool[N]: the rows of members that were trained to the end; without a schedule all.

    The other rows of a scheduled run are scores of trainings that were not finished.
    """
    if "trained" in columns and "outcome" in columns:
        return columns["outcome"] == FINISHED
    return np.ones(len(columns["value"]), bool)


def has_own_value(columns: Columns) -> np.ndarray:
    """bool[N]: the rows whose value is what a whole training with their setting is worth.

    It is not that of a training that was not finished, nor that of an heir, which was begun under another setting.
    """
    return is_whole(columns) & (columns["species"] != HEIR)


def _finite(column: Any) -> np.ndarray:
    return np.where(np.isfinite(column), column, np.nan)


def _values(values: list[Any], space: SearchSpace, name: str) -> np.ndarray:
    """A hyperparameter's column; where it has a condition an array of objects, NaN where it was inactive."""
    dtype = dict(space.items)[name].dtype
    column = np.empty(len(values), object if space.condition_of(name) else dtype)
    # In its precision, because a cell shows a float32 in the shortest form.
    is_real = column.dtype == object and dtype == np.float32
    column[:] = [np.float32(value) for value in values] if is_real else values
    return column


def has_setting(columns: Columns, setting: Mapping[str, Any]) -> np.ndarray:
    """bool[N]: the rows that have this setting; whole numbers are equal, others to one part in 10^6 (float32)."""
    rows = np.ones(len(columns["value"]), bool)
    for name, value in setting.items():
        column = columns[name]
        if column.dtype == object and isinstance(value, float):
            column = np.array([v if isinstance(v, int | float | np.number) else np.nan for v in column], float)
        if column.dtype.kind == "i" or (isinstance(value, int) and not isinstance(value, bool)):
            rows &= column == value
        elif np.issubdtype(column.dtype, np.number):
            rows &= np.isclose(column, value, rtol=1e-6, atol=0.0)
        else:
            rows &= column.astype(str) == str(value)
    return rows


# --- history.csv ---


def to_csv(columns: Columns, *, with_header: bool) -> str:
    """Columns as the lines of a CSV file; an array-valued metric is a JSON list in its cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if with_header:
        writer.writerow(columns)
    writer.writerows(zip(*map(_cells, columns.values()), strict=True))
    return text.getvalue()


def _cells(column: np.ndarray) -> Iterable[Any]:
    # str of a numpy float32 is its shortest exact form; that of a Python float has all the digits of a double.
    if column.ndim > 1:
        return ["[" + ", ".join(map(str, row)) + "]" for row in column]
    if column.dtype == object:  # csv would write None, which is a choice, as ""
        return ["" if is_missing(value) else str(value) for value in column]
    return column


def read_csv(path: str | Path, space: SearchSpace, num_rows: int = 65_536) -> Iterator[Columns]:
    """``history.csv`` in blocks of whole generations; of a run that was killed, its complete lines.

    Args:
        path: the file.
        space: the run's search space, which gives the types of the columns.
        num_rows: a block ends with the generation that reaches this many rows.

    Raises ``ValueError`` where a line does not belong to a history of this space.
    """
    try:
        rows = read_rows(path)
        names = next(rows, None)
        if names is None:
            return
        if missing := [name for name in ("generation", *space.names, "value") if name not in names]:
            raise ValueError(f"its first line has no {missing[0]!r}, it has {names}")
        place = names.index("generation")
        block: list[list[str]] = []
        for _, generation in itertools.groupby(rows, key=lambda row: row[place]):
            block.extend(generation)
            if len(block) >= num_rows:
                yield _parse(names, block, space)
                block = []
        if block:
            yield _parse(names, block, space)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a run's history: {error}") from None


def read_rows(path: str | Path, *, last_may_be_open: bool = False) -> Iterator[list[str]]:
    """The lines of a CSV file as cells, the header first.

    A last line without a line end was not written completely by a run: it is left out unless ``last_may_be_open``.

    Raises ``ValueError`` where a line and the header differ in their number of cells.
    """
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.reader(line for line in file if last_may_be_open or line.endswith("\n"))
        num_cells = None
        for row in filter(None, reader):  # without empty lines
            num_cells = num_cells or len(row)
            if len(row) != num_cells:
                raise ValueError(f"line {reader.line_num} has {len(row)} cells, the first line has {num_cells}")
            yield row


def _parse(names: list[str], rows: list[list[str]], space: SearchSpace) -> Columns:
    return {name: _column(name, cells, space) for name, cells in zip(names, zip(*rows, strict=True), strict=True)}


def _column(name: str, cells: tuple[str, ...], space: SearchSpace) -> np.ndarray:
    if name in space.names:
        # Settings repeat: each text is checked once.
        dimension, may_be_blank = dict(space.items)[name], bool(space.condition_of(name))
        value_of = {cell: np.nan if may_be_blank and not cell else dimension.from_text(cell) for cell in set(cells)}
        return _values([value_of[cell] for cell in cells], space, name)
    if cells[0].startswith("["):
        return np.stack([np.fromstring(cell[1:-1], np.float32, sep=",") for cell in cells])
    return np.array(cells, np.str_).astype(_DTYPES.get(name, np.float32))


# --- in memory ---


class History:
    """The members of a run in the order in which they were evaluated; columns as in :func:`to_columns`.

    A metric that is an array (a learning curve) is an array a row.

    Attributes:
        space, objective: what was searched, and the value that was sought.
        num_replicates: trainings per member.
        num_parts: under a schedule, of a whole training.
        scored: of a history that :attr:`whole` gave, the one with all scores; else this one.
        num_omitted: how many members were evaluated that the history does not hold; 0 unless a report thinned it.
    """

    def __init__(self, space: SearchSpace, objective: Objective, num_replicates: int, num_parts: int = 1) -> None:
        self.space = space
        self.objective = objective
        self.num_replicates = num_replicates
        self.num_parts = num_parts
        self.num_omitted = 0
        self.scored = self
        self._blocks: list[Columns] = []
        self._appended: list[Record] = []  # not yet columns: those of many generations are made at once
        self._num_bytes = 0  # of their genomes
        self._estimates: dict[int, float] = {}

    def append(self, record: Record) -> None:
        """Add one generation, or several stacked on a first axis, the arrays on the host."""
        self._appended.append(record)
        self._num_bytes += record.offspring.genomes.nbytes
        if self._num_bytes > _MAX_BYTES:
            self._convert()

    def extend(self, columns: Columns, estimates: Mapping[int, float]) -> None:
        """Add rows of another history, and the :attr:`estimates` by number of generation."""
        self._convert()
        self._blocks.append(columns)
        self._estimates |= estimates

    def _convert(self) -> None:
        """Make columns of what was appended."""
        if not self._appended:
            return
        stacked = [r if np.ndim(r.generation) else jax.tree.map(lambda x: x[None], r) for r in self._appended]
        record = jax.tree.map(lambda *parts: np.concatenate(parts), *stacked)
        self._appended, self._num_bytes = [], 0
        self._blocks.append(to_columns(record, self.space, self.objective, self.num_replicates, self.num_parts))
        best = self.objective.sign * record.best.loss.astype(float)
        self._estimates |= dict(zip(record.generation.tolist(), best.tolist(), strict=True))

    @property
    def columns(self) -> Columns:
        """Every column, over all members."""
        self._convert()
        if len(self._blocks) > 1:
            self._blocks = [{name: np.concatenate([block[name] for block in self._blocks]) for name in self._blocks[0]}]
        return dict(self._blocks[0]) if self._blocks else {}

    def __len__(self) -> int:
        return len(self.columns.get("member", ()))

    @property
    def unit(self) -> str:
        """What a row is: of ``evaluations``, or under a schedule of ``scores``."""
        return "scores" if "outcome" in self.columns else "evaluations"

    @property
    def whole(self) -> "History":
        """The members that were trained to the end; under no schedule, or where there is none, this history itself.

        Their values can be compared: under a schedule the other rows are scores of trainings that were not finished.
        """
        kept = is_whole(self.columns)
        if kept.all() or not kept.any():
            return self
        whole = History(self.space, self.objective, self.num_replicates)
        whole.extend({name: column[kept] for name, column in self.columns.items()}, self._estimates)
        whole.num_omitted, whole.scored = self.num_omitted, self
        return whole

    @property
    def trained(self) -> float:
        """The greatest share of a training after which there is a value; 1 once a training has ended."""
        columns = self.columns
        if "trained" not in columns:
            return 1.0
        return float(columns["trained"][np.isfinite(columns["value"])].max(initial=0.0))

    @property
    def loss(self) -> np.ndarray:
        """f64[N]: the value of each member with the sign that makes lower better, ``inf`` for a failed member."""
        loss = self.objective.sign * self.columns["value"].astype(float)
        return np.where(np.isfinite(loss), loss, np.inf)

    @property
    def numbers(self) -> np.ndarray:
        """i64[G]: the numbers of the generations, from 0."""
        return np.unique(self.columns["generation"])

    @property
    def generations(self) -> list[np.ndarray]:
        """The rows of each of the G generations."""
        _, starts = np.unique(self.columns["generation"], return_index=True)
        return np.split(np.arange(len(self)), starts[1:])

    @property
    def estimates(self) -> np.ndarray:
        """f64[G]: after each generation, the algorithm's estimate of the value of its best setting.

        Without noise the best value so far; with noise it may get worse when a setting is evaluated again. NaN
        where it was not recorded or no member had a value.
        """
        numbers = self.numbers.tolist()
        found = np.array([self._estimates.get(number, np.nan) for number in numbers], float)
        return np.where(np.isfinite(found), found, np.nan)

    @property
    def best_evaluations(self) -> np.ndarray:
        """f64[G]: the best value of a single member up to each generation, NaN before the first value."""
        loss = self.loss
        least = np.minimum.accumulate([loss[rows].min() for rows in self.generations])
        return np.where(np.isfinite(least), self.objective.sign * least, np.nan)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The members one after another, as dicts."""
        columns = {name: _python(column) for name, column in self.columns.items()}
        for i in range(len(self)):
            yield {name: column[i] for name, column in columns.items()}

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` (pandas has to be installed)."""
        import pandas as pd

        # A list of numbers and NaN becomes a column of numbers.
        return pd.DataFrame(
            {name: list(c) if c.ndim > 1 or c.dtype == object else c for name, c in self.columns.items()}
        )

    def to_csv(self, path: str | Path) -> None:
        """Write the history as CSV; an array-valued metric is a JSON list in its cell."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            file.write(to_csv(self.columns, with_header=True))


def _python(column: np.ndarray) -> Sequence[Any]:
    """A column's rows as Python values, or as arrays where each is a curve."""
    if column.dtype == object:
        return [value.item() if isinstance(value, np.generic) else value for value in column]
    return column.tolist() if column.ndim == 1 else list(column)
