"""One matrix over every operator and every algorithm: what each of them has to keep."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxga
from jaxga import Categorical, Integer, LogInteger, LogUniform, SearchSpace, Species, Uniform
from jaxga.base import Objective
from jaxga.operators import keyed
from jaxga.registry import ALGORITHMS, CROSSOVERS, MUTATIONS, SELECTIONS, SURVIVALS
from jaxga.task import FunctionTask

SPACE = SearchSpace(
    a=Uniform(-1.0, 2.0), b=LogUniform(1e-4, 1.0), n=Integer(0, 6), m=LogInteger(1, 50), c=Categorical(["x", "y", "z"])
)
DISCRETE = SearchSpace(n=Integer(0, 2), c=Categorical([True, False]))
CONDITIONAL = SearchSpace(
    a=Uniform(-1.0, 2.0).when(c=["x", "y"]),
    n=Integer(0, 6).when(c="y"),
    c=Categorical(["x", "y", "z"]),
    b=Uniform(0, 1),
)
OPERATORS = CROSSOVERS | MUTATIONS
# As functions (key, parents f32[3, D]) -> genome.
KEYED = {name: keyed(factory(SPACE)) for name, factory in OPERATORS.items()}
NUM = 300


@functools.cache
def offspring(name):
    keys = jax.random.split(jax.random.key(3), NUM)
    parents = SPACE.snap(jax.random.uniform(jax.random.key(4), (NUM, 3, SPACE.size)))
    calls = []

    def once(key, parents):
        calls.append(0)
        return KEYED[name](key, parents)

    compiled = jax.jit(jax.vmap(once))
    first, again, other = compiled(keys, parents), compiled(keys, parents), compiled(keys[::-1], parents)
    return parents, first, again, other, len(calls)


def test_no_two_operators_have_one_name():
    assert len(OPERATORS) == len(CROSSOVERS) + len(MUTATIONS)


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_contract(name):
    _parents, child, again, other, num_traces = offspring(name)
    assert child.shape == (NUM, SPACE.size)
    assert child.dtype == jnp.float32
    assert float(child.min()) >= 0.0
    assert float(child.max()) <= 1.0
    np.testing.assert_array_equal(child, SPACE.snap(child))
    np.testing.assert_array_equal(child, again)
    assert bool((child != other).any())
    assert num_traces == 1


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_reads_no_more_parents_than_it_says(name):
    parents, child, *_ = offspring(name)
    others = jnp.arange(3)[:, None] >= OPERATORS[name](SPACE).num_parents
    keys = jax.random.split(jax.random.key(3), NUM)
    np.testing.assert_array_equal(jax.jit(jax.vmap(KEYED[name]))(keys, jnp.where(others, jnp.nan, parents)), child)


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_draws_the_same_under_x64(name):
    parents, child, *_ = offspring(name)
    keys = jax.random.split(jax.random.key(3), NUM)[:4]
    with jax.enable_x64(True):
        wide = jax.vmap(KEYED[name])(keys, parents[:4])
    assert wide.dtype == jnp.float32
    np.testing.assert_allclose(wide, child[:4], atol=1e-6)


@pytest.mark.parametrize("name", CROSSOVERS)
def test_crossover_never_blends_categories(name):
    parents, child, *_ = offspring(name)
    category = child[:, 4:5]
    assert bool(((category == parents[:, 0, 4:5]) | (category == parents[:, 1, 4:5])).all())


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutation_changes_a_gene(name):
    parents, child, *_ = offspring(name)
    changed = (child != parents[:, 0]).any(1)
    # A step of a continuous gene may be lost in rounding, no more.
    assert float(changed.mean()) > 0.98
    discrete_only = jax.jit(jax.vmap(keyed(MUTATIONS[name](DISCRETE))))
    genomes = DISCRETE.snap(jax.random.uniform(jax.random.key(0), (NUM, 1, 2)))
    assert bool((discrete_only(jax.random.split(jax.random.key(1), NUM), genomes) != genomes[:, 0]).any(1).all())


@pytest.mark.parametrize("name", SELECTIONS)
def test_selection_contract(name):
    selection = SELECTIONS[name]()
    choose = jax.jit(jax.vmap(selection.choose, (0, None)))
    loss = jnp.array([3.0, jnp.nan, 1.0, jnp.inf, 2.0, 5.0])
    draws = jax.random.uniform(jax.random.key(1), (500, 4, selection.num_draws))
    many = choose(draws, loss)
    assert many.shape == (500, 4)
    assert many.dtype == jnp.int32
    np.testing.assert_array_equal(many[0], selection.choose(draws[0], loss))
    assert int(many.min()) >= 0
    assert int(many.max()) < 6
    counts = np.bincount(np.asarray(many).ravel(), minlength=6)
    assert counts[2] >= counts[5]
    assert counts[2] > counts[1]
    failed = choose(draws[:5], jnp.full(6, jnp.nan))
    assert int(failed.min()) >= 0
    assert int(failed.max()) < 6


@pytest.mark.parametrize("name", SURVIVALS)
def test_survival_contract(name):
    survive = jax.jit(SURVIVALS[name]())
    parents, children = jnp.array([2.0, jnp.inf, 1.0, 4.0]), jnp.array([jnp.nan, 3.0, 0.5, 6.0])
    rows = survive(parents, children)
    assert rows.shape == (4,)
    assert len(set(rows.tolist())) == 4
    loss = jnp.concatenate([parents, children])[rows]
    assert loss.tolist() == sorted(loss.tolist())
    assert float(loss[0]) == 0.5
    assert 0 <= int(rows.min()) <= int(rows.max()) < 8


P, GENERATIONS = 8, 5
SMALL = {
    "invasive_ga": {"archive_size": 32, "num_candidates": 64, "surrogate": "quadratic_ridge"},
}


@functools.cache
def search(name, space):
    algorithm = ALGORITHMS[name](space, population_size=P, **SMALL.get(name, {}))

    def run(key, losses):
        """Losses f32[T, P] are added to a bowl."""
        key_init, key_run = jax.random.split(key)

        def step(state, inputs):
            place, extra = inputs
            key_ask, key_tell = jax.random.split(jax.random.fold_in(key_run, place))
            offspring, state = algorithm.ask(key_ask, state)
            loss = jnp.sum(jnp.square(offspring.genomes - 0.3), axis=1) + extra
            state, best = algorithm.tell(key_tell, state, offspring.genomes, loss, None)
            return state, (offspring, loss, best)

        return jax.lax.scan(step, algorithm.init(key_init), (jnp.arange(GENERATIONS), losses))

    return jax.jit(jax.vmap(run)), algorithm


def histories(name, space, losses, seed=0):
    keys = jax.random.split(jax.random.key(seed), 2)
    # Of one type whatever was given: another would be compiled again.
    losses = jax.lax.convert_element_type(jnp.broadcast_to(losses, (2, GENERATIONS, P)), jnp.float32)
    return search(name, space)[0](keys, losses)[1]


# evosax's strategies meet the space in one line, which is the same for all of them.
CASES = [(name, "mixed") for name in ALGORITHMS]
OWN = [name for name in ALGORITHMS if not name.startswith("evosax_") or name == "evosax_cma_es"]
CASES += [(name, "discrete") for name in OWN] + [
    (name, "conditional") for name in ("ga", "invasive_ga", "evosax_cma_es")
]


@pytest.fixture
def space(kind):
    return {"mixed": SPACE, "discrete": DISCRETE, "conditional": CONDITIONAL}[kind]


@pytest.mark.parametrize(("name", "kind"), CASES)
class TestAlgorithm:
    def test_offspring(self, name, space):
        (genomes, species, parents, predicted), *_ = histories(name, space, jnp.zeros((GENERATIONS, P)))
        assert genomes.shape == (2, GENERATIONS, P, space.size)
        assert genomes.dtype == jnp.float32
        assert float(genomes.min()) >= 0.0
        assert float(genomes.max()) <= 1.0
        np.testing.assert_array_equal(genomes, space.snap(genomes))
        assert set(np.unique(species)) <= set(Species)
        assert bool((species[:, 0] == Species.FOUNDER).all())
        numbers = jnp.arange(GENERATIONS)[None, :, None, None] * P
        assert parents.shape == (2, GENERATIONS, P, 2)
        assert bool((parents < jnp.maximum(numbers, 0)).all())
        assert int(parents.min()) >= -1
        assert predicted.shape == (2, GENERATIONS, P)
        assert not bool(jnp.isnan(predicted).any())

    def test_best_is_the_least_loss_and_never_worsens(self, name, space):
        _, loss, best = histories(name, space, jnp.zeros((GENERATIONS, P)))
        least = jnp.minimum.accumulate(loss.min(2), axis=1)
        np.testing.assert_array_equal(best.loss, least)
        value = jnp.sum(jnp.square(best.genome - 0.3), axis=-1)
        np.testing.assert_allclose(value, least, rtol=1e-5, atol=1e-7)

    def test_deterministic_in_its_key_and_different_under_another(self, name, space):
        nothing = jnp.zeros((GENERATIONS, P))
        one, again, other = (histories(name, space, nothing, seed)[0].genomes for seed in (0, 0, 1))
        np.testing.assert_array_equal(one, again)
        if name != "grid_search":
            assert bool((one != other).any())

    def test_failed_members(self, name, space):
        bad = jnp.zeros((GENERATIONS, P)).at[:, ::3].set(jnp.nan).at[:, 1].set(jnp.inf).at[0].set(jnp.nan)
        offspring, loss, best = histories(name, space, bad)
        assert bool(jnp.isfinite(offspring.genomes).all())
        assert bool(jnp.isposinf(best.loss[:, 0]).all())
        expected = jnp.where(jnp.isfinite(loss), loss, jnp.inf).min((1, 2))
        np.testing.assert_array_equal(best.loss[:, -1], expected)

    def test_everything_failed(self, name, space):
        offspring, _, best = histories(name, space, jnp.full((GENERATIONS, P), jnp.nan))
        assert bool(jnp.isfinite(offspring.genomes).all())
        assert bool(jnp.isfinite(best.genome).all())
        assert bool(jnp.isposinf(best.loss).all())


@pytest.mark.parametrize("name", ALGORITHMS)
def test_state_keeps_its_types_so_nothing_is_retraced(name):
    _, algorithm = search(name, SPACE)
    key = jax.random.key(0)
    state = jax.eval_shape(algorithm.init, key)
    offspring, asked = jax.eval_shape(algorithm.ask, key, state)
    told, _ = jax.eval_shape(
        algorithm.tell, key, asked, offspring.genomes, jax.ShapeDtypeStruct((P,), jnp.float32), None
    )
    types = [[(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in jax.tree.leaves(s)] for s in (state, asked, told)]
    assert types[0] == types[1] == types[2]


def loss_under(name, **flags):
    """What three generations record, and the state they end in, under flags of JAX."""
    with contextlib.ExitStack() as stack:
        for flag, value in flags.items():
            stack.enter_context(getattr(jax, flag)(value))
        algorithm = ALGORITHMS[name](SPACE, population_size=P, **SMALL.get(name, {}))
        task = FunctionTask(lambda key, setting: setting["a"] ** 2 + setting["n"] + setting["c"], SPACE, Objective())
        generations = list(jaxga.run(task, algorithm, num_generations=3))
    return [generation.record for generation in generations], generations[-1].state


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_search_is_the_same_under_x64_and_debug_nans(name):
    records, state = loss_under(name, enable_x64=True, debug_nans=True)
    types = {str(leaf.dtype) for leaf in jax.tree.leaves((records, state))}
    assert not types & {"float64", "int64", "uint64"}
    if name.startswith("evosax_"):  # its own draws and factorisations follow the flag
        return
    expected, _ = loss_under(name)
    for plain, wide in zip(expected, records, strict=True):
        np.testing.assert_array_equal(plain.offspring.genomes, wide.offspring.genomes)
        np.testing.assert_array_equal(plain.offspring.parents, wide.offspring.parents)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_key_is_used_twice(name):
    """JAX follows every key through the program of a generation, on the path without devices."""
    loss_under(name, debug_key_reuse=True)


def test_a_key_that_is_used_twice_is_found():
    def twice(key):
        return jax.random.uniform(key) + jax.random.normal(key)

    with jax.debug_key_reuse(True), pytest.raises(jax.errors.KeyReuseError):
        jax.jit(twice)(jax.random.key(0))
