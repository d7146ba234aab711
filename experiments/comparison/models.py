"""scikit-learn models on its own data sets: functions of the host, cheap and free of noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxga import Categorical, Integer, LogInteger, LogUniform, SearchSpace, Uniform

_NUM_FOLDS = 3


@dataclass(frozen=True)
class Model:
    """A function of the host without noise.

    Attributes:
        space: the search space.
        loss: of one setting of Python numbers and choices; the regret itself where the optimum is known.
    """

    space: SearchSpace
    loss: Callable[[dict[str, Any]], float]


def _svc() -> Model:
    from sklearn.datasets import load_wine
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def build(setting: dict[str, Any]) -> Any:
        return make_pipeline(StandardScaler(), SVC(C=setting["c"], gamma=setting["gamma"], kernel=setting["kernel"]))

    space = SearchSpace(
        c=LogUniform(1e-3, 1e3), gamma=LogUniform(1e-4, 10.0), kernel=Categorical(["rbf", "sigmoid", "linear"])
    )
    return _model(space, build, load_wine(return_X_y=True), "accuracy")


def _kernel_ridge() -> Model:
    from sklearn.datasets import load_diabetes
    from sklearn.kernel_ridge import KernelRidge

    def build(setting: dict[str, Any]) -> Any:
        return KernelRidge(alpha=setting["alpha"], gamma=setting["gamma"], kernel="rbf")

    space = SearchSpace(alpha=LogUniform(1e-4, 10.0), gamma=LogUniform(1e-3, 100.0))
    return _model(space, build, load_diabetes(return_X_y=True), "r2")


def _tree() -> Model:
    from sklearn.datasets import load_breast_cancer
    from sklearn.tree import DecisionTreeClassifier

    def build(setting: dict[str, Any]) -> Any:
        return DecisionTreeClassifier(random_state=0, **setting)

    space = SearchSpace(
        max_depth=Integer(1, 12),
        min_samples_leaf=LogInteger(1, 64),
        max_features=Uniform(0.1, 1.0),
        ccp_alpha=LogUniform(1e-5, 0.1),
        criterion=Categorical(["gini", "entropy"]),
    )
    return _model(space, build, load_breast_cancer(return_X_y=True), "neg_log_loss")


def _elastic_net() -> Model:
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import ElasticNet
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    def build(setting: dict[str, Any]) -> Any:
        net = ElasticNet(alpha=setting["alpha"], l1_ratio=setting["l1_ratio"], max_iter=200)
        return make_pipeline(
            PolynomialFeatures(2, interaction_only=setting["only"] == "products"), StandardScaler(), net
        )

    space = SearchSpace(
        alpha=LogUniform(1e-2, 1e2), l1_ratio=Uniform(0.0, 1.0), only=Categorical(["products", "squares too"])
    )
    return _model(space, build, load_diabetes(return_X_y=True), "r2")


MODELS: dict[str, Callable[[], Model]] = {
    "svc-wine": _svc,
    "kernel_ridge-diabetes": _kernel_ridge,
    "tree-cancer": _tree,
    "elastic_net-diabetes": _elastic_net,
}


def _model(space: SearchSpace, build: Callable[[dict[str, Any]], Any], data: Any, scoring: str) -> Model:
    """The loss is ``1 - score`` by cross-validation on folds that never change."""
    import warnings

    from sklearn.model_selection import KFold, cross_val_score

    folds = KFold(_NUM_FOLDS, shuffle=True, random_state=0)

    def loss(setting: dict[str, Any]) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of settings that do not converge, which are part of the space
            return 1.0 - float(np.mean(cross_val_score(build(setting), *data, cv=folds, scoring=scoring)))

    return Model(space, loss)
