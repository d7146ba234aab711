"""jaxga as a search of scikit-learn: the scores are scikit-learn's own, and nested searches see no outer test row."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_wine
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from jaxga import Categorical, LogUniform, SearchSpace, Uniform, ga
from jaxga.adapters.sklearn import JaxgaSearchCV

INPUTS, TARGETS = load_wine(return_X_y=True)
SVM = make_pipeline(StandardScaler(), SVC())
SPACE = SearchSpace(
    svc__kernel=Categorical(["linear", "rbf"]),
    svc__C=LogUniform(1e-4, 1e2),
    svc__gamma=LogUniform(1e-4, 1.0).when(svc__kernel="rbf"),
)
INNER, OUTER = KFold(3, shuffle=True, random_state=1), KFold(2, shuffle=True, random_state=2)


def search(estimator=SVM, space=SPACE, **options):
    sizes = {"algorithm": ga, "population_size": 4, "num_generations": 3, "random_state": 0, "cv": INNER}
    return JaxgaSearchCV(estimator, space, **sizes | options)


def test_inner_and_outer_scores_are_those_of_the_winners_setting():
    found = cross_validate(search(), INPUTS, TARGETS, cv=OUTER, return_estimator=True)
    for i, (train, test) in enumerate(OUTER.split(INPUTS)):
        winner = found["estimator"][i]
        fixed = clone(SVM).set_params(**winner.best_params_)
        inner = cross_val_score(fixed, INPUTS[train], TARGETS[train], cv=INNER).mean()
        assert winner.best_score_ == pytest.approx(inner)
        outer = fixed.fit(INPUTS[train], TARGETS[train]).score(INPUTS[test], TARGETS[test])
        assert found["test_score"][i] == pytest.approx(outer)


def test_a_setting_is_without_what_is_inactive_and_the_best_wins():
    fitted = search().fit(INPUTS, TARGETS)
    scores, settings = fitted.cv_results_["mean_test_score"], fitted.cv_results_["params"]
    assert len(settings) == 12
    assert fitted.best_score_ == scores.max()
    assert {s["svc__kernel"] for s in settings} == {"linear", "rbf"}
    assert all(("svc__gamma" in s) == (s["svc__kernel"] == "rbf") for s in settings)
    again = search().fit(INPUTS, TARGETS)
    assert again.cv_results_["params"] == settings
    assert search(random_state=1).fit(INPUTS, TARGETS).cv_results_["params"] != settings


ROWS = set()


class Recorder(ClassifierMixin, BaseEstimator):
    """Notes the rows that it is fitted with or scored on; column 0 of the inputs is the row's number."""

    def __init__(self, x=0.0):
        self.x = x

    def fit(self, inputs, targets):
        ROWS.update(inputs[:, 0].astype(int).tolist())
        if self.x > 0.5:
            raise RuntimeError("diverged")
        self.classes_ = np.unique(targets)
        return self

    def score(self, inputs, targets):
        ROWS.update(inputs[:, 0].astype(int).tolist())
        return self.x


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_a_search_sees_its_own_rows_alone_and_a_failed_fit_is_a_failed_member():
    rows = np.arange(20.0)[:, None]
    targets = np.arange(20) % 2
    train, _ = next(OUTER.split(rows))
    ROWS.clear()
    recorded = search(Recorder(), SearchSpace(x=Uniform(0.0, 1.0)), num_generations=8, refit=False)
    with pytest.warns(FitFailedWarning, match="fits failed"):
        fitted = recorded.fit(rows[train], targets[train])
    assert set(train.tolist()) == ROWS
    scores, x = fitted.cv_results_["mean_test_score"], np.array([s["x"] for s in fitted.cv_results_["params"]])
    assert np.array_equal(np.isnan(scores), x > 0.5)
    assert np.isnan(scores[:4]).any()
    # A greater score is better, a failed one the worst: at random the mean would be 0.25, of the least scores 0.
    assert np.nanmean(scores[-12:]) > 0.3


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_a_later_generation_in_which_every_fit_fails_ends_no_search():
    space, options = SearchSpace(x=Categorical([0.25, 1.0])), {"num_generations": 4, "refit": False}
    with pytest.warns(UserWarning, match=r"every fit of generation \d failed: cv_results_ lacks it"):
        fitted = search(Recorder(), space, **options).fit(INPUTS, TARGETS)
    assert fitted.best_params_ == {"x": 0.25}
    with pytest.raises(ValueError, match="fits failed"):
        search(Recorder(), SearchSpace(x=Uniform(0.6, 1.0)), **options).fit(INPUTS, TARGETS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": {"x": 1}}, "space must be a SearchSpace"),
        ({"num_generations": 0}, "num_generations must be"),
        ({"algorithm": "ga"}, "algorithm must be a factory, as jaxga.ga, got 'ga'"),
        (
            {"scoring": ["accuracy", "f1_macro"], "refit": False},
            r"refit must name .* of \['accuracy', 'f1_macro'\], got False",
        ),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        search(**options).fit(INPUTS, TARGETS)
