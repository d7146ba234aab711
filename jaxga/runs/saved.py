"""What a run left in its folder, for code: ``jaxga.load(DIR).best``."""

import csv
import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxga.base import Objective
from jaxga.runs.history import History, to_column
from jaxga.space import Categorical, Integer, LogInteger, LogUniform, SearchSpace, Uniform

_KINDS = {kind.__name__: kind for kind in (Uniform, LogUniform, Integer, LogInteger, Categorical)}
_WHOLE = ("generation", "member", "parent_a", "parent_b", "replicates")
_TEXT = ("run", "species")


def describe(space: SearchSpace) -> dict[str, dict[str, Any]]:
    """A search space as plain values for JSON; :func:`space_from` is the way back.

    >>> describe(SearchSpace(x=Uniform(0.0, 1.0)))
    {'x': {'kind': 'Uniform', 'low': 0.0, 'high': 1.0}}
    """
    return {name: {"kind": type(dimension).__name__, **asdict(dimension)} for name, dimension in space.items}


def space_from(described: dict[str, dict[str, Any]]) -> SearchSpace:
    """The search space that :func:`describe` was given; ``ValueError`` where it is none."""
    dimensions = {}
    for name, arguments in described.items():
        try:
            kind = _KINDS[arguments["kind"]]
            dimensions[name] = kind(**{field: value for field, value in arguments.items() if field != "kind"})
        except (KeyError, TypeError, ValueError) as error:
            allowed = error if type(error) is ValueError else f"it must be one of {list(_KINDS)} and its arguments"
            raise ValueError(f"search space: {name} cannot be {arguments!r}: {allowed}") from None
    return SearchSpace(dimensions)


def space_and_objective(config: dict[str, Any]) -> tuple[SearchSpace, Objective]:
    """What a run searched and for what, from its ``config.json``; ``ValueError`` where it does not describe them."""
    try:
        return space_from(config["space"]), Objective(**config["objective"])
    except (KeyError, TypeError, AttributeError):
        parts = {name: config.get(name) for name in ("space", "objective")}
        raise ValueError(f"config.json describes no search space and objective: {parts}") from None


def read_history(path: str | Path, space: SearchSpace, num_rows: int = 65_536) -> Iterator[dict[str, np.ndarray]]:
    """``history.csv`` in blocks of whole generations, as columns; of a run that was killed, its whole lines.

    Args:
        path: the file.
        space: of the run, for the columns' types.
        num_rows: a block ends with the generation that reaches so many rows.

    Raises ``ValueError`` where a line is not one of this run's history.
    """
    try:
        yield from _read_blocks(path, space, num_rows)
    except (ValueError, KeyError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a run's history: {error}") from None


def _read_blocks(path: str | Path, space: SearchSpace, num_rows: int) -> Iterator[dict[str, np.ndarray]]:
    dimensions = dict(space.items)
    with open(path, newline="", encoding="utf-8") as file:
        # A line without its end was not written whole.
        lines = csv.reader(line for line in file if line.endswith("\n"))
        names = next(lines, None)
        if names is None:
            return
        if "generation" not in names:
            raise ValueError(f"its first line has no generation, it has {names}")
        place = names.index("generation")
        block: list[list[str]] = []
        for _, rows in itertools.groupby(_whole(lines, len(names)), key=lambda row: row[place]):
            block.extend(rows)
            if len(block) >= num_rows:
                yield _columns(names, block, dimensions)
                block = []
        if block:
            yield _columns(names, block, dimensions)


def _whole(lines: Any, num_cells: int) -> Iterator[list[str]]:
    """The rows of a CSV reader; ``ValueError`` where one has another number of cells."""
    for row in lines:
        if len(row) != num_cells:
            raise ValueError(f"line {lines.line_num} has {len(row)} cells, the first line has {num_cells}")
        yield row


def _columns(names: list[str], rows: list[list[str]], dimensions: dict[str, Any]) -> dict[str, np.ndarray]:
    return {
        name: _column(name, cells, dimensions.get(name))
        for name, cells in zip(names, zip(*rows, strict=True), strict=True)
    }


def _column(name: str, cells: tuple[str, ...], dimension: Any) -> np.ndarray:
    if name in _TEXT:
        return np.array(cells)
    if isinstance(dimension, Categorical):
        choices = {str(choice): choice for choice in dimension.choices}
        read = [dimension.to_python(float(cell)) if dimension.is_numeric else choices[cell] for cell in cells]
        return to_column(read, dimension)
    if name in _WHOLE or isinstance(dimension, Integer | LogInteger):
        return np.array([int(cell) for cell in cells])
    if cells[0].startswith("["):
        return np.stack([np.fromstring(cell[1:-1], np.float32, sep=",") for cell in cells])
    return np.array([float(cell) for cell in cells], np.float32)


@dataclass(frozen=True)
class SavedRun:
    """A run as its folder tells of it.

    Attributes:
        path: the folder.
        config: ``config.json``.
        result: ``result.json``.
        space: the search space.
        objective: what was searched for.
    """

    path: Path
    config: dict[str, Any]
    result: dict[str, Any]
    space: SearchSpace
    objective: Objective

    @property
    def best(self) -> dict[str, Any]:
        """The winner: a setting in its own units."""
        return self.result["best"]

    @property
    def best_value(self) -> float:
        """Its value as the search saw it."""
        return self.result["best_value"]

    @property
    def fresh_values(self) -> np.ndarray:
        """f32[N], its values under seeds that the search did not use."""
        return np.array(self.result["fresh"][self.objective.name], np.float32)

    @property
    def history(self) -> History:
        """Every member evaluated, read from ``history.csv``."""
        history = History(self.space, self.objective, self.config["options"]["replicates"])
        for block in read_history(self.path / "history.csv", self.space):
            history.extend(block)
        return history


def load(folder: str | Path) -> SavedRun:
    """A run that ended, from its folder.

    Raises ``ValueError`` where the folder has no result (the run was killed: ``--resume`` ends it).
    """
    folder = Path(folder)
    files = {}
    for name in ("config", "result"):
        try:
            files[name] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"{folder} has no {name}.json: no run ended there") from None
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"{folder / name}.json cannot be read: {error}") from None
    return SavedRun(folder, files["config"], files["result"], *space_and_objective(files["config"]))
