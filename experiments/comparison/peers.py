"""The peers: other packages' optimisers behind ``ask() -> settings`` and ``tell(losses)``, at their defaults or better.

Ranges, logarithms, whole numbers and categories are handed over natively where the package knows them.
"""

# pyright: reportMissingImports=false
# The extra "peers" may not be installed.

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from experiments.comparison.bayesian import Hebo, Hyperoptax
from experiments.comparison.configured import Dehb, Smac
from experiments.comparison.turbo import Turbo
from jaxga import Categorical, Integer, LogInteger, LogUniform, SearchSpace, Uniform
from jaxga.space import Dimension

Setting = dict[str, Any]


class Search(Protocol):
    """One search: settings to evaluate, at most a generation of them, then their losses in the same order."""

    def ask(self) -> list[Setting]: ...

    def tell(self, losses: np.ndarray) -> None: ...


class Peer(NamedTuple):
    """One method of another package.

    Attributes:
        package: what has to be installed.
        settings: what it is given beside the space, the population size P, the generations and the seed; for the
            record, and part of what tells one cached run from another.
        start: ``start(space, population_size, num_generations, seed)``.
        max_evaluations, max_genes: the most that it affords; None for any.
        needs: further packages that have to be importable.
        install: how to install it where the extra "peers" does not.
    """

    package: str
    settings: str
    start: Callable[[SearchSpace, int, int, int], Search]
    max_evaluations: int | None = None
    max_genes: int | None = None
    needs: tuple[str, ...] = ()
    install: str | None = None

    def missing(self) -> str | None:
        """The package that is not installed, if any."""
        for name in (self.package, *self.needs):
            if importlib.util.find_spec(name) is None:
                return name
        return None

    def affords(self, num_genes: int, num_evaluations: int) -> bool:
        fits = self.max_evaluations is None or num_evaluations <= self.max_evaluations
        return fits and (self.max_genes is None or num_genes <= self.max_genes)


class Optuna:
    """A study of a sampler, asked for ``size`` settings at a time; ``trials`` are the last ones."""

    def __init__(self, make_sampler: Callable[[int, int], Any], space: SearchSpace, size: int, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        self.study = optuna.create_study(sampler=make_sampler(size, seed))
        self.space, self.size = space, size
        self.distributions = {name: self._distribution(optuna.distributions, d) for name, d in space.items}
        self.trials: list[Any] = []

    @staticmethod
    def _distribution(kinds: Any, dimension: Dimension) -> Any:
        if isinstance(dimension, Categorical):
            return kinds.CategoricalDistribution(dimension.choices)
        is_log = isinstance(dimension, LogUniform | LogInteger)
        if isinstance(dimension, Integer | LogInteger):
            return kinds.IntDistribution(dimension.low, dimension.high, log=is_log)
        return kinds.FloatDistribution(dimension.low, dimension.high, log=is_log)

    def ask(self) -> list[Setting]:
        if self.space.conditions:
            self.trials = [self._defined_by_run() for _ in range(self.size)]
        else:
            self.trials = [self.study.ask(self.distributions) for _ in range(self.size)]
        return [dict(trial.params) for trial in self.trials]

    def _defined_by_run(self) -> Any:
        """A trial that is asked for the active parameters alone, as a user's objective would."""
        trial = self.study.ask()
        while names := [name for name in self.space.active_names(trial.params) if name not in trial.params]:
            for name in names:
                kind, given = self.distributions[name], self.distributions[name]._asdict()
                if "choices" in given:
                    trial.suggest_categorical(name, given["choices"])
                elif isinstance(given["low"], int):
                    trial.suggest_int(name, given["low"], given["high"], log=kind.log)
                else:
                    trial.suggest_float(name, given["low"], given["high"], log=kind.log)
        return trial

    def tell(self, losses: np.ndarray) -> None:
        for trial, loss in zip(self.trials, losses, strict=True):
            self.study.tell(trial, float(loss))


def _optuna(make_sampler: Callable[[int, int], Any]) -> Callable[[SearchSpace, int, int, int], Search]:
    return lambda space, size, num_generations, seed: Optuna(make_sampler, space, size, seed)


def _tpe(size: int, seed: int) -> Any:
    import optuna

    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _tpe_group(size: int, seed: int) -> Any:
    import optuna

    return optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True, group=True)


def _optuna_cmaes(size: int, seed: int) -> Any:
    import optuna

    independent = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    return optuna.samplers.CmaEsSampler(seed=seed, popsize=size, independent_sampler=independent)


def _optuna_gp(size: int, seed: int) -> Any:
    import optuna

    return optuna.samplers.GPSampler(seed=seed)


def _auto(space: SearchSpace, size: int, num_generations: int, seed: int) -> Search:
    import optuna

    if not space.is_categorical.any():
        return Optuna(_optuna_gp, space, size, seed)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    return Optuna(lambda size, seed: sampler, space, size, seed)


class _Cmaes:
    """Real genes in the unit cube (along the logarithm), whole numbers by place with margin, categories natively."""

    _SIGMA = 0.25

    def __init__(self, space: SearchSpace, size: int, num_generations: int, seed: int) -> None:
        import cmaes

        self.space, self.size = space, size
        self.is_mixed = bool(space.is_discrete.any())
        if self.is_mixed:
            levels, categorical = space.num_levels, space.is_categorical
            self.reals = np.flatnonzero(levels == 0)
            self.wholes = np.flatnonzero((levels > 0) & ~categorical)
            self.categories = np.flatnonzero(categorical)
            # The centres of the levels along the unit interval, so that every gene has the same range.
            centres = [_centres(space.items[i][1]) for i in self.wholes]
            self.search: Any = cmaes.CatCMAwM(
                x_space=[[0.0, 1.0]] * len(self.reals) or None,
                z_space=centres or None,
                c_space=[int(levels[i]) for i in self.categories] or None,
                population_size=size,
                mean=np.full(len(self.reals) + len(self.wholes), 0.5),
                sigma=self._SIGMA,
                seed=seed,
            )
        else:
            bounds = np.array([[0.0, 1.0]] * space.size)
            mean = np.full(space.size, 0.5)
            self.search = cmaes.CMA(mean=mean, sigma=self._SIGMA, bounds=bounds, population_size=size, seed=seed)
        self.asked: list[Any] = []

    def ask(self) -> list[Setting]:
        self.asked = [self.search.ask() for _ in range(self.size)]
        return self.space.settings(np.array([self._genome(solution) for solution in self.asked]))

    def tell(self, losses: np.ndarray) -> None:
        self.search.tell([(solution, float(loss)) for solution, loss in zip(self.asked, losses, strict=True)])

    def _genome(self, solution: Any) -> np.ndarray:
        if not self.is_mixed:
            return solution
        genome = np.zeros(self.space.size)
        for places, values in ((self.reals, solution.x), (self.wholes, solution.z)):
            if len(places):
                genome[places] = values
        for i, place in enumerate(self.categories):
            num_levels = self.space.num_levels[place]
            genome[place] = (int(np.argmax(solution.c[i][:num_levels])) + 0.5) / num_levels
        return genome


def _centres(dimension: Dimension) -> list[float]:
    assert isinstance(dimension, Integer | LogInteger)
    return [float(dimension.encode(value)) for value in range(dimension.low, dimension.high + 1)]


class _Pymoo:
    """``GA`` and ``DE`` in the unit cube, a level by its interval; ``MixedVariableGA`` where a gene is discrete."""

    def __init__(self, kind: str, space: SearchSpace, size: int, num_generations: int, seed: int) -> None:
        from pymoo.algorithms.soo.nonconvex.de import DE
        from pymoo.algorithms.soo.nonconvex.ga import GA
        from pymoo.core.mixed import MixedVariableGA
        from pymoo.core.problem import Problem
        from pymoo.core.variable import Choice, Real
        from pymoo.core.variable import Integer as Whole

        self.space, self.num_generations = space, num_generations
        self.is_native = kind == "ga" and bool(space.is_discrete.any())
        if self.is_native:
            variables: dict[str, Any] = {}
            for name, dimension in space.items:
                if isinstance(dimension, Categorical):
                    variables[name] = Choice(options=list(range(dimension.num_levels)))
                elif isinstance(dimension, Integer):
                    variables[name] = Whole(bounds=(dimension.low, dimension.high))
                else:  # along the logarithm, which pymoo does not know
                    variables[name] = Real(bounds=(0.0, 1.0))
            problem = Problem(vars=variables, n_obj=1)
            self.search: Any = MixedVariableGA(pop_size=size)
        else:
            problem = Problem(n_var=space.size, n_obj=1, xl=np.zeros(space.size), xu=np.ones(space.size))
            self.search = GA(pop_size=size) if kind == "ga" else DE(pop_size=size)
        # Twice the generations: it may ask for fewer than P where it finds no more new ones.
        self.search.setup(problem, termination=("n_gen", 2 * num_generations), seed=seed, verbose=False)
        self.asked: Any = None

    def ask(self) -> list[Setting]:
        self.asked = self.search.ask()
        points = self.asked.get("X")
        if not self.is_native:
            return self.space.settings(points)
        return self.space.settings(np.array([self._genome(point) for point in points]))

    def tell(self, losses: np.ndarray) -> None:
        self.asked.set("F", np.asarray(losses, np.float64)[:, None])
        self.search.tell(infills=self.asked)

    def _genome(self, point: dict[str, Any]) -> list[float]:
        genome = []
        for name, dimension in self.space.items:
            value = point[name]
            if isinstance(dimension, Categorical):
                value = (value + 0.5) / dimension.num_levels
            elif isinstance(dimension, Integer):
                value = dimension.encode(int(value))
            genome.append(float(value))
        return genome


class _Nevergrad:
    def __init__(self, name: str, space: SearchSpace, size: int, num_generations: int, seed: int) -> None:
        import nevergrad as ng

        warnings.simplefilter("ignore")
        parameters = {name: self._parameter(ng.p, dimension) for name, dimension in space.items}
        parametrization = ng.p.Dict(**parameters)
        parametrization.random_state = np.random.RandomState(seed)
        self.search: Any = getattr(ng.optimizers, name)(
            parametrization, budget=size * num_generations, num_workers=size
        )
        self.size = size
        self.asked: list[Any] = []

    @staticmethod
    def _parameter(kinds: Any, dimension: Dimension) -> Any:
        if isinstance(dimension, Categorical):
            return kinds.Choice(list(dimension.choices))
        is_log = isinstance(dimension, LogUniform | LogInteger)
        kind = kinds.Log if is_log else kinds.Scalar
        parameter = kind(lower=dimension.low, upper=dimension.high)
        return parameter.set_integer_casting() if isinstance(dimension, Integer | LogInteger) else parameter

    def ask(self) -> list[Setting]:
        self.asked = [self.search.ask() for _ in range(self.size)]
        return [dict(candidate.value) for candidate in self.asked]

    def tell(self, losses: np.ndarray) -> None:
        for candidate, loss in zip(self.asked, losses, strict=True):
            self.search.tell(candidate, float(loss))


class _Skopt:
    def __init__(self, space: SearchSpace, size: int, num_generations: int, seed: int) -> None:
        from skopt import Optimizer

        warnings.simplefilter("ignore")
        self.names, self.size = space.names, size
        dimensions = [self._dimension(dimension) for _, dimension in space.items]
        self.search: Any = Optimizer(dimensions, base_estimator="GP", n_initial_points=size, random_state=seed)
        self.asked: list[Any] = []

    @staticmethod
    def _dimension(dimension: Dimension) -> Any:
        from skopt import space as kinds

        if isinstance(dimension, Categorical):
            return kinds.Categorical(list(dimension.choices))
        prior = "log-uniform" if isinstance(dimension, LogUniform | LogInteger) else "uniform"
        kind = kinds.Real if isinstance(dimension, Uniform | LogUniform) else kinds.Integer
        return kind(dimension.low, dimension.high, prior=prior)

    def ask(self) -> list[Setting]:
        points: list[Any] = self.search.ask(n_points=self.size) or []
        self.asked = points
        return [dict(zip(self.names, point, strict=True)) for point in points]

    def tell(self, losses: np.ndarray) -> None:
        self.search.tell(self.asked, [float(loss) for loss in losses])


def _pymoo(kind: str) -> Callable[[SearchSpace, int, int, int], Search]:
    return lambda *arguments: _Pymoo(kind, *arguments)


def _smac(facade: str) -> Callable[[SearchSpace, int, int, int], Search]:
    return lambda *arguments: Smac(facade, *arguments)


def _nevergrad(name: str) -> Callable[[SearchSpace, int, int, int], Search]:
    return lambda *arguments: _Nevergrad(name, *arguments)


# By name, why a method that a reader may look for is not run.
ABSENT = {
    "vizier_gp": "google-vizier 0.1.24 compiles anew for each number of evaluations: 37 to 50 s for a batch of 8",
}

PEERS: dict[str, Peer] = {
    "optuna_tpe": Peer("optuna", "TPESampler(constant_liar=True), asked P at a time", _optuna(_tpe)),
    "optuna_tpe_group": Peer(
        "optuna",
        "TPESampler(multivariate=True, group=True, constant_liar=True), asked P at a time",
        _optuna(_tpe_group),
    ),
    "optuna_cmaes": Peer(
        "optuna",
        "CmaEsSampler(popsize=P, independent_sampler=TPESampler(constant_liar=True)) for categories",
        _optuna(_optuna_cmaes),
        needs=("cmaes",),
    ),
    "optuna_gp": Peer(
        "optuna",
        "GPSampler(), asked P at a time",
        _optuna(_optuna_gp),
        max_evaluations=320,
        max_genes=10,
        needs=("torch", "scipy"),
    ),
    "optuna_auto": Peer(
        "optuna",
        "the rule of OptunaHub's AutoSampler: GPSampler(), or TPESampler(multivariate=True, constant_liar=True) where "
        "a gene is a category; asked P at a time",
        _auto,
        max_evaluations=250,  # then it goes over to CMA-ES
        max_genes=10,
        needs=("torch", "scipy"),
    ),
    "hebo": Peer(
        "hebo",
        "HEBO(), suggest(P)",
        Hebo,
        max_evaluations=320,
        max_genes=10,
        # It demands a numpy that JAX does not run with, and works without.
        install="pip install --no-deps HEBO==0.3.6, then pip install GPy catboost disjoint-set",
    ),
    "smac_forest": Peer(
        "smac",
        "HyperparameterOptimizationFacade(deterministic), asked P at a time",
        _smac("HyperparameterOptimizationFacade"),
    ),
    "smac_gp": Peer(
        "smac",
        "BlackBoxFacade(deterministic), asked P at a time",
        _smac("BlackBoxFacade"),
        max_evaluations=320,
        max_genes=10,
    ),
    "hyperoptax": Peer(
        "hyperoptax", "BayesianSearch(n_parallel=P, n_max=P*G); categories by number", Hyperoptax, max_evaluations=320
    ),
    "dehb": Peer(
        "dehb", "DEHB(min_fidelity=0.5, max_fidelity=1, eta=3), ask(P): one rung, so differential evolution", Dehb
    ),
    "botorch_turbo": Peer(
        "botorch",
        "TuRBO-1 on SingleTaskGP with the constants of the paper, batches of P; discrete genes by interval",
        Turbo,
        max_evaluations=320,
        needs=("torch",),
    ),
    "cmaes": Peer(
        "cmaes",
        "CMA(mean=0.5, sigma=0.25, bounds=[0, 1]^D, population_size=P); CatCMAwM, likewise, where a gene is discrete",
        _Cmaes,
    ),
    "pymoo_ga": Peer("pymoo", "GA(pop_size=P); MixedVariableGA(pop_size=P) where a gene is discrete", _pymoo("ga")),
    "pymoo_de": Peer("pymoo", "DE(pop_size=P), DE/best/1/bin; discrete genes by interval", _pymoo("de")),
    # NGOpt itself fails under numpy 2.4 on continuous problems (nevergrad 1.0.12, in its metamodel).
    "nevergrad_tuned": Peer(
        "nevergrad", "NgIohTuned(budget=P*G, num_workers=P)", _nevergrad("NgIohTuned"), max_evaluations=100
    ),
    "nevergrad_de": Peer("nevergrad", "TwoPointsDE(budget=P*G, num_workers=P)", _nevergrad("TwoPointsDE")),
    "skopt_gp": Peer(
        "skopt",
        "Optimizer(base_estimator='GP', n_initial_points=P), ask(n_points=P) (cl_min)",
        _Skopt,
        max_evaluations=100,
        max_genes=2,
    ),
}
