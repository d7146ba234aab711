"""What a run begins with: settings, or evaluations, from an earlier run, a file, an Optuna study or Python."""

import csv
import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxga.algorithms.warm import informed, warm_start
from jaxga.base import Algorithm, Objective
from jaxga.runs.draft import draft
from jaxga.runs.history import FINISHED, HEIR, History, read_rows
from jaxga.runs.saved import SavedRun
from jaxga.space import Dimension, SearchSpace, is_missing
from jaxga.text import check_choice, shorten

# An algorithm's archive holds no more: further evaluations would take time and change little.
_MAX_EVALUATIONS = 512

Rows = list[dict[str, Any]]
Source = str | Path | Sequence[Mapping[str, Any]] | History | SavedRun


class WarmStart(NamedTuple):
    """What a run begins with.

    Attributes:
        genomes: f32[N, D].
        loss: f32[N], or None. With losses the genomes are evaluations, oldest first: the algorithm is told of them
            before its first generation. Without losses they are the first members to evaluate, best first.
    """

    genomes: np.ndarray
    loss: np.ndarray | None

    @classmethod
    def read(cls, source: Source, space: SearchSpace, objective: Objective) -> "WarmStart":
        """The settings in ``source``, with their losses where it has values.

        Args:
            source: a run (its folder, a :class:`SavedRun` or :class:`History`); a list of settings, in Python or in a
                JSON file, all with a ``"value"`` or none; a ``history.csv`` or ``history.parquet``; or the URL of an
                Optuna storage, with ``#NAME`` where it has more than one study.
            space: of the new run. Every setting needs all its names, and values inside it. Other names are those of a
                history's columns or an Optuna study, which are ignored.
            objective: of the new run, which says whether values are minimised or maximised.

        Of more than 512 evaluations the best 256 are taken, and an even subsample of the others.

        Raises ``ValueError`` where the source cannot be read, its run or study had another objective, or a setting is
        outside the space.

        >>> from jaxga import Uniform
        >>> space, objective = SearchSpace(x=Uniform(0.0, 4.0)), Objective("value", "min")
        >>> WarmStart.read([{"x": 1.0, "value": 3.0}], space, objective).genomes.tolist()
        [[0.25]]
        """
        name = f" {source}" if isinstance(source, str | Path) else ""
        try:
            rows, values = _read(source, space, objective)
            loss = None
            if values is not None:
                with np.errstate(over="ignore"):  # a value too large for float32 becomes infinite, as in a run
                    loss = objective.sign * np.array([_number(value) for value in values], np.float32)
                kept = _subsample(loss)
                rows, loss = [rows[i] for i in kept], loss[kept]
            if not rows:
                raise ValueError("it has no setting with a value")
            return cls(np.stack([_genome(space, row) for row in rows]), loss)
        except RecursionError:
            problem = "it is nested too deeply"
        except OSError as error:
            problem = f"it cannot be read: {error.strerror or error}"
        except (ValueError, csv.Error) as error:
            problem = str(error)
        raise ValueError(f"warm start{name}: {problem}")

    @classmethod
    def load(cls, path: Path) -> "WarmStart | None":
        """What :meth:`save` wrote into a run's folder; None without the file.

        Raises ``ValueError`` where the file is damaged.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            loss = content["loss"]
            return cls(np.array(content["genomes"], np.float32), None if loss is None else np.array(loss, np.float32))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(f"{path} cannot be read as a warm start") from None

    def save(self, path: Path) -> None:
        """Write it for a resume, complete or not at all."""
        loss = None if self.loss is None else self.loss.tolist()
        with draft(path) as made:
            made.write_text(json.dumps({"genomes": self.genomes.tolist(), "loss": loss}) + "\n", encoding="utf-8")

    @property
    def sha256(self) -> str:
        """The SHA-256 of genomes and losses."""
        sha = hashlib.sha256(np.ascontiguousarray(self.genomes).tobytes())
        sha.update(b"" if self.loss is None else np.ascontiguousarray(self.loss).tobytes())
        return sha.hexdigest()

    def applied_to(self, algorithm: Algorithm) -> Algorithm:
        """The algorithm, beginning with this; a warning where its first generation does not hold all settings."""
        genomes, size = jnp.asarray(self.genomes), algorithm.population_size
        if self.loss is None:
            if len(genomes) > size and jax.process_index() == 0:
                warnings.warn(
                    f"warm start: the first generation is the first {size} of its {len(genomes)} settings; "
                    "the others are not used",
                    stacklevel=2,
                )
            return warm_start(algorithm, genomes)
        return informed(algorithm, genomes, jnp.asarray(self.loss))


def _genome(space: SearchSpace, row: Mapping[str, Any]) -> np.ndarray:
    setting = {n: _typed(n, d, row[n]) for n, d in space.items if n in row and not _is_blank(space, n, row[n])}
    if missing := [name for name in space.active_names(setting) if name not in setting]:
        raise ValueError(f"a setting has no {missing[0]!r}; it has {shorten(str(list(row)), 200)}")
    return space.encode(space.active_part(setting))


def _is_blank(space: SearchSpace, name: str, value: Any) -> bool:
    """Whether a source has no value for a hyperparameter, which may be inactive."""
    return bool(space.condition_of(name)) and (value == "" or is_missing(value))


def _typed(name: str, dimension: Dimension, value: Any) -> Any:
    """A value of a source as a search has it, so that all sources give the same genomes."""
    try:
        if isinstance(value, str):
            value = dimension.from_text(value)
        if dimension.is_discrete:
            return dimension.at_level(dimension.level(value))
        dimension.encode(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return np.float32(value)


def _number(value: Any) -> float:
    """A value as a float; a bool, which Python's ``float`` would accept, is none."""
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"a value must be a number, got {shorten(repr(value))}")


def _subsample(loss: np.ndarray) -> np.ndarray:
    """The rows to take, in their order: at most ``_MAX_EVALUATIONS`` of those with a finite loss."""
    order = np.argsort(loss, kind="stable")[: np.isfinite(loss).sum()]
    if order.size > _MAX_EVALUATIONS:
        half = _MAX_EVALUATIONS // 2
        others = order[half:][np.linspace(0, order.size - half - 1, _MAX_EVALUATIONS - half).astype(int)]
        order = np.concatenate([order[:half], others])
    return np.sort(order)


# --- sources ---


def _read(source: Source, space: SearchSpace, objective: Objective) -> tuple[Rows, list[Any] | None]:
    """The settings of a source, and their values; None where it has settings only."""
    if isinstance(source, str) and "://" in source:
        return _read_study(source, objective)
    if isinstance(source, str | Path):
        path = Path(source)
        source = SavedRun.read(path) if path.is_dir() else _read_file(path)
    if isinstance(source, SavedRun):
        source = source.history
    if isinstance(source, History):
        _check_objective(source.objective, objective)
    rows = list(source.rows()) if isinstance(source, History) else source
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"a list of settings is needed, as [{{name: value, ...}}, ...], got {shorten(repr(rows))}")
    rows = [dict(row) for row in rows]
    # Of a run under a schedule, scores of unfinished trainings are no values of a setting, nor are those of heirs.
    rows = [row for row in rows if "trained" not in row or _has_own_value(row)]
    for row in rows:
        if "species" not in row:  # the rows of a history have further columns
            for name in row:
                check_choice("a name in a setting", name, [*space.names, "value"])
    num_values = sum("value" in row for row in rows)
    if num_values not in (0, len(rows)):
        raise ValueError(f"all settings need a value or none, got {num_values} values of {len(rows)}")
    return rows, [row["value"] for row in rows] if num_values else None


def _check_objective(earlier: Objective, objective: Objective) -> None:
    if earlier != objective:
        what, needed = (f"{each.direction}imise the {each.name}" for each in (earlier, objective))
        raise ValueError(
            f"its run was to {what}, this one is to {needed}: give its settings as a list, with values only where they "
            "are those of this run"
        )


def _has_own_value(row: Mapping[str, Any]) -> bool:
    return row.get("outcome", FINISHED) == FINISHED and row.get("species") != HEIR


def _read_file(path: Path) -> Any:
    if path.suffix not in _READERS:
        *first, last = _READERS
        raise ValueError(f"it must be a run's folder, a {', '.join(first)} or {last} file, or an Optuna URL")
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    rows = _READERS[path.suffix](path)
    if path.suffix != ".json" and rows and "value" not in rows[0]:
        raise ValueError(f"it has no column 'value', it has {shorten(str(list(rows[0])), 200)}")
    return rows


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None


def _read_csv(path: Path) -> Rows:
    rows = read_rows(path, last_may_be_open=True)
    names = next(rows, [])
    return [dict(zip(names, row, strict=True)) for row in rows]


def _read_parquet(path: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(pa.BufferReader(path.read_bytes())).to_pylist()
    except pa.ArrowException as error:
        raise ValueError(f"it is no Parquet file: {error}") from None
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


_READERS = {".csv": _read_csv, ".parquet": _read_parquet, ".json": _read_json}


def _read_study(url: str, objective: Objective) -> tuple[Rows, list[Any]]:
    from optuna.trial import TrialState

    from jaxga.report.study import direction_of, open_studies, storage_errors

    url, _, name = url.partition("#")
    with storage_errors("the storage"):
        studies = open_studies(url)
    if not name and len(studies) != 1:
        raise ValueError(f"it has the studies {list(studies)}: name one of them as {url}#NAME")
    if name and name not in studies:
        raise ValueError(f"it has no study {name!r}, it has {list(studies)}")
    study, needed = studies[name or next(iter(studies))], direction_of(objective)
    directions = [direction.name.lower() for direction in study.directions]
    if directions != [needed]:
        raise ValueError(f"its study has the directions {directions}, this run has to {needed} one value")
    with storage_errors("the storage"):
        trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return [trial.params for trial in trials], [float(trial.values[0]) for trial in trials]
