"""A run as an Optuna study, and an Optuna study's settings as a run's."""

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

from jaxga import Objective, SearchSpace
from jaxga.adapters.optuna import distributions
from jaxga.space import Categorical

optuna.logging.set_verbosity(optuna.logging.WARNING)


def trials(space: SearchSpace, columns: dict[str, np.ndarray]) -> list[FrozenTrial]:
    """Each member as a trial: its setting, value, and all else as user attributes; a failed member is a failed one."""
    ranges, dimensions = distributions(space), dict(space.items)
    others = [n for n, c in columns.items() if n not in dimensions and n not in ("value", "run") and c.ndim == 1]
    made = []
    for i, value in enumerate(columns["value"].tolist()):
        setting = {name: _within(dimensions[name], columns[name][i]) for name in dimensions}
        is_whole = bool(np.isfinite(value))
        made.append(
            create_trial(
                state=TrialState.COMPLETE if is_whole else TrialState.FAIL,
                params=setting,
                distributions=ranges,
                value=value if is_whole else None,
                user_attrs={name: _plain(columns[name][i]) for name in others},
            )
        )
    return made


def _within(dimension: Any, value: Any) -> Any:
    if isinstance(dimension, Categorical):
        return _plain(value) if not dimension.is_numeric else dimension.to_python(value)
    return dimension.to_python(value)


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


@contextlib.contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Whatever a storage, called ``what``, finds wrong with its URL, driver or content, as a ``ValueError``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except DBAPIError as error:
            raise ValueError(f"{what} cannot be used: {error.orig}") from None
        except (SQLAlchemyError, OptunaError, ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{what} cannot be used: {str(error).splitlines()[0]}") from None


def open_studies(url: str) -> dict[str, optuna.Study]:
    """The studies of a storage that is there, by name: Optuna itself would make the database, and its tables in it."""
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
    """The file of an SQLite URL, None for another database; ``ValueError`` where it has none."""
    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if parsed.database in (None, "", ":memory:"):
        raise ValueError("it keeps nothing: a file is needed, as in sqlite:///run.db")
    return Path(parsed.database.removeprefix("file:"))


def direction_of(objective: Objective) -> Literal["minimize", "maximize"]:
    """Optuna's word for it."""
    return "minimize" if objective.direction == "min" else "maximize"


def study(
    name: str, space: SearchSpace, objective: Objective, columns: dict[str, np.ndarray], storage: str | None = None
) -> optuna.Study:
    """A study of these members (``{}`` for none yet), in memory or in ``storage``.

    Raises ``ValueError`` where the storage has a study of that name, or keeps nothing.
    """
    if storage is not None:
        _sqlite_file(storage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            made = optuna.create_study(study_name=name, direction=direction_of(objective), storage=storage)
        except optuna.exceptions.DuplicatedStudyError:
            raise ValueError(f"{storage} has a study {name!r} already") from None
        made.set_metric_names([objective.name])
    if columns:
        made.add_trials(trials(space, columns))
    return made
