"""``--warm-start FILE``: settings to begin with, from a history, a list of settings, or an Optuna study."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from jaxga import Objective, SearchSpace
from jaxga.space import Categorical


def read_settings(source: str, space: SearchSpace, objective: Objective) -> np.ndarray:
    """The different settings in ``source`` as genomes f32[N, D], best first where it knows their values.

    Args:
        source: ``history.csv`` or ``history.parquet`` of a run; a JSON list of settings, taken in their order; or the
            URL of an Optuna storage, with ``#NAME`` where it has more than one study.
        space: of the new run; every setting has to have all its names and lie inside it, other columns are ignored.
        objective: of the new run: says which values are better.

    Raises ``ValueError`` where the source cannot be read or a setting is outside the space.
    """
    try:
        rows, values = _read(source, space)
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"--warm-start {source} cannot be read: {error}") from None
    if values is not None:
        loss = objective.sign * np.asarray(values, float)
        rows = [rows[i] for i in np.argsort(loss, kind="stable") if np.isfinite(loss[i])]
    if not rows:
        raise ValueError(f"--warm-start {source} has no setting with a value")
    genomes: dict[bytes, np.ndarray] = {}
    for row in rows:
        missing = [name for name in space.names if name not in row]
        if missing:
            raise ValueError(f"--warm-start {source}: a setting has no {missing[0]!r}; it has {list(row)}")
        try:
            genome = space.encode({name: _typed(dimension, row[name]) for name, dimension in space.items})
        except ValueError as error:
            raise ValueError(f"--warm-start {source}: {error}") from None
        genomes.setdefault(genome.tobytes(), genome)
    return np.stack(list(genomes.values()))


def _read(source: str, space: SearchSpace) -> tuple[list[dict[str, Any]], list[float] | None]:
    if "://" in source:
        return _study(source)
    if source.endswith(".json"):
        rows = json.loads(Path(source).read_text(encoding="utf-8"))
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"--warm-start {source}: a list of settings is needed, as [{{name: value, ...}}, ...]")
        return rows, None
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
