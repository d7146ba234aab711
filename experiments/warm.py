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
from jaxga.space import Categorical

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
        path.write_text(json.dumps({"genomes": self.genomes.tolist(), "loss": loss}) + "\n", encoding="utf-8")

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

    Of more than 512 evaluations the best half of so many are taken, and of the others every so manieth.

    Raises ``ValueError`` where the source cannot be read or a setting is outside the space.
    """
    try:
        rows, values = _read(source, space)
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"--warm-start {source} cannot be read: {error}") from None
    loss = None
    if values is not None:
        loss = objective.sign * np.asarray(values, np.float32)
        kept = _spread(loss)
        rows, loss = [rows[i] for i in kept], loss[kept]
    if not rows:
        raise ValueError(f"--warm-start {source} has no setting with a value")
    genomes = []
    for row in rows:
        missing = [name for name in space.names if name not in row]
        if missing:
            raise ValueError(f"--warm-start {source}: a setting has no {missing[0]!r}; it has {list(row)}")
        try:
            genomes.append(space.encode({name: _typed(dimension, row[name]) for name, dimension in space.items}))
        except ValueError as error:
            raise ValueError(f"--warm-start {source}: {error}") from None
    return Known(np.stack(genomes), loss)


def _spread(loss: np.ndarray) -> np.ndarray:
    """The rows to take, in their order: those with a loss, at most ``_MAX_KNOWN`` of them."""
    order = np.argsort(loss, kind="stable")[: np.isfinite(loss).sum()]
    if order.size > _MAX_KNOWN:
        half = _MAX_KNOWN // 2
        others = order[half:][np.linspace(0, order.size - half - 1, _MAX_KNOWN - half).astype(int)]
        order = np.concatenate([order[:half], others])
    return np.sort(order)


def _read(source: str, space: SearchSpace) -> tuple[list[dict[str, Any]], list[float] | None]:
    if "://" in source:
        return _study(source)
    if source.endswith(".json"):
        rows = json.loads(Path(source).read_text(encoding="utf-8"))
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"--warm-start {source}: a list of settings is needed, as [{{name: value, ...}}, ...]")
        has_value = ["value" in row for row in rows]
        if any(has_value) and not all(has_value):
            raise ValueError(f"--warm-start {source}: all settings need a value or none, got {sum(has_value)} values")
        return rows, [float(row["value"]) for row in rows] if any(has_value) else None
    if source.endswith(".parquet"):
        import pyarrow.parquet as pq

        rows = pq.read_table(source, columns=[*space.names, "value"]).to_pylist()
    elif source.endswith(".csv"):
        with open(source, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    else:
        raise ValueError(f"--warm-start must be a .csv, .parquet or .json file or an Optuna URL, got {source!r}")
    return rows, [float(row["value"]) for row in rows]


def _study(source: str) -> tuple[list[dict[str, Any]], list[float]]:
    import optuna

    url, _, name = source.partition("#")
    names = optuna.get_all_study_names(url)
    if not name and len(names) != 1:
        raise ValueError(f"--warm-start {url} has the studies {names}: name one as {url}#NAME")
    if name and name not in names:
        raise ValueError(f"--warm-start {url} has no study {name!r}, it has {names}")
    trials = optuna.load_study(study_name=name or names[0], storage=url).get_trials(
        deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]
    )
    return [trial.params for trial in trials], [float(trial.values[0]) for trial in trials]


def _typed(dimension: Any, value: Any) -> Any:
    """A value as a file holds it, as the dimension's own kind."""
    if isinstance(dimension, Categorical):
        choices = {str(choice): choice for choice in dimension.choices}
        return choices.get(str(value), value) if not dimension.is_numeric else _number(value)
    return _number(value)


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value  # the space says what is wrong with it
