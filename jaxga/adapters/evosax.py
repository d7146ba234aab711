"""Strategies of evosax as algorithms of jaxga, and algorithms of jaxga with the interface of evosax.

evosax searches all of R^D, jaxga the unit cube. A proposal outside the cube is reflected at its faces, the reflected
point is evaluated, and the strategy is told the loss together with its own proposal. So no points accumulate at a face,
discrete genes keep their spread, and evosax's model of its distribution stays correct.
"""

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxga.algorithms.compiled import compiled
from jaxga.algorithms.designs import maximin_latin_hypercube
from jaxga.algorithms.invasive import invasive_ga
from jaxga.base import Algorithm, Best, Offspring, PyTree, Species
from jaxga.checks import check_number, check_search
from jaxga.distribution import install_hint
from jaxga.operators.genes import reflect
from jaxga.precision import single_precision
from jaxga.space import SearchSpace, Uniform

# In the unit cube. evosax's own defaults are 1.0: such a mutation is as good as a random draw.
_INITIAL_STD = 0.25
_MUTATION_STD = 0.1


class EvosaxState(NamedTuple):
    """generation i32[], the state of the strategy, its proposals f32[P, D], the genomes asked f32[P, D], the best."""

    generation: Array
    strategy: PyTree
    proposed: Array
    asked: Array
    best: Best


@single_precision
def evosax_search(space: SearchSpace, strategy: Any, **params: Any) -> Algorithm:
    """Any evosax strategy as an algorithm, bounded by the mirrored unit cube.

    A strategy that evolves a population starts from a Latin hypercube; one that evolves a distribution starts in the
    middle. A failed member is told to a distribution as NaN, which ranks it last, and to a population as infinity,
    which never keeps it.

    Args:
        space: the search space (D genes).
        strategy: of ``evosax.algorithms``, made for P members and a solution of shape [D].
        params: values that replace those of ``strategy.default_params``, in units of the cube.

    Raises ``ValueError`` if the strategy has another number of genes or no such parameter.

    Source: R. T. Lange, "evosax: JAX-based evolution strategies", 2022.
    """
    from evosax.algorithms.population_based.base import PopulationBasedAlgorithm

    if strategy.num_dims != space.size:
        raise ValueError(f"strategy must have a solution of {space.size} genes, got {strategy.num_dims}")
    known = vars(strategy.default_params)
    for name in params:
        if name not in known:
            raise ValueError(f"{name} is no parameter of {type(strategy).__name__}, which has {sorted(known)}")
    settings = strategy.default_params.replace(**{k: jnp.asarray(v, jnp.float32) for k, v in params.items()})
    has_population = isinstance(strategy, PopulationBasedAlgorithm)
    size = strategy.population_size

    def init(key: Array) -> EvosaxState:
        key_founders, key_strategy = jax.random.split(key)
        founders = maximin_latin_hypercube(key_founders, size, space.size)
        if has_population:
            inner = strategy.init(key_strategy, founders, jnp.full(size, jnp.inf), settings)
        else:
            inner = strategy.init(key_strategy, jnp.full(space.size, 0.5), settings)
            # evosax begins with NaN, which is not used here and would end a run under jax_debug_nans.
            inner = inner.replace(best_solution=jnp.full(space.size, 0.5))
        asked = space.snap(founders)
        return EvosaxState(jnp.zeros((), jnp.int32), _strong(inner), founders, asked, Best.none(space.size))

    def ask(key: Array, state: EvosaxState) -> tuple[Offspring, EvosaxState]:
        def propose(key: Array, state: EvosaxState) -> tuple[Array, PyTree]:
            proposed, inner = strategy.ask(key, state.strategy, settings)
            return jnp.where(jnp.isfinite(proposed), proposed, 0.5), _strong(inner)

        if has_population:
            first = state.generation == 0
            proposed, inner = jax.lax.cond(first, lambda _, s: (s.proposed, s.strategy), propose, key, state)
        else:
            proposed, inner = propose(key, state)
        asked = space.snap(reflect(proposed))
        species = jnp.where(state.generation == 0, int(Species.FOUNDER), int(Species.CHILD))
        offspring = Offspring.without_parents(asked, species)
        return offspring, state._replace(strategy=inner, proposed=proposed, asked=asked)

    def tell(
        key: Array, state: EvosaxState, genomes: Array, loss: Array, loss_var: Array | None = None
    ) -> tuple[EvosaxState, Best]:
        del loss_var
        has_loss = jnp.isfinite(loss)
        # Genomes that ask did not give (a warm start) are told as they are.
        is_own = (genomes == state.asked).all(axis=1)
        points = jnp.where(is_own[:, None], state.proposed, genomes)
        fitness = jnp.where(has_loss, loss, jnp.inf if has_population else jnp.nan)

        def learn(key: Array, inner: PyTree) -> PyTree:
            return _strong(strategy.tell(key, points, fitness, inner, settings)[0])

        if has_population:
            start = lambda key, _: _strong(strategy.init(key, points, fitness, settings))  # noqa: E731
            inner = jax.lax.cond(state.generation == 0, start, learn, key, state.strategy)
        else:
            inner = learn(key, state.strategy)
        best = state.best.update(genomes, loss)
        return state._replace(generation=state.generation + 1, strategy=inner, best=best), best

    return compiled(f"evosax {type(strategy).__name__}", space, size, init, ask, tell)


@single_precision
def evosax_cma_es(space: SearchSpace, *, population_size: int, initial_std: float = _INITIAL_STD) -> Algorithm:
    """Evosax's CMA-ES, bounded.

    Args:
        space: the search space.
        population_size: P, at least 4.
        initial_std: standard deviation of the first generation around the middle, in the unit cube, above 0.

    Source: N. Hansen, A. Ostermeier, "Completely derandomized self-adaptation in evolution strategies", 2001.
    """
    return evosax_search(space, _make("CMA_ES", space, population_size, initial_std), std_init=initial_std)


@single_precision
def evosax_sep_cma_es(space: SearchSpace, *, population_size: int, initial_std: float = _INITIAL_STD) -> Algorithm:
    """Evosax's CMA-ES with a diagonal covariance, bounded; arguments as :func:`evosax_cma_es`.

    Source: R. Ros, N. Hansen, "A simple modification in CMA-ES achieving linear time and space complexity", 2008.
    """
    return evosax_search(space, _make("Sep_CMA_ES", space, population_size, initial_std), std_init=initial_std)


@single_precision
def evosax_open_es(
    space: SearchSpace, *, population_size: int, std: float = _MUTATION_STD, learning_rate: float = 0.05
) -> Algorithm:
    """Evosax's OpenAI-ES with Adam, bounded.

    Args:
        space: the search space.
        population_size: P, even, at least 4.
        std: standard deviation of the population around its mean, in the unit cube, above 0.
        learning_rate: about the distance that the mean moves in a generation, in the unit cube.

    Source: T. Salimans, J. Ho, X. Chen, S. Sidor, I. Sutskever, "Evolution strategies as a scalable alternative to
    reinforcement learning", 2017.
    """
    if population_size % 2:
        raise ValueError(f"population_size must be even for evosax_open_es, got {population_size}")
    options = {"optimizer": optax.adam(learning_rate), "std_schedule": optax.constant_schedule(std)}
    return evosax_search(space, _make("Open_ES", space, population_size, std, **options))


@single_precision
def evosax_differential_evolution(space: SearchSpace, *, population_size: int) -> Algorithm:
    """Evosax's differential evolution (best/1/bin, weight 0.8, crossover 0.9), bounded.

    Args:
        space: the search space.
        population_size: P, at least 4.

    Source: R. Storn, K. Price, "Differential evolution: a simple and efficient heuristic for global optimization
    over continuous spaces", 1997.
    """
    return evosax_search(space, _make("DifferentialEvolution", space, population_size))


@single_precision
def evosax_pso(space: SearchSpace, *, population_size: int) -> Algorithm:
    """Evosax's particle swarm, bounded; arguments as :func:`evosax_differential_evolution`.

    Source: J. Kennedy, R. Eberhart, "Particle swarm optimization", 1995.
    """
    return evosax_search(space, _make("PSO", space, population_size))


@single_precision
def evosax_simple_ga(
    space: SearchSpace, *, population_size: int, std: float = _MUTATION_STD, crossover_rate: float = 0.5
) -> Algorithm:
    """Evosax's simple genetic algorithm, bounded.

    Args:
        space: the search space.
        population_size: P, at least 4.
        std: standard deviation of a mutation, in the unit cube, above 0.
        crossover_rate: share of genes that come from the second parent, in [0, 1].

    Source: F. P. Such et al., "Deep neuroevolution", 2017.
    """
    strategy = _make("SimpleGA", space, population_size, std, std_schedule=optax.constant_schedule(std))
    return evosax_search(space, strategy, crossover_rate=crossover_rate)


@single_precision
def evosax_mr15_ga(space: SearchSpace, *, population_size: int, initial_std: float = _MUTATION_STD) -> Algorithm:
    """Evosax's genetic algorithm whose mutations follow the 1/5 rule, bounded; arguments as :func:`evosax_cma_es`.

    Source: I. Rechenberg, "Evolutionsstrategie", 1973.
    """
    strategy = _make("MR15_GA", space, population_size, initial_std)
    return evosax_search(space, strategy, std_init=initial_std, std_max=1.0)


def is_installed() -> bool:
    """Whether evosax can be imported."""
    return importlib.util.find_spec("evosax") is not None


def _make(kind: str, space: SearchSpace, population_size: int, std: float = 1.0, **options: Any) -> Any:
    try:
        import evosax.algorithms as kinds
    except ImportError:
        raise ImportError(f"evosax's {kind} needs the package evosax: {install_hint('evosax')}") from None
    check_search(space, population_size, 4)
    check_number("the standard deviation", std, 0, above=True)
    return getattr(kinds, kind)(population_size, jnp.zeros(space.size), **options)


def _strong(tree: PyTree) -> PyTree:
    """Python numbers as typed arrays: only the first state of evosax has Python numbers, so the types would change."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, jnp.asarray(x).dtype), tree)


@struct.dataclass
class StrategyParams:
    """The bounds of the search: numbers, or arrays of a flat solution's shape."""

    low: Array | float = 0.0
    high: Array | float = 1.0


@struct.dataclass
class StrategyState:
    """The fields of evosax's states, and the state of the algorithm."""

    best_solution: Array
    best_fitness: Array
    generation_counter: Array
    algorithm: PyTree


class EvosaxStrategy:
    """A jaxga algorithm with the methods of evosax's population-based strategies.

    It minimises; a fitness that is not finite is a failed member. Unlike evosax it needs bounds, ``params.low`` and
    ``params.high``, by default the unit cube.

    Args:
        population_size: P.
        solution: a pytree of arrays, D numbers in all; a surrogate suits some tens at most.
        algorithm: a factory ``f(space, population_size=P)`` whose ``tell`` takes any genomes.

    >>> from jaxga import random_search
    >>> strategy = EvosaxStrategy(8, jnp.zeros(2), random_search)
    >>> params = strategy.default_params.replace(low=-5.0, high=5.0)
    >>> key, population = jax.random.key(0), jax.random.uniform(jax.random.key(1), (8, 2))
    >>> state = strategy.init(key, population, jnp.sum(population**2, axis=1), params)
    >>> strategy.ask(key, state, params)[0].shape
    (8, 2)
    """

    def __init__(
        self, population_size: int, solution: PyTree, algorithm: Callable[..., Algorithm] = invasive_ga
    ) -> None:
        flat, self._unravel = ravel_pytree(solution)
        self.population_size = population_size
        self.solution = solution
        self.num_dims = flat.size
        space = SearchSpace({f"x{i}": Uniform(0.0, 1.0) for i in range(flat.size)})
        self._algorithm = algorithm(space, population_size=population_size)

    @property
    def default_params(self) -> StrategyParams:
        """The unit cube."""
        return StrategyParams()

    @partial(jax.jit, static_argnames=("self",))
    def init(self, key: Array, population: PyTree, fitness: Array, params: StrategyParams) -> StrategyState:
        """Start from an evaluated population, leaves [P, ...], and its fitness f32[P]."""
        key_init, key_tell = jax.random.split(key)
        state = StrategyState(
            best_solution=jnp.zeros(self.num_dims),
            best_fitness=jnp.full((), jnp.inf, jnp.float32),
            generation_counter=jnp.full((), -1, jnp.int32),
            algorithm=self._algorithm.init(key_init),
        )
        return self.tell(key_tell, population, fitness, state, params)[0]

    @partial(jax.jit, static_argnames=("self",))
    def ask(self, key: Array, state: StrategyState, params: StrategyParams) -> tuple[PyTree, StrategyState]:
        """The next population, leaves [P, ...], inside the box."""
        offspring, algorithm = self._algorithm.ask(key, state.algorithm)
        points = params.low + offspring.genomes * (params.high - params.low)
        return jax.vmap(self._unravel)(points), state.replace(algorithm=algorithm)  # pyright: ignore[reportAttributeAccessIssue]

    @partial(jax.jit, static_argnames=("self",))
    def tell(
        self, key: Array, population: PyTree, fitness: Array, state: StrategyState, params: StrategyParams
    ) -> tuple[StrategyState, dict[str, Array]]:
        """Learn from a population and its fitness f32[P]; gives the state and evosax's metrics."""
        points = jax.vmap(lambda solution: ravel_pytree(solution)[0])(population)
        genomes = jnp.clip((points - params.low) / (params.high - params.low), 0.0, 1.0).astype(jnp.float32)
        algorithm, believed = self._algorithm.tell(key, state.algorithm, genomes, fitness, None)
        best = jnp.argmin(jnp.where(jnp.isfinite(fitness), fitness, jnp.inf))
        state = StrategyState(
            best_solution=params.low + believed.genome * (params.high - params.low),
            best_fitness=believed.loss,
            generation_counter=state.generation_counter + 1,
            algorithm=algorithm,
        )
        metrics = {
            "generation_counter": state.generation_counter,
            "best_fitness_in_generation": fitness[best],
            "best_solution_in_generation": points[best],
            "best_fitness": state.best_fitness,
            "best_solution": state.best_solution,
            "best_solution_norm": jnp.linalg.norm(state.best_solution),
        }
        return state, metrics

    def get_best_solution(self, state: StrategyState) -> PyTree:
        """The solution believed best."""
        return self._unravel(state.best_solution)
