"""Classical models of scikit-learn, cross-validated on a table in worker processes."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxga import Categorical, Integer, LogInteger, LogUniform, Objective, Task, Uniform, as_host_task, run_defaults
from jaxga.checks import check_count
from jaxga.distribution import install_hint
from jaxga.space import Conditional, Dimension
from jaxga.text import check_choice, shorten

DATASETS = ("digits", "breast_cancer", "wine", "diabetes")


class Table(NamedTuple):
    """inputs f64[N, F]; targets [N]: f64 of a regression, else classes."""

    inputs: np.ndarray
    targets: np.ndarray

    @property
    def is_regression(self) -> bool:
        return bool(np.issubdtype(self.targets.dtype, np.floating))


def _is_file(dataset: str) -> bool:
    return dataset.endswith(".csv")


def file_digest(dataset: str) -> str | None:
    """SHA-256 of a CSV file; None for the name of one of ``DATASETS``. ``ValueError`` where there is no such file."""
    if not _is_file(dataset):
        return None
    if not Path(dataset).is_file():
        raise ValueError(f"dataset: there is no file {dataset}")
    return hashlib.sha256(Path(dataset).read_bytes()).hexdigest()


@lru_cache
def load_table(dataset: str, target_column: str | None, digest: str | None) -> Table:
    """One of ``DATASETS``, or the CSV file of this path; raises ``ValueError`` where there is none like that.

    A column of whole numbers or words as the target means classes, one of real numbers a regression. The file must
    have the digest that :func:`file_digest` found, so that no search mixes the values of two tables.
    """
    if not _is_file(dataset):
        check_choice("dataset", dataset, [*DATASETS, "path/to/file.csv"])
        if target_column is not None:
            raise ValueError(f"target_column is for a CSV file, got {target_column!r} and dataset={dataset!r}")
        import sklearn.datasets

        return Table(*getattr(sklearn.datasets, f"load_{dataset}")(return_X_y=True))
    from pyarrow import ArrowInvalid, csv

    if file_digest(dataset) != digest:
        raise ValueError(f"dataset: {dataset} was changed during the search")
    try:
        table = csv.read_csv(dataset)
    except ArrowInvalid as error:
        raise ValueError(f"dataset: {dataset} is no CSV table: {shorten(str(error))}") from None
    if twice := [name for name in table.column_names if table.column_names.count(name) > 1]:
        raise ValueError(f"dataset: {dataset} has two columns {twice[0]!r}")
    columns = {name: np.asarray(column) for name, column in table.to_pydict().items()}
    if target_column not in columns:
        raise ValueError(f"target_column must be one of {list(columns)}, got {target_column!r}")
    targets = columns.pop(target_column)
    is_empty = ~np.isfinite(targets) if np.issubdtype(targets.dtype, np.floating) else targets.astype(str) == ""
    if targets.dtype == object or is_empty.any():
        raise ValueError(f"dataset: the target column {target_column!r} of {dataset} has an empty cell")
    for name, column in columns.items():
        if not np.issubdtype(column.dtype, np.number) or not np.isfinite(column).all():
            raise ValueError(f"dataset: column {name!r} of {dataset} must hold a finite number in each row")
    if not columns or len(targets) < 2:
        raise ValueError(f"dataset: {dataset} must have a column beside the target and at least 2 rows")
    return Table(np.column_stack(list(columns.values())).astype(np.float64), targets)


def error_of(model: str, table: Table, num_folds: int, seed: int, setting: Mapping[str, Any]) -> float:
    """The error of a model of ``MODELS`` in cross-validation: 1 - accuracy, of a regression 1 - R^2."""
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

    folds = (KFold if table.is_regression else StratifiedKFold)(num_folds, shuffle=True, random_state=seed)
    estimator = MODELS[model].make(table.is_regression, seed, setting)
    options: Any = {"error_score": "raise"}
    return 1.0 - float(np.mean(cross_val_score(estimator, *table, cv=folds, **options)))


@dataclass(frozen=True)
class CrossValidation:
    """The error of a model in cross-validation as a function of a seed, of folds and model, and a setting.

    Attributes:
        data_sha256: of a CSV file, from :func:`file_digest`; it belongs to the identity of a run.
    """

    model: str
    dataset: str
    target_column: str | None
    num_folds: int
    data_sha256: str | None = None

    @property
    def data_source(self) -> str:
        """In words, with the folds."""
        table = f"column {self.target_column} of {self.dataset}" if self.target_column else self.dataset
        return f"{table}, {self.num_folds} folds"

    def __call__(self, seed: int, setting: Mapping[str, Any]) -> float:
        table = load_table(self.dataset, self.target_column, self.data_sha256)
        return error_of(self.model, table, self.num_folds, seed, setting)


class _Model(NamedTuple):
    """The hyperparameters, and ``make(is_regression, seed, setting)`` of an estimator."""

    space: dict[str, Dimension | Conditional]
    make: Callable[[bool, int, Mapping[str, Any]], Any]


def _svm(is_regression: bool, seed: int, setting: Mapping[str, Any]) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, SVR

    del seed
    # Without a limit some settings take minutes.
    model = (SVR if is_regression else SVC)(**setting, max_iter=100_000)
    return make_pipeline(StandardScaler(), model)


def _knn(is_regression: bool, seed: int, setting: Mapping[str, Any]) -> Any:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    del seed
    return make_pipeline(StandardScaler(), (KNeighborsRegressor if is_regression else KNeighborsClassifier)(**setting))


def _adaboost(is_regression: bool, seed: int, setting: Mapping[str, Any]) -> Any:
    from sklearn.ensemble import AdaBoostClassifier, AdaBoostRegressor
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    booster, tree = AdaBoostClassifier, DecisionTreeClassifier
    if is_regression:
        booster, tree = AdaBoostRegressor, DecisionTreeRegressor
    own = {name: setting[name] for name in ("n_estimators", "learning_rate")}
    return booster(tree(max_depth=setting["max_depth"]), **own, random_state=seed)


def _random_forest(is_regression: bool, seed: int, setting: Mapping[str, Any]) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    return (RandomForestRegressor if is_regression else RandomForestClassifier)(**setting, random_state=seed)


MODELS = {
    "svm": _Model(
        {
            "kernel": Categorical(["linear", "rbf", "poly"]),
            "C": LogUniform(1e-3, 1e3),
            "gamma": LogUniform(1e-5, 10.0).when(kernel=["rbf", "poly"]),
            "degree": Integer(2, 5).when(kernel="poly"),
        },
        _svm,
    ),
    "knn": _Model(
        {"n_neighbors": LogInteger(1, 50), "weights": Categorical(["uniform", "distance"]), "p": Uniform(1.0, 5.0)},
        _knn,
    ),
    "adaboost": _Model(
        {
            "n_estimators": LogInteger(10, 300),
            "learning_rate": LogUniform(1e-3, 10.0),
            "max_depth": Integer(1, 6),
        },
        _adaboost,
    ),
    "random_forest": _Model(
        {
            "n_estimators": LogInteger(10, 300),
            "max_depth": Integer(1, 30),
            "max_features": Uniform(0.05, 1.0),
            "min_samples_leaf": LogInteger(1, 20),
        },
        _random_forest,
    ),
}


def cross_validated(
    model: str,
    dataset: str = "digits",
    *,
    target_column: str | None = None,
    num_folds: int = 5,
    num_workers: int | None = None,
    timeout: float | None = None,
) -> Task:
    """A model of scikit-learn; the value is its error in cross-validation, 1 - accuracy or 1 - R^2 of a regression.

    Args:
        model: ``"svm"``, ``"knn"`` (both on standardised inputs), ``"adaboost"`` (of decision trees) or
            ``"random_forest"``.
        dataset: ``"digits"``, ``"breast_cancer"``, ``"wine"``, ``"diabetes"`` (a regression), or a CSV file's path.
        target_column: of a CSV file, the column to predict: of whole numbers or words for classes, of real numbers for
            a regression. All other columns are inputs and hold numbers.
        num_folds: of the cross-validation, at least 2; the seed shuffles the rows.
        num_workers: worker processes, as in :func:`jaxga.as_host_task`.
        timeout: seconds that one evaluation may take, as there.

    Raises ``ValueError`` for another model or data set, a table that cannot be read, or a number out of its range.
    """
    check_choice("model", model, MODELS)
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise ValueError(f"{model} needs scikit-learn: {install_hint('mnist')}") from None
    check_count("num_folds", num_folds, 2)
    digest = file_digest(dataset)
    table = load_table(dataset, target_column, digest)
    most = len(table.targets)
    if not table.is_regression:
        most = int(np.unique(table.targets, return_counts=True)[1].min())  # every fold has every class
    if num_folds > most:
        raise ValueError(f"num_folds must be at most {most} for {dataset}, got {num_folds}")
    objective = Objective("1 - R^2" if table.is_regression else "error", "min")
    decorate = as_host_task(MODELS[model].space, objective=objective, num_workers=num_workers, timeout=timeout)
    return decorate(CrossValidation(model, dataset, target_column, num_folds, digest))


_with_defaults = run_defaults(population_size=16, num_generations=10, num_fresh=4, is_heavy=False)
svm, knn, adaboost, random_forest = (_with_defaults(partial(cross_validated, model)) for model in MODELS)
