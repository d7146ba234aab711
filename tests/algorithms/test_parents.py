"""How children are bred: each kind of move against what it says; bounds are 5 standard errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxga import Categorical, Integer, SearchSpace, Uniform
from jaxga.algorithms.parents import Parents, best_parents, breed, breeder

NUM = 20_000
NUM_GENES = 4
CUBE = SearchSpace(**{f"x{i}": Uniform(0.0, 1.0) for i in range(NUM_GENES)})
KINDS = {
    name: tuple(float(i == kind) for i in range(4)) for kind, name in enumerate(["all", "some", "difference", "cross"])
}
SPREAD = jnp.array([0.01, 0.02, 0.03, 0.04])


@functools.cache
def program(space, kind, num_mutations):
    made = breeder(space, num_mutations, KINDS.get(kind, (0.25,) * 4))
    return made, jax.jit(lambda draws, parents: breed(made, draws, parents, np.full(NUM, kind == "fresh")))


def bred(kind, parents, space=CUBE, num_mutations=1):
    made, run = program(space, kind, num_mutations)
    child, used = run(jax.random.uniform(jax.random.key(0), (NUM, made.num_draws)), parents)
    return np.asarray(child, np.float64), np.asarray(used)


def parents(genomes, weights=None):
    """Their numbers are 0, 1, ..., so that what a child names is a place."""
    genomes = jnp.asarray(genomes, jnp.float32)
    weights = jnp.full(len(genomes), 1.0 / len(genomes)) if weights is None else jnp.asarray(weights)
    return Parents(genomes, jnp.arange(len(genomes)), weights, SPREAD[: genomes.shape[1]])


LONE = parents(np.full((1, NUM_GENES), 0.5))
TWO = parents([[0.4, 0.4, 0.4, 0.4], [0.6, 0.5, 0.4, 0.3]])


def is_near(sample, expected):
    return (np.abs(sample.mean(0) - expected) < 5 * sample.std(0) / np.sqrt(NUM) + 1e-7).all()


def test_the_best_are_parents_by_their_rank():
    genomes = jax.random.uniform(jax.random.key(0), (50, NUM_GENES))
    loss = jax.random.permutation(jax.random.key(1), jnp.arange(50.0)).at[3].set(jnp.inf)
    chosen = best_parents(genomes, 100 + jnp.arange(len(loss)), loss, 8)
    rows = np.argsort(loss)[:8]
    np.testing.assert_array_equal(chosen.number, 100 + rows)
    np.testing.assert_array_equal(chosen.genomes, genomes[rows])
    np.testing.assert_allclose(chosen.weights.sum(), 1.0, rtol=1e-6)
    ratios = np.log(chosen.weights[:-1] / chosen.weights[1:])
    assert ratios.min() > 0.0
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)
    # The spread is that of the best 32, however few of them breed.
    order = np.argsort(loss)[:32]
    weights = np.exp(-ratios[0] * 8 * np.arange(32) / 32)
    near = np.asarray(genomes)[order]
    mean = np.average(near, axis=0, weights=weights)
    np.testing.assert_allclose(
        chosen.spread, np.sqrt(np.average((near - mean) ** 2, axis=0, weights=weights)), rtol=1e-4
    )


def test_a_failed_member_is_no_parent_and_a_lone_one_moves_a_tenth():
    genomes, loss = jnp.full((40, NUM_GENES), 0.3), jnp.full(40, jnp.inf).at[7].set(1.0)
    chosen = best_parents(genomes, 100 + jnp.arange(len(loss)), loss, 4)
    assert int(chosen.number[0]) == 107
    np.testing.assert_array_equal(chosen.weights, [1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(chosen.spread, 0.1)
    nobody = chosen._replace(weights=jnp.zeros(4))
    child, used = bred("all", nobody)
    assert (used == -1).all()
    assert is_near(child, 0.5)


def test_a_fresh_child_is_uniform():
    child, used = bred("fresh", LONE)
    assert (used == -1).all()
    assert is_near(child, 0.5)
    assert is_near((child - 0.5) ** 2, 1 / 12)


def test_a_step_in_all_genes_has_the_size_of_the_spread():
    child, used = bred("all", LONE)
    assert (used == [0, -1]).all()
    # The step size is uniform in its logarithm from 0.03 to 2.
    square = (2.0**2 - 0.03**2) / (2 * np.log(2.0 / 0.03))
    assert is_near((child - 0.5) ** 2 / np.square(SPREAD), square)


@pytest.mark.parametrize("num_mutations", [1, 2])
def test_a_step_in_some_genes_leaves_the_others(num_mutations):
    moved = bred("some", LONE, num_mutations=num_mutations)[0] != 0.5
    rate = (num_mutations + 0.5) / NUM_GENES
    rate += (1 - rate) / NUM_GENES
    assert moved.any(1).all()
    # Each by its rate; where none of them would move, one does, each alike.
    assert is_near(moved, rate + (1 - rate) ** NUM_GENES / NUM_GENES)


def test_a_differential_move_lies_on_the_line_of_its_parents():
    child, used = bred("difference", TWO)
    start = np.asarray(TWO.genomes, np.float64)[used[:, 0]]
    line = np.array([0.2, 0.1, 0.0, -0.1])
    factor = (child - start)[:, 0] / line[0]
    np.testing.assert_allclose(child - start, factor[:, None] * line, atol=1e-6)
    # A half of the two is the same parent twice; else the factor is uniform in [0.2, 1.2], and wherever a child starts
    # it goes either way.
    is_moved = np.abs(factor) > 1e-3
    for place in range(2):
        ways = factor[is_moved & (used[:, 0] == place)] > 0
        assert abs(ways.mean() - 0.5) < 5 * 0.5 / np.sqrt(len(ways))
    moves = np.abs(factor[is_moved])
    assert abs(len(moves) / NUM - 0.5) < 5 * 0.5 / np.sqrt(NUM)
    assert moves.min() >= 0.2 - 1e-4
    assert moves.max() <= 1.2 + 1e-4
    assert abs(moves.mean() - 0.7) < 5 / np.sqrt(12 * len(moves))


def test_a_crossover_takes_genes_of_both_and_changes_some():
    child, used = bred("cross", TWO)
    both = (used == [0, 1]).all(1)
    first, second = (np.asarray(genome, np.float64) for genome in TWO.genomes)
    from_first, from_second = (np.abs(child[both] - genome) < 1e-6 for genome in (first, second))
    # The third gene is the same in both. Genes that nothing changed come from either alike.
    assert abs(from_first[:, 0].mean() - from_second[:, 0].mean()) < 5 * np.sqrt(1 / both.sum())
    changed = ~(from_first | from_second)
    # At the rate of a mutation, in a half of the children by a step and in the other drawn anew from the whole range.
    rate = 1.5 / NUM_GENES + (1 - 1.5 / NUM_GENES) / NUM_GENES
    assert np.abs(changed.mean(0) - rate).max() < 5 * np.sqrt(0.25 / both.sum())
    far = np.abs(child[both] - 0.45) > 0.3
    assert abs(far.mean() - rate * 0.5 * 0.4) < 0.01


def test_parents_are_drawn_by_their_weights():
    weights = np.array([0.5, 0.3, 0.2], np.float32)
    _, used = bred("all", parents(np.full((3, NUM_GENES), 0.5), weights))
    shares = np.bincount(used[:, 0], minlength=3) / NUM
    assert (np.abs(shares - weights) < 5 * np.sqrt(weights * (1 - weights) / NUM)).all()


@pytest.mark.parametrize("kind", [*KINDS, "fresh"])
def test_discrete_genes(kind):
    space = SearchSpace(n=Integer(0, 9), c=Categorical(["a", "b", "c", "d"]))
    child, _ = bred(kind, parents(space.snap(jnp.array([[0.5, 0.1], [0.5, 0.9]]))), space)
    np.testing.assert_array_equal(child, np.asarray(space.snap(jnp.asarray(child, jnp.float32)), np.float64))
    levels = np.floor(child * [10, 4]).astype(int)
    categories = np.bincount(levels[:, 1], minlength=4) / NUM
    # A category is inherited or drawn anew, never blended: the two between the parents' come as often as chance says.
    assert abs(categories[1] - categories[2]) < 5 * np.sqrt(categories[1:3].sum() / NUM)
    if kind in ("all", "some", "difference"):
        # The whole number mutates with 7/8 and then leaves its level when a step of 0.7 levels is longer than a half;
        # the category with 7/8 * 3/4. Where nothing changed, either of the two changes.
        leaves, mutates = 7 / 8 * 2 * stats.norm.sf(0.5 / 0.7), 7 / 8 * 3 / 4
        mutates += 0.5 * (1 - leaves) * (1 - mutates)
        expected = 1 - mutates * 2 / 3
        assert abs(categories[[0, 3]].sum() - expected) < 5 * np.sqrt(expected * (1 - expected) / NUM)
    if kind != "fresh":
        # However small the spread, a mutated whole number reaches its neighbours.
        assert (levels[:, 0] != 5).mean() > 0.1
