"""scikit-learn models by cross-validation, with the spaces of the black-box-optimisation challenge of NeurIPS 2020.

The challenge's own data sets are hidden. These problems are those that its package for practice, bayesmark 0.0.8, makes
of scikit-learn's data: the same models, ranges, five folds of four fifths of the data, and measures; what is told to
the optimiser is what is scored. That package does not run on today's scikit-learn, so the problems are made here. Left
out: boosting, the networks and the digits, which take 0.3 seconds and more an evaluation (all others together, 1); the
linear models, whose arguments are gone; Boston's houses, which are gone too. Forests draw from a fixed seed, so that
two evaluations do not differ.

Source: Turner et al., "Bayesian Optimization is Superior to Random Search for Machine Learning Hyperparameter Tuning:
Analysis of the Black-Box Optimization Challenge 2020" (2021).
"""

import itertools
import math
import warnings
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from experiments.comparison.models import Model
from jaxga import Integer, LogUniform, SearchSpace, Uniform

_NUM_FOLDS, _TEST_SHARE = 5, 0.2
# Genes that are searched along the logit.
_LOGIT = {
    "min_samples_split": (0.01, 0.99),
    "min_samples_leaf": (0.01, 0.49),
    "min_weight_fraction_leaf": (0.01, 0.49),
    "max_features": (0.01, 0.99),
}
_MEASURES = {
    "iris": ("neg_log_loss", "accuracy"),
    "wine": ("neg_log_loss", "accuracy"),
    "breast_cancer": ("neg_log_loss", "accuracy"),
    "diabetes": ("neg_mean_squared_error", "neg_mean_absolute_error"),
}


def _logit(share: float) -> float:
    return math.log(share / (1.0 - share))


def _share(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))


_TREE = SearchSpace(
    max_depth=Integer(1, 15),
    min_impurity_decrease=Uniform(0.0, 0.5),
    **{name: Uniform(_logit(low), _logit(high)) for name, (low, high) in _LOGIT.items()},
)
_SPACES = {
    "neighbours": SearchSpace(n_neighbors=Integer(1, 25), p=Integer(1, 4)),
    "svm": SearchSpace(C=LogUniform(1.0, 1e3), gamma=LogUniform(1e-4, 1e-3), tol=LogUniform(1e-5, 0.1)),
    "tree": _TREE,
    "forest": _TREE,
}


def _estimators(kind: str, measure: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The classifier and the regressor."""
    from sklearn import ensemble, neighbors, svm, tree

    seeded, few = {"random_state": 0}, {"random_state": 0, "n_estimators": 10}
    needs_probability = measure == "neg_log_loss"  # six times as slow, and the same predictions
    return {
        "neighbours": (neighbors.KNeighborsClassifier, neighbors.KNeighborsRegressor),
        "svm": (partial(svm.SVC, probability=needs_probability, **seeded), svm.SVR),
        "tree": (partial(tree.DecisionTreeClassifier, **seeded), partial(tree.DecisionTreeRegressor, **seeded)),
        "forest": (
            partial(ensemble.RandomForestClassifier, **few),
            partial(ensemble.RandomForestRegressor, **few),
        ),
    }[kind]


def _challenge(kind: str, data_set: str, measure: str) -> Model:
    from sklearn import config_context, datasets
    from sklearn.model_selection import cross_val_score, train_test_split

    data, target = getattr(datasets, f"load_{data_set}")(return_X_y=True)
    data, _, target, _ = train_test_split(data, target, test_size=_TEST_SHARE, random_state=0)
    build = _estimators(kind, measure)[data_set == "diabetes"]

    @cache  # there are 100 settings of the neighbours
    def loss(setting: tuple[tuple[str, Any], ...]) -> float:
        natural = {name: _share(value) if name in _LOGIT else value for name, value in setting}
        # Without the checks of every call, which take a fifth of the time.
        with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
            warnings.simplefilter("ignore")  # of folds with fewer classes, and what a next version will change
            return -float(np.mean(cross_val_score(build(**natural), data, target, scoring=measure, cv=_NUM_FOLDS)))

    return Model(_SPACES[kind], lambda setting: loss(tuple(setting.items())))


def _problems() -> dict[str, Callable[[], Model]]:
    return {
        f"challenge-{kind}-{data_set}-{measure.removeprefix('neg_')}": partial(_challenge, kind, data_set, measure)
        for kind, data_set in itertools.product(_SPACES, _MEASURES)
        for measure in _MEASURES[data_set]
    }


CHALLENGE = _problems()


def typical_loss(name: str, num_points: int = 101) -> float:
    """The median loss of ``num_points`` random settings, which are the same in every call."""
    model = CHALLENGE[name]()
    genomes = np.random.default_rng(0).uniform(size=(num_points, model.space.size)).astype(np.float32)
    return float(np.median([model.loss(setting) for setting in model.space.settings(genomes)]))


if __name__ == "__main__":
    # What protocols.py has, anew.
    print(*(f'    "{name}": {typical_loss(name):.5g},' for name in CHALLENGE), sep="\n")
