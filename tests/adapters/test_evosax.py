"""evosax in jaxga and jaxga in evosax: the same figures as where each is used directly."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga import SearchSpace, Uniform, evolution, ga, random_search
from jaxga.adapters.evosax import EvosaxStrategy, evosax_cma_es, evosax_pso, evosax_search, evosax_simple_ga
from jaxga.algorithms.warm import warm_start
from jaxga.base import Objective
from jaxga.cli.run import main
from jaxga.operators.genes import reflect
from jaxga.registry import ALGORITHMS
from jaxga.task import FunctionTask

kinds = pytest.importorskip("evosax.algorithms")
SPACE = SearchSpace(x=Uniform(-1.0, 1.0), y=Uniform(0.0, 3.0))
P = 8


def bowl(genomes):
    return jnp.sum(jnp.square(genomes - 0.4), axis=1)


def ask(algorithm, key, state):
    offspring, state = algorithm.ask(key, state)
    return offspring.genomes, state


def keys(generation):
    return jax.random.split(jax.random.key(generation))


@pytest.mark.parametrize("fails", [False, True])
def test_cma_es_is_evosaxs_own(fails):
    """Where no proposal leaves the cube, the adapter adds nothing; a failed member is evosax's NaN."""
    strategy = kinds.CMA_ES(P, jnp.zeros(2))
    params = strategy.default_params.replace(std_init=0.05)
    algorithm = evosax_search(SPACE, strategy, std_init=0.05)
    key = jax.random.key(0)
    theirs = strategy.init(jax.random.split(key)[1], jnp.full(2, 0.5), params)
    ours = algorithm.init(key)
    for generation in range(4):
        key_ask, key_tell = keys(generation)
        proposed, theirs = strategy.ask(key_ask, theirs, params)
        offspring, ours = algorithm.ask(key_ask, ours)
        genomes = offspring.genomes
        np.testing.assert_allclose(genomes, proposed, atol=1e-6)
        loss = bowl(proposed)
        # One, and once all of them.
        failed = jnp.zeros(P, bool).at[generation].set(fails) | (fails and generation == 1)
        theirs, _ = strategy.tell(key_tell, proposed, jnp.where(failed, jnp.nan, loss), theirs, params)
        ours, best = algorithm.tell(key_tell, ours, genomes, jnp.where(failed, jnp.inf, loss), None)
        np.testing.assert_allclose(best.loss, theirs.best_fitness, rtol=1e-5)
    assert float(best.loss) < float(bowl(jnp.full((1, 2), 0.5))[0])


def test_a_population_that_failed_at_first_is_evosaxs_infinity():
    """As NaN the best vector of differential evolution would be one that failed, for ever."""
    algorithm = ALGORITHMS["evosax_differential_evolution"](SPACE, population_size=P)
    state = algorithm.init(jax.random.key(0))
    for generation in range(6):
        key_ask, key_tell = keys(generation)
        genomes, state = ask(algorithm, key_ask, state)
        loss = bowl(genomes)
        state, best = algorithm.tell(key_tell, state, genomes, loss.at[0].set(jnp.nan) if generation == 0 else loss)
    assert bool(jnp.isfinite(state.strategy.fitness).all())
    assert float(best.loss) == pytest.approx(float(state.strategy.fitness.min()))


def test_the_cube_isreflect():
    points = jnp.array([-0.25, 0.0, 0.25, 1.0, 1.25, 2.0, 2.25, -1.25])
    np.testing.assert_allclose(reflect(points), [0.25, 0.0, 0.25, 1.0, 0.75, 0.0, 0.25, 0.75])


def test_a_strategy_is_told_of_its_own_proposals():
    algorithm = evosax_pso(SPACE, population_size=P)
    state = algorithm.init(jax.random.key(0))
    outside = 0
    for generation in range(5):
        key_ask, key_tell = keys(generation)
        genomes, state = ask(algorithm, key_ask, state)
        proposed = state.proposed
        outside += int(((proposed < 0) | (proposed > 1)).sum())
        state, _ = algorithm.tell(key_tell, state, genomes, -bowl(genomes))
        np.testing.assert_array_equal(state.strategy.population, proposed)
    assert outside > 0


def test_a_warm_start_reaches_the_strategy():
    given = jnp.array([[0.4, 0.4]])
    algorithm = warm_start(evosax_simple_ga(SPACE, population_size=P), given)
    state = algorithm.init(jax.random.key(0))
    genomes, state = ask(algorithm, jax.random.key(1), state)
    state, _ = algorithm.tell(jax.random.key(2), state, genomes, bowl(genomes))
    np.testing.assert_array_equal(state.algorithm.strategy.population[0], given[0])


def best_of(name, num_generations=12):
    objective = Objective("value", "min")
    task = FunctionTask(lambda key, s: (s["x"] - 0.3) ** 2 + (s["y"] - 1.9) ** 2, SPACE, objective)
    algorithm = ALGORITHMS[name](SPACE, population_size=P)
    step = evolution.scan(evolution.make_step(algorithm), num_generations)

    def search(key):
        return step(key, evolution.init(algorithm, key), task)[1].best.loss[-1]

    return float(jnp.median(jax.jit(jax.vmap(search))(jax.random.split(jax.random.key(0), 32))))


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name.startswith("evosax_")])
def test_its_defaults_suit_the_cube(name):
    """Evosax's own mutations of standard deviation 1 are no better here than drawing at random."""
    assert best_of(name) < best_of("random_search")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: evosax_cma_es(SPACE, population_size=3), "population_size must be a whole number of at least 4"),
        (lambda: ALGORITHMS["evosax_open_es"](SPACE, population_size=7), "population_size must be even"),
        (lambda: evosax_cma_es(SPACE, population_size=8, initial_std=0.0), "must be above 0, got 0.0"),
        (lambda: evosax_search(SPACE, kinds.PSO(8, jnp.zeros(3))), "a solution of 2 genes, got 3"),
        (lambda: evosax_search(SPACE, kinds.PSO(8, jnp.zeros(2)), charm=1.0), "charm is no parameter of PSO"),
    ],
)
def test_a_mistake_is_one_line(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_without_evosax_the_command_line_says_what_to_install(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "evosax.algorithms", None)
    arguments = ["--task", "guess", "--processes", "1", "--out", str(tmp_path / "new")]
    assert main([*arguments, "--algorithm", "evosax_pso"]) == 2
    err = capfd.readouterr().err
    assert "evosax's PSO needs the package evosax: pip install 'jaxga-evolution[evosax]'" in err
    assert err.count("\n") == 1


# --- the way back ---


def test_an_algorithm_takes_the_place_of_a_strategy():
    """The loop of evosax's own examples, with a tree for a solution, on either."""
    solution = {"a": jnp.zeros(2), "b": jnp.zeros(())}

    def fitness(population):
        return jnp.sum(jnp.square(population["a"] - 1.0), axis=1) + jnp.square(population["b"] + 2.0)

    kept, metrics = {}, {}
    for name, strategy in {"jaxga": EvosaxStrategy(P, solution, ga), "evosax": kinds.PSO(P, solution)}.items():
        params = strategy.default_params
        if name == "jaxga":
            params = params.replace(low=-4.0, high=jnp.array([4.0, 4.0, 0.0]))
        draws = jax.random.uniform(jax.random.key(5), (P, 3), minval=-4.0, maxval=0.0)
        population = {"a": draws[:, :2], "b": draws[:, 2]}
        state = strategy.init(jax.random.key(6), population, fitness(population), params)
        first = float(state.best_fitness)
        assert first == pytest.approx(float(fitness(population).min()))
        for generation in range(20):
            key_ask, key_tell = keys(generation)
            population, state = strategy.ask(key_ask, state, params)
            assert population["a"].shape == (P, 2)
            if name == "jaxga":
                assert float(population["b"].max()) <= 0.0
            losses = fitness(population).at[3].set(jnp.nan)
            state, metrics[name] = strategy.tell(key_tell, population, losses, state, params)
        assert int(state.generation_counter) == 20
        best = strategy.get_best_solution(state)
        assert jax.tree.structure(best) == jax.tree.structure(solution)
        kept[name] = float(state.best_fitness) / first
    assert set(metrics["jaxga"]) == set(metrics["evosax"])
    assert kept["jaxga"] < 0.1


def test_the_way_back_is_the_algorithm_itself():
    strategy = EvosaxStrategy(P, jnp.zeros(2), random_search)
    params = strategy.default_params.replace(low=-1.0, high=jnp.array([1.0, 3.0]))
    population = jnp.zeros((P, 2))
    state = strategy.init(jax.random.key(0), population, bowl(population), params)
    asked, _ = strategy.ask(jax.random.key(1), state, params)
    space = SearchSpace(x=Uniform(-1.0, 1.0), y=Uniform(-1.0, 3.0))
    own = random_search(space, population_size=P)
    genomes, _ = ask(own, jax.random.key(1), own.init(jax.random.key(0)))
    np.testing.assert_allclose(asked, jnp.stack(list(space.decode(genomes).values()), axis=1), atol=1e-6)
