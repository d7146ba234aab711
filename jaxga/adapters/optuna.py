"""jaxga as a sampler of Optuna."""

import math
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from jaxga.algorithms.invasive import invasive_ga
from jaxga.base import Algorithm
from jaxga.checks import check_count
from jaxga.space import (
    MAX_LEVELS,
    MAX_LOG_INTEGER,
    Categorical,
    Conditional,
    Dimension,
    Integer,
    LogInteger,
    SearchSpace,
    Uniform,
)

# At most this many finished trials are learned at the start of a study that goes on: the best.
_MAX_KNOWN = 512


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The distribution of Optuna for each hyperparameter."""
    found: dict[str, BaseDistribution] = {}
    for name, dimension in space.items:
        if isinstance(dimension, Categorical):
            found[name] = CategoricalDistribution(dimension.choices)
        elif dimension.is_discrete:
            found[name] = IntDistribution(int(dimension.low), int(dimension.high), log=dimension.is_log)
        else:
            found[name] = FloatDistribution(float(dimension.low), float(dimension.high), log=dimension.is_log)
    return found


class JaxgaSampler(BaseSampler):
    """A sampler of Optuna: a jaxga algorithm asks for P trials a generation. One sampler serves one study.

    The algorithm learns from P finished trials at a time, so ``study.ask`` of P trials suits it best. One trial at a
    time and ``n_jobs`` work too: trials asked for while others of their generation still run are bred from what was
    known before. A failed trial is a failed member; a pruned trial counts with its last reported value. The finished
    trials of a study that goes on from a storage are learned at the start.

    Args:
        population_size: P, trials a generation, at least 2.
        seed: the same seed gives the same trials if they finish in order; None draws a seed.
        search_space: the parameters to search, as Optuna's distributions by name or a :class:`jaxga.SearchSpace`, which
            may have conditions. None takes those that all finished trials have in common; ``independent_sampler`` draws
            the first trials and, with a warning, the parameters that not all trials have.
        algorithm: a factory ``f(space, population_size=P)`` whose ``tell`` takes any genomes.
        independent_sampler: for all other parameters; default Optuna's ``RandomSampler``.

    Raises ``ValueError`` for a wrong argument, for more than one objective, and what the algorithm raises.

    >>> import optuna
    >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
    >>> space = {"x": FloatDistribution(-1.0, 1.0)}
    >>> study = optuna.create_study(sampler=JaxgaSampler(population_size=4, seed=0, search_space=space))
    >>> trials = [study.ask(space) for _ in range(4)]
    >>> _ = [study.tell(trial, trial.params["x"] ** 2) for trial in trials]
    """

    def __init__(
        self,
        *,
        population_size: int = 8,
        seed: int | None = None,
        search_space: Mapping[str, BaseDistribution] | SearchSpace | None = None,
        algorithm: Callable[..., Algorithm] = invasive_ga,
        independent_sampler: BaseSampler | None = None,
    ) -> None:
        if not isinstance(search_space, SearchSpace | None):
            for name, distribution in search_space.items():
                if not isinstance(distribution, BaseDistribution):
                    raise ValueError(
                        "JaxgaSampler: search_space must be a jaxga.SearchSpace or Optuna's distributions by name, "
                        f"got {distribution!r} for {name!r}"
                    )
        check_count("JaxgaSampler: population_size", population_size, 1)
        if not callable(algorithm):
            raise ValueError(f"JaxgaSampler: algorithm must be a factory, as jaxga.ga, got {algorithm!r}")
        self._population_size = population_size
        self._seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        self._own = search_space if isinstance(search_space, SearchSpace) else None
        self._ranges = distributions(search_space) if isinstance(search_space, SearchSpace) else search_space
        self._warned: set[str] = set()
        self._common = IntersectionSearchSpace()
        self._algorithm = algorithm
        self._independent = independent_sampler or RandomSampler(seed)
        self._search: _Search | None = None
        self._lock = threading.RLock()  # study.optimize(n_jobs=) asks from several threads

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are searched together."""
        with self._lock:
            space = self._common.calculate(study) if self._ranges is None else self._ranges
        return {name: distribution for name, distribution in space.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next member."""
        self._raise_error_if_multi_objective(study)
        if not search_space:
            return {}
        with self._lock:
            if self._search is None or self._search.ranges != search_space:
                known = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
                self._search = _Search(search_space, self._own, self._algorithm, self._population_size, self._seed)
                self._search.learn_all(known, study.direction)
            return self._search.next(trial.number)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value of a parameter that is not searched with the others."""
        if self._search is not None and param_name not in self._warned:
            self._warned.add(param_name)
            reason = "not all finished trials have it: give the sampler a jaxga.SearchSpace, which may have conditions"
            if self._ranges is not None:
                is_inactive = param_name in self._ranges
                reason = f"the search space {'has it inactive here' if is_inactive else 'does not have it'}"
            warnings.warn(f"trial {trial.number} draws {param_name!r} independently: {reason}", stacklevel=2)
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._independent.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Learn from a trial that ended."""
        with self._lock:
            if self._search is not None:
                self._search.learn(trial, values, study.direction)
        self._independent.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._independent.reseed_rng()


class _Axis(NamedTuple):
    """A distribution as a dimension of a search space, and the conversion of values in both directions."""

    dimension: Dimension
    to_value: Callable[[Any], Any]
    from_value: Callable[[Any], Any]


def _axis(distribution: BaseDistribution) -> _Axis:
    if isinstance(distribution, CategoricalDistribution):
        # By index: Optuna allows choices of types that jaxga does not.
        place = lambda value: int(distribution.to_internal_repr(value))  # noqa: E731
        return _Axis(Categorical(range(len(distribution.choices))), lambda i: distribution.choices[i], place)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if distribution.log:
        whole = isinstance(distribution, IntDistribution)
        if whole and high <= MAX_LOG_INTEGER:
            return _Axis(LogInteger(int(low), int(high)), int, int)
        # In double precision. An integer with this many levels is searched as a real number.
        start, ratio = math.log(low), math.log(high) - math.log(low)
        kind = round if whole else float
        return _Axis(
            Uniform(0.0, 1.0),
            lambda x: min(max(kind(math.exp(start + x * ratio)), low), high),
            lambda value: (math.log(value) - start) / ratio,
        )
    if step is None:
        width = high - low
        return _Axis(
            Uniform(0.0, 1.0), lambda x: min(max(low + x * width, low), high), lambda value: (value - low) / width
        )
    last = round((high - low) / step)
    dimension = Integer(0, last) if last < MAX_LEVELS else Uniform(0.0, float(last))
    return _Axis(dimension, lambda i: min(low + step * round(i), high), lambda value: round((value - low) / step))


class _Search:
    """One search over one set of distributions."""

    def __init__(
        self,
        ranges: dict[str, BaseDistribution],
        own: SearchSpace | None,
        algorithm: Callable[..., Algorithm],
        size: int,
        seed: int,
    ) -> None:
        self.ranges = ranges
        self._axes = {name: _axis(distribution) for name, distribution in ranges.items()}
        conditions = {name: {} if own is None else own.condition_of(name) for name in ranges}
        self._space = SearchSpace({name: self._dimension(name, conditions[name]) for name in ranges})
        self._algorithm = algorithm(self._space, population_size=size)
        self._key = jax.random.key(seed)
        self._num_keys = 0
        self._state = self._algorithm.init(self._next_key())
        self._queue: list[np.ndarray] = []
        self._given: dict[int, tuple[np.ndarray, dict[str, Any]]] = {}
        self._finished: list[tuple[int, np.ndarray, float]] = []
        self._is_first, self._asked_before = True, False

    def _dimension(self, name: str, condition: Mapping[str, Sequence[Any]]) -> Dimension | Conditional:
        values = {parent: list(map(self._axes[parent].from_value, given)) for parent, given in condition.items()}
        dimension = self._axes[name].dimension
        return dimension.when(values) if values else dimension

    def _next_key(self) -> jax.Array:
        self._num_keys += 1
        return jax.random.fold_in(self._key, self._num_keys)

    def next(self, number: int) -> dict[str, Any]:
        """The values of trial ``number``."""
        size = self._algorithm.population_size
        while len(self._finished) >= size:
            # In the order in which they were asked for, so that the order in which they end changes no draw.
            rows = sorted(self._finished[:size], key=lambda row: row[0])
            genomes = jnp.asarray(np.stack([genome for _, genome, _ in rows]))
            loss = jnp.asarray([loss for *_, loss in rows], jnp.float32)
            self._state, _ = self._algorithm.tell(self._next_key(), self._state, genomes, loss, jnp.zeros(size))
            del self._finished[:size]
            self._queue, self._is_first, self._asked_before = [], False, False
        if not self._queue:
            offspring, self._state = self._algorithm.ask(self._next_key(), self._state)
            asked = offspring.genomes
            if self._is_first and self._asked_before:  # a population of evosax begins with the same founders each time
                asked = self._space.snap(jax.random.uniform(self._next_key(), asked.shape))
            self._queue, self._asked_before = list(np.asarray(asked)), True
        genome = self._queue.pop(0)
        setting = self._space.setting(genome)
        values = {name: self._axes[name].to_value(value) for name, value in setting.items()}
        self._given[number] = genome, values
        return values

    def learn(self, trial: FrozenTrial, values: Sequence[float] | None, direction: StudyDirection) -> None:
        """Learn a trial that ended; ``values`` None is a failed one. A trial of another space is ignored."""
        genome, given = self._given.pop(trial.number, (None, {}))
        known = [name for name, distribution in self.ranges.items() if trial.distributions.get(name) == distribution]
        setting = {name: self._axes[name].from_value(trial.params[name]) for name in known}
        active = self._space.active_names(setting)
        if not set(active) <= set(known):
            return
        if genome is None or {name: trial.params[name] for name in active} != given:  # enqueued, or from before
            genome = self._space.encode({name: setting[name] for name in active})
        sign = -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
        self._finished.append((trial.number, genome, sign * values[0] if values else math.inf))

    def learn_all(self, trials: Sequence[FrozenTrial], direction: StudyDirection) -> None:
        """Learn the finished trials of a study that goes on."""
        for trial in trials:
            self.learn(trial, trial.values, direction)
        best = sorted(self._finished, key=lambda row: row[2])[:_MAX_KNOWN]
        self._finished = sorted(best, key=lambda row: row[0])
