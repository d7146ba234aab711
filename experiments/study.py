"""A run as an Optuna study, and an Optuna study's settings as a run's."""

import warnings
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

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


def study(
    name: str, space: SearchSpace, objective: Objective, columns: dict[str, np.ndarray], storage: str | None = None
) -> optuna.Study:
    """A study of these members (``{}`` for none yet), in memory or in ``storage``.

    Raises ``ValueError`` where the storage has a study of that name.
    """
    direction = "minimize" if objective.direction == "min" else "maximize"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            made = optuna.create_study(study_name=name, direction=direction, storage=storage)
        except optuna.exceptions.DuplicatedStudyError:
            raise ValueError(f"{storage} has a study {name!r} already") from None
        made.set_metric_names([objective.name])
    if columns:
        made.add_trials(trials(space, columns))
    return made
