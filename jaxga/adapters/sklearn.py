"""jaxga as a search of scikit-learn."""

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.model_selection._search import BaseSearchCV  # made for searches of others, exported nowhere else
from sklearn.utils import check_random_state

from jaxga.algorithms.invasive import invasive_ga
from jaxga.base import Algorithm
from jaxga.checks import check_count
from jaxga.space import SearchSpace


@lru_cache(8)
def _made(algorithm: Callable[..., Algorithm], space: SearchSpace, population_size: int) -> Algorithm:
    return algorithm(space, population_size=population_size)  # the next outer fold compiles nothing


class JaxgaSearchCV(BaseSearchCV):
    """A search for an estimator's hyperparameters, used like ``GridSearchCV``; the fits are made by scikit-learn.

    It is an estimator itself, so that ``cross_val_score(JaxgaSearchCV(...), X, y)`` is a nested cross-validation: each
    search sees the rows of its outer training folds alone, and its winner is scored on the outer test fold. How much
    better ``best_score_`` is on average is the optimism of the search.

    Args:
        estimator: its hyperparameters have the names of ``space``, in a pipeline ``step__name``.
        space: the hyperparameters and their ranges; a setting is without what is inactive in it.
        algorithm: a factory ``f(space, population_size=P)``.
        population_size: P, settings a generation.
        num_generations: at least 1.
        random_state: of the search, as everywhere in scikit-learn; None draws another one for each fit.
        scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score: as of ``GridSearchCV``. With
            several scores ``refit`` names the one that is searched. A setting whose score is NaN is a failed member. A
            later generation of which every fit failed is not in ``cv_results_``; a warning says so.

    ``fit`` raises ``ValueError`` for a wrong argument. The attributes after it are those of ``GridSearchCV``:
    ``best_params_``, ``best_score_``, ``best_estimator_``, ``cv_results_``.

    >>> from sklearn.datasets import load_wine
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from jaxga import Integer, ga
    >>> space = SearchSpace(max_depth=Integer(1, 6))
    >>> search = JaxgaSearchCV(DecisionTreeClassifier(), space, algorithm=ga, population_size=4, num_generations=2)
    >>> search.fit(*load_wine(return_X_y=True)).best_params_
    {'max_depth': ...}
    """

    def __init__(
        self,
        estimator: Any,
        space: SearchSpace,
        *,
        algorithm: Callable[..., Algorithm] = invasive_ga,
        population_size: int = 16,
        num_generations: int = 10,
        random_state: Any = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.space = space
        self.algorithm = algorithm
        self.population_size = population_size
        self.num_generations = num_generations
        self.random_state = random_state

    def _run_search(  # pyright: ignore[reportIncompatibleMethodOverride]  (of releases that pass a second argument)
        self, evaluate_candidates: Callable[..., dict[str, Any]]
    ) -> None:
        if not isinstance(self.space, SearchSpace):
            raise ValueError(f"JaxgaSearchCV: space must be a SearchSpace, got {self.space!r}")
        check_count("JaxgaSearchCV: num_generations", self.num_generations, 1)
        if not callable(self.algorithm):
            raise ValueError(f"JaxgaSearchCV: algorithm must be a factory, as jaxga.ga, got {self.algorithm!r}")
        algorithm = _made(self.algorithm, self.space, self.population_size)
        key = jax.random.key(check_random_state(self.random_state).randint(2**31), impl="threefry2x32")
        key, key_init = jax.random.split(key)
        state = algorithm.init(key_init)
        for generation in range(self.num_generations):
            key, key_ask, key_tell = jax.random.split(key, 3)
            offspring, state = algorithm.ask(key_ask, state)
            try:
                scores = self._scores(evaluate_candidates(self.space.settings(offspring.genomes)))
            except ValueError:
                # scikit-learn raises it where every fit of one call failed, and keeps none of them.
                if not generation or self.error_score == "raise":
                    raise
                warnings.warn(f"every fit of generation {generation + 1} failed: cv_results_ lacks it", stacklevel=2)
                scores = np.full(algorithm.population_size, np.nan)
            loss = -np.asarray(scores[-algorithm.population_size :], np.float32)
            loss = jnp.where(np.isfinite(loss), loss, jnp.inf)
            state, _ = algorithm.tell(key_tell, state, offspring.genomes, loss)

    def _scores(self, results: dict[str, Any]) -> Any:
        """The mean scores that are searched, f64[N] of all settings so far."""
        name = "mean_test_score" if "mean_test_score" in results else f"mean_test_{self.refit}"
        if name not in results:
            names = [name.removeprefix("mean_test_") for name in results if name.startswith("mean_test_")]
            raise ValueError(
                f"JaxgaSearchCV: refit must name the score that is searched, of {names}, got {self.refit!r}"
            )
        return results[name]
