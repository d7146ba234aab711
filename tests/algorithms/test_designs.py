"""Space-filling designs against their definitions, and the searches made of them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import qmc

from jaxga import Categorical, Integer, LogInteger, SearchSpace, Uniform
from jaxga.algorithms import grid_search, latin_hypercube, sobol_search
from jaxga.algorithms.designs import founders, latin_hypercube_sample, maximin_latin_hypercube

KEYS = jax.random.split(jax.random.key(0), 200)


def cube(num_genes):
    return SearchSpace(**{f"x{i}": Uniform(0.0, 1.0) for i in range(num_genes)})


def asked(algorithm, num_generations, seed=0):
    state = algorithm.init(jax.random.key(seed))
    genomes = []
    for t in range(num_generations):
        offspring, state = algorithm.ask(jax.random.key(100 + t), state)
        asked = offspring.genomes
        state, _ = algorithm.tell(jax.random.key(0), state, asked, jnp.zeros(len(asked)))
        genomes.append(np.asarray(asked))
    return np.concatenate(genomes), np.asarray(state.shift)


def nearest_squares(points, others):
    """The squared distance from each of ``others`` to the nearest point."""
    return np.square(points[:, None] - others[None]).sum(-1).min(0)


def test_a_latin_hypercube_has_one_point_in_every_slice():
    points = latin_hypercube_sample(KEYS[0], 16, 5, 3)
    for sample in [*np.asarray(points), asked(latin_hypercube(cube(5), population_size=16), 1)[0]]:
        np.testing.assert_array_equal(np.sort(np.floor(sample * 16), axis=0), np.tile(np.arange(16)[:, None], 5))


def test_maximin_keeps_points_apart():
    def gap(points):
        return np.min(np.linalg.norm(points[:, None] - points[None], axis=-1) + 9.0 * np.eye(len(points)))

    chosen = [gap(maximin_latin_hypercube(key, 8, 3)) for key in KEYS[:20]]
    plain = [gap(latin_hypercube_sample(key, 8, 3)[0]) for key in KEYS[:20]]
    assert np.mean(chosen) > 1.5 * np.mean(plain)


def test_founders_of_few_genes_are_the_hypercube():
    np.testing.assert_array_equal(founders(KEYS[0], 8, cube(2)), maximin_latin_hypercube(KEYS[0], 8, 2))


def test_founders_of_many_genes_are_drawn_in_and_categories_are_not():
    space = SearchSpace(**{f"x{i}": Uniform(0.0, 1.0) for i in range(10)}, c=Categorical(list("abcdefgh")))
    genomes = np.asarray(jax.vmap(lambda key: founders(key, 8, space))(KEYS))
    reach = math.sqrt(math.log(8) / 10)
    ordered = genomes[:, :, :10]
    assert ordered.min() >= 0.5 - 0.5 * reach - 1e-6
    assert ordered.max() <= 0.5 + 0.5 * reach + 1e-6
    np.testing.assert_allclose(ordered.std(), reach / math.sqrt(12), rtol=0.02)
    levels = np.sort(np.floor(genomes[:, :, 10] * 8), axis=1)
    np.testing.assert_array_equal(levels, np.tile(np.arange(8), (len(KEYS), 1)))


@pytest.mark.parametrize(("num", "num_genes"), [(8, 5), (8, 20), (64, 10)])
def test_founders_lie_nearer_to_a_best_point_that_may_be_anywhere(num, num_genes):
    anywhere = np.random.default_rng(0).uniform(size=(2000, num_genes))
    drawn_in, plain = (
        np.mean([nearest_squares(np.asarray(design(key)), anywhere).mean() for key in KEYS[:20]])
        for design in (
            lambda key: founders(key, num, cube(num_genes)),
            lambda key: maximin_latin_hypercube(key, num, num_genes),
        )
    )
    assert drawn_in < 0.93 * plain


def test_sobol_fills_every_interval_once():
    genomes, shift = asked(sobol_search(cube(10), population_size=5), 3)
    # With the corner that it leaves out the first 16 points, and every 16th of every gene has one of them.
    points = np.concatenate([np.zeros((1, 10)), np.mod(genomes - shift + 1e-6, 1.0)])
    np.testing.assert_array_equal(np.sort(np.floor(points * 16), axis=0), np.tile(np.arange(16)[:, None], 10))
    # The first two genes are a net: so does every rectangle of a sixteenth of the square.
    for width, height in ((2, 8), (4, 4), (8, 2)):
        cells = np.floor(points[:, :2] * [width, height]).astype(int)
        assert len({tuple(cell) for cell in cells}) == 16


@pytest.mark.parametrize("num_genes", [1, 7, 40])
def test_sobol_walks_along_the_points_of_scipy(num_genes):
    genomes, shift = asked(sobol_search(cube(num_genes), population_size=50), 3)
    expected = qmc.Sobol(num_genes, scramble=False).fast_forward(1).random(150)
    gap = np.abs(genomes - np.mod(expected + shift, 1.0))
    # Rounding to 24 bits and to float32; a point at one end of a gene's range may lie at the other.
    np.testing.assert_array_less(np.minimum(gap, 1.0 - gap), 1e-6)


def test_sobol_is_more_even_than_chance():
    genomes, _ = asked(sobol_search(cube(5), population_size=63), 1)
    random = [qmc.discrepancy(np.random.default_rng(i).uniform(size=genomes.shape)) for i in range(20)]
    assert qmc.discrepancy(genomes.astype(float)) < 0.5 * min(random)


def test_a_grid_is_walked_once_and_begins_again():
    space = SearchSpace(x=Uniform(0.0, 1.0), n=Integer(0, 1), c=Categorical(["a", "b", "c"]))
    genomes, _ = asked(grid_search(space, population_size=6, num_levels=4), 5)
    cycle = {tuple(genome) for genome in genomes[:24].tolist()}
    assert len(cycle) == 4 * 2 * 3
    assert {x for x, _, _ in cycle} == {0.0, np.float32(1 / 3), np.float32(2 / 3), 1.0}
    np.testing.assert_array_equal(genomes[24:], genomes[:6])
    with pytest.raises(ValueError, match=r"num_levels must give at most 2\*\*30 grid points, got 9 for 10 genes"):
        grid_search(cube(10), population_size=6, num_levels=9)


def test_a_grid_has_every_level_equally_often_however_wide_it_is():
    space = SearchSpace(n=LogInteger(1, 64), m=Integer(1, 3))
    settings = space.settings(asked(grid_search(space, population_size=64, num_levels=64), 3)[0])
    assert sorted((s["n"], s["m"]) for s in settings) == [(n, m) for n in range(1, 65) for m in range(1, 4)]


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (Integer(0, 19), [2, 7, 12, 17]),
        (LogInteger(8, 512), [13, 38, 107, 304]),
        # The middles of the twentieths of the logarithm lie in 1, 1, 2, 3, 4, 6, ...
        (LogInteger(1, 1000), [1, 2, 3, 4, 5, 6, 9, 13, 18, 26, 37, 53, 75, 105, 149, 211, 298, 422, 596, 842]),
    ],
)
def test_a_grid_of_some_levels_has_different_ones_spread_evenly(dimension, values):
    space, num = SearchSpace(n=dimension), len(values)
    genomes, _ = asked(grid_search(space, population_size=num, num_levels=num), 1)
    assert [setting["n"] for setting in space.settings(genomes)] == values
