"""Runs and Optuna studies: a run's members as trials, and the studies of a storage."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
import sqlalchemy
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from jaxga.adapters.optuna import distributions
from jaxga.base import Objective
from jaxga.runs.history import Columns
from jaxga.space import Dimension, SearchSpace, is_missing

optuna.logging.set_verbosity(optuna.logging.WARNING)


def trials(space: SearchSpace, columns: Columns) -> list[FrozenTrial]:
    """The members as trials: settings, values, and all other scalar columns as user attributes.

    A member without a value is a failed trial.
    """
    ranges, dimensions = distributions(space), dict(space.items)
    others = [n for n, c in columns.items() if n not in dimensions and n not in ("value", "run") and c.ndim == 1]
    made = []
    for i, value in enumerate(columns["value"].tolist()):
        has_value = bool(np.isfinite(value))
        active = [name for name in dimensions if not is_missing(columns[name][i])]
        made.append(
            create_trial(
                state=TrialState.COMPLETE if has_value else TrialState.FAIL,
                params={name: _param(dimensions[name], columns[name][i]) for name in active},
                distributions={name: ranges[name] for name in active},
                value=value if has_value else None,
                user_attrs={name: _plain(columns[name][i]) for name in others},
            )
        )
    return made


def _param(dimension: Dimension, value: Any) -> Any:
    """A value of the history as one that Optuna accepts: the choice itself, or a number inside the bounds."""
    return dimension.from_text(str(value)) if dimension.is_categorical else dimension.to_python(value)


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


@contextlib.contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Raise any error of a storage (its URL, driver or content) as a ``ValueError`` that calls the storage ``what``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except DBAPIError as error:
            raise ValueError(f"{what} cannot be used: {error.orig}") from None
        except (SQLAlchemyError, OptunaError, ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{what} cannot be used: {str(error).splitlines()[0]}") from None


def open_studies(url: str) -> dict[str, optuna.Study]:
    """The studies of an existing storage, by name.

    Raises ``ValueError`` where the storage does not exist or has no study. Optuna itself would create both the database
    and its tables.
    """
    database = _sqlite_file(url)
    if database is not None and not database.is_file():
        raise ValueError(f"there is no file {database}")
    engine = sqlalchemy.create_engine(url)
    try:
        if not sqlalchemy.inspect(engine).has_table("studies"):
            raise ValueError("it has no Optuna study")
    finally:
        engine.dispose()
    storage = optuna.storages.get_storage(url)
    return {name: optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)}


def _sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL, None for another database; ``ValueError`` for a database in memory."""
    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if parsed.database in (None, "", ":memory:"):
        raise ValueError("a database in memory is lost at the end: a file is needed, as in sqlite:///run.db")
    return Path(parsed.database.removeprefix("file:"))


def direction_of(objective: Objective) -> Literal["minimize", "maximize"]:
    """Optuna's word for the direction."""
    return "minimize" if objective.direction == "min" else "maximize"


def create_study(name: str, objective: Objective, storage: str) -> optuna.Study:
    """An empty study in a storage.

    Raises ``ValueError`` where the storage already has a study of that name, or is a database in memory.
    """
    _sqlite_file(storage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            made = optuna.create_study(study_name=name, direction=direction_of(objective), storage=storage)
        except optuna.exceptions.DuplicatedStudyError:
            raise ValueError(f"{storage} already has a study {name!r}") from None
        made.set_metric_names([objective.name])
    return made
