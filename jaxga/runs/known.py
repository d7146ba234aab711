"""``--warm-start FILE``: settings to begin with, from a history, a list of settings, or an Optuna study."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxga import Algorithm, Objective, SearchSpace
from jaxga.algorithms.warm import informed, warm_start
from jaxga.runs.draft import draft
from jaxga.space import Categorical
from jaxga.text import shorten

# As many as an algorithm remembers: to be told of more takes time and changes little.
_MAX_KNOWN = 512


class Known(NamedTuple):
    """What a run begins with: genomes f32[N, D], and their losses f32[N] where the source knows them.

    Without losses the genomes are the first members, best first; with them they are evaluations, oldest first.
    """

    genomes: np.ndarray
    loss: np.ndarray | None

    @classmethod
    def read(cls, path: Path) -> "Known | None":
        """What :meth:`write` left in a run's folder; None where there is nothing."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            loss = content["loss"]
            return cls(np.array(content["genomes"], np.float32), None if loss is None else np.array(loss, np.float32))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(f"{path} cannot be read as what a run began with") from None

    def write(self, path: Path) -> None:
        """Keep it for a resume."""
        loss = None if self.loss is None else self.loss.tolist()
        with draft(path) as made:
            made.write_text(json.dumps({"genomes": self.genomes.tolist(), "loss": loss}) + "\n", encoding="utf-8")

    @property
    def sha256(self) -> str:
        """Of all its figures."""
        sha = hashlib.sha256(np.ascontiguousarray(self.genomes).tobytes())
        sha.update(b"" if self.loss is None else np.ascontiguousarray(self.loss).tobytes())
        return sha.hexdigest()

    def given_to(self, algorithm: Algorithm) -> Algorithm:
        """The algorithm that begins with it."""
        genomes = jnp.asarray(self.genomes)
        if self.loss is None:
            return warm_start(algorithm, genomes)
        return informed(algorithm, genomes, jnp.asarray(self.loss))


def read_known(source: str, space: SearchSpace, objective: Objective) -> Known:
    """The settings in ``source``, with their losses where it knows their values.

    Args:
        source: ``history.csv`` or ``history.parquet`` of a run; a JSON list of settings, each with or none with a
            ``"value"``; or the URL of an Optuna storage, with ``#NAME`` where it has more than one study.
        space: of the new run; every setting has to have all its names and lie inside it, other columns are ignored.
        objective: of the new run: says which values are better.

    Of more than 512 evaluations the best half of so many are taken, and of the others an even subsample.

    Raises ``ValueError`` where the source cannot be read or a setting is outside the space; it writes nothing.
    """
    if "://" not in source and Path(source).suffix not in _READERS:
        kinds = f"{', '.join(list(_READERS)[:-1])} or {list(_READERS)[-1]} file or an Optuna URL"
        raise ValueError(f"--warm-start must be a {kinds}, got {shorten(source)!r}")
    try:
        rows, values = _read(source, objective)
        loss = None
        if values is not None:
            with np.errstate(over="ignore"):  # too large for float32 is infinite, as it would be in a run
                loss = objective.sign * np.array([_number("a value", value) for value in values], np.float32)
            kept = _spread(loss)
            rows, loss = [rows[i] for i in kept], loss[kept]
        if not rows:
            raise ValueError("it has no setting with a value")
        return Known(np.stack([_genome(space, row) for row in rows]), loss)
    except RecursionError:
        problem = ": it is nested too deeply"
    except OSError as error:
        problem = f" cannot be read: {error.strerror or error}"
    except (ValueError, csv.Error) as error:
        problem = f": {error}"
    raise ValueError(f"--warm-start {source}{problem}")


def _genome(space: SearchSpace, row: dict[str, Any]) -> np.ndarray:
    missing = [name for name in space.names if name not in row]
    if missing:
        raise ValueError(f"a setting has no {missing[0]!r}; it has {shorten(str(list(row)), 200)}")
    return space.encode({name: _typed(name, dimension, row[name]) for name, dimension in space.items})


def _spread(loss: np.ndarray) -> np.ndarray:
    """The rows to take, in their order: those with a loss, at most ``_MAX_KNOWN`` of them."""
    order = np.argsort(loss, kind="stable")[: np.isfinite(loss).sum()]
    if order.size > _MAX_KNOWN:
        half = _MAX_KNOWN // 2
        others = order[half:][np.linspace(0, order.size - half - 1, _MAX_KNOWN - half).astype(int)]
        order = np.concatenate([order[:half], others])
    return np.sort(order)


def _read(source: str, objective: Objective) -> tuple[list[dict[str, Any]], list[Any] | None]:
    """The settings, and as many values, as the source holds them; None where it has settings alone."""
    if "://" in source:
        return _read_study(source, objective)
    path = Path(source)
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    rows = _READERS[path.suffix](path)
    has_value = ["value" in row for row in rows]
    if path.suffix == ".json" and not any(has_value):
        return rows, None
    if not all(has_value):
        raise ValueError(f"all settings need a value or none, got {sum(has_value)} values of {len(rows)}")
    return rows, [row["value"] for row in rows]


def _read_json(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("a list of settings is needed, as [{name: value, ...}, ...]")
    return rows


def _read_csv(path: Path) -> list[dict[str, Any]]:
    rows = []
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num} has not as many cells as the first line")
            rows.append(row)
    return rows


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(pa.BufferReader(path.read_bytes())).to_pylist()
    except pa.ArrowException as error:
        raise ValueError(f"it is no Parquet file: {error}") from None


_READERS = {".csv": _read_csv, ".parquet": _read_parquet, ".json": _read_json}


def _read_study(source: str, objective: Objective) -> tuple[list[dict[str, Any]], list[float]]:
    from optuna.trial import TrialState

    from jaxga.report.study import direction_of, open_studies, storage_errors

    url, _, name = source.partition("#")
    with storage_errors("the storage"):
        studies = open_studies(url)
    if not name and len(studies) != 1:
        raise ValueError(f"it has the studies {list(studies)}: name one as {url}#NAME")
    if name and name not in studies:
        raise ValueError(f"it has no study {name!r}, it has {list(studies)}")
    study, needed = studies[name or next(iter(studies))], direction_of(objective)
    directions = [direction.name.lower() for direction in study.directions]
    if directions != [needed]:
        raise ValueError(f"its study has the directions {directions}, this run has to {needed} one value")
    with storage_errors("the storage"):
        trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return [trial.params for trial in trials], [float(trial.values[0]) for trial in trials]


def _typed(name: str, dimension: Any, value: Any) -> Any:
    """A hyperparameter as a source holds it, as the dimension's own kind and inside its range."""
    if isinstance(dimension, Categorical) and not dimension.is_numeric:
        value = {str(choice): choice for choice in dimension.choices}.get(str(value), value)
    else:
        value = _number(f"{name}: value", value)
    try:
        dimension.encode(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return value


def _number(what: str, value: Any) -> float:
    """As a float; not a bool, which Python takes for one."""
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{what} must be a finite number, got {shorten(repr(value))}")
