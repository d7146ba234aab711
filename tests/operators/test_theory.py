"""Operators against what theory says of them; bounds are 5 standard errors of the sampled figure."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxga import Categorical, Integer, LogInteger, SearchSpace, Uniform
from jaxga.operators import MUTATIONS, crossover, genes, keyed, mutation, selection, survival

NUM = 20_000
LOSS = jnp.array([0.4, 0.1, 0.3, 0.2, 0.5])
LINE = SearchSpace(a=Uniform(0.0, 1.0), b=Uniform(0.0, 1.0))


def frequencies(select):
    chosen = select.choose(jax.random.uniform(jax.random.key(0), (NUM, select.num_draws)), LOSS)
    return np.bincount(np.asarray(chosen), minlength=5) / NUM


def check_frequencies(observed, expected):
    expected = np.asarray(expected)
    assert (np.abs(observed - expected) <= 5 * np.sqrt(expected * (1 - expected) / NUM) + 1e-9).all()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_tournament(size):
    rank = np.argsort(np.argsort(LOSS))
    check_frequencies(frequencies(selection.tournament(size)), ((5 - rank) ** size - (4 - rank) ** size) / 5**size)


def test_rank():
    rank = np.argsort(np.argsort(LOSS))
    check_frequencies(frequencies(selection.rank(1.5)), (0.5 + (4 - rank) / 4) / 5)


def test_roulette():
    advantage = 0.5 - np.asarray(LOSS)
    check_frequencies(frequencies(selection.roulette()), advantage / advantage.sum())


def test_stochastic_universal_is_within_one_of_what_is_expected():
    advantage = 0.5 - np.asarray(LOSS, np.float64)
    expected = 7 * advantage / advantage.sum()
    select = selection.stochastic_universal()
    for seed in range(50):
        draws = jax.random.uniform(jax.random.key(seed), (7, select.num_draws))
        counts = np.bincount(np.asarray(select.choose(draws, LOSS)), minlength=5)
        assert (counts >= np.floor(expected - 1e-4)).all()
        assert (counts <= np.ceil(expected + 1e-4)).all()


def children(made, parents):
    keys = jax.random.split(jax.random.key(1), NUM)
    return np.asarray(jax.vmap(lambda key: keyed(made)(key, parents))(keys), np.float64)


# Away from the walls, so that nothing is reflected. Mean 0.5, distance 0.1.
PAIR = jnp.array([[0.45, 0.45], [0.55, 0.55]])
VARIANCES = {
    # (distance / 2)^2 for a coin; of a uniform weight distance^2 / 12; widened by alpha on either side.
    "uniform": 0.05**2,
    "arithmetic": 0.1**2 / 12,
    "blx_alpha": (0.1 * 2) ** 2 / 12,
    # (distance / 2)^2 E[spread^2], with E = (eta + 1) / 2 * (1 / (eta + 3) + 1 / (eta - 1)), eta = 15.
    "sbx": 0.05**2 * 8 * (1 / 18 + 1 / 14),
}


@pytest.mark.parametrize("name", VARIANCES)
def test_crossover_moments(name):
    made = children(getattr(crossover, name)(LINE), PAIR)[:, 0]
    centred = made - 0.5
    assert abs(centred.mean()) < 5 * centred.std() / np.sqrt(NUM)
    fourth = max(np.mean(centred**4) - np.mean(centred**2) ** 2, 0.0)
    assert abs(np.mean(centred**2) - VARIANCES[name]) < 5 * np.sqrt(fourth / NUM) + 1e-7


def test_sbx_spreads_as_one_point_crossover_of_bits():
    spread = np.abs(children(crossover.sbx(LINE, eta=15.0), PAIR)[:, 0] - 0.5) / 0.05
    # Of the density (eta + 1) / 2 s^eta below 1 and (eta + 1) / 2 s^-(eta + 2) above.
    mean, square = 8 * (1 / 17 + 1 / 15), 8 * (1 / 18 + 1 / 14)
    fourth = np.mean((spread - mean) ** 4)
    assert abs(spread.mean() - mean) < 5 * spread.std() / np.sqrt(NUM)
    assert abs(spread.var() - (square - mean**2)) < 5 * np.sqrt(fourth / NUM)


def test_differential_moves_by_the_mean_factor():
    made = children(crossover.differential(LINE), jnp.array([[0.5, 0.5], [0.6, 0.5], [0.5, 0.5]]))
    # The factor is uniform in [0.2, 1.2]: mean 0.7, standard deviation 1 / sqrt(12).
    assert abs(made[:, 0].mean() - 0.57) < 5 * 0.1 / np.sqrt(12 * NUM)
    np.testing.assert_allclose(made[:, 1], 0.5)


def test_one_point_takes_a_head_and_a_tail():
    space = SearchSpace({str(i): Uniform(0.0, 1.0) for i in range(6)})
    made = children(crossover.one_point(space), jnp.stack([jnp.zeros(6), jnp.ones(6)]))
    assert (np.diff(made, axis=1) >= 0).all()
    cuts, counts = np.unique((made == 0).sum(1), return_counts=True)
    assert cuts.tolist() == [1, 2, 3, 4, 5]
    assert (np.abs(counts / NUM - 0.2) < 5 * np.sqrt(0.16 / NUM)).all()


def test_two_point_swaps_what_lies_between_two_uniform_cuts():
    space = SearchSpace({str(i): Uniform(0.0, 1.0) for i in range(6)})
    made = children(crossover.two_point(space), jnp.stack([jnp.zeros(6), jnp.ones(6)]))
    assert (np.abs(np.diff(made, axis=1)).sum(1) <= 2).all()
    genes = np.arange(6)
    expected = 2 * (genes + 1) * (6 - genes) / 7**2
    assert (np.abs(made.mean(0) - expected) < 5 * np.sqrt(expected * (1 - expected) / NUM)).all()


def mutants(mutate, genome, scale=1.0):
    keys = jax.random.split(jax.random.key(0), NUM)
    return np.asarray(jax.vmap(lambda key: keyed(mutate)(key, genome[None], scale))(keys), np.float64)


@pytest.mark.parametrize(("dimension", "widths"), [(Categorical(list("abcd")), np.ones(4)), (LogInteger(1, 3), None)])
def test_reset_draws_another_level_by_its_width(dimension, widths):
    widths = np.log([2 / 1, 3 / 2, 4 / 3]) if widths is None else widths
    space = SearchSpace(x=dimension)
    genomes = np.unique(space.snap(jnp.linspace(0.0, 1.0, 1000)[:, None]))
    made = mutants(mutation.reset(space), jnp.asarray(genomes[1:2]))
    counts = np.array([(made == np.float64(genome)).sum() for genome in genomes])
    widths[1] = 0.0
    check_frequencies(counts / NUM, widths / widths.sum())


def test_gaussian_has_its_scale():
    mutate = mutation.gaussian(LINE, rate=1.0, scale=0.05)
    for scale in (1.0, 0.5):
        made = mutants(mutate, jnp.full(2, 0.5), scale)
        assert abs(made[:, 0].std() / (0.05 * scale) - 1) < 5 / np.sqrt(2 * NUM)


@pytest.mark.parametrize("name", ["reset", "gaussian", "polynomial", "self_adapting"])
def test_each_gene_changes_at_its_rate_and_one_at_least(name):
    space = SearchSpace({str(i): Uniform(0.0, 1.0) for i in range(4)})
    changed = mutants(getattr(mutation, name)(space, rate=0.3), jnp.full(4, 0.5)) != 0.5
    # Where none of the four would change (0.7^4), one of them does, each alike. A step may be lost in rounding.
    expected = 0.3 + 0.7**4 / 4
    assert (np.abs(changed.mean(0) - expected) < 5 * np.sqrt(expected * (1 - expected) / NUM)).all()
    assert changed.any(1).mean() > 0.999


def test_polynomial_has_its_distribution_and_stays_inside():
    made = mutants(mutation.polynomial(LINE, rate=1.0, eta=20.0), jnp.array([0.5, 0.02]))
    for distance in (0.01, 0.03, 0.1):
        expected = 1 - (1 - distance) ** 21
        share = np.mean(np.abs(made[:, 0] - 0.5) < distance)
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / NUM)
    steps = np.abs(made[:, 0] - 0.5)
    assert abs(steps.mean() - 1 / 22) < 5 * steps.std() / np.sqrt(NUM)
    # Near a wall half of the steps still go towards it, none beyond, so that none is folded back.
    below = np.mean(made[:, 1] < 0.02)
    assert abs(below - 0.5) < 5 * np.sqrt(0.25 / NUM)


def test_self_adapting_draws_its_scale_along_the_logarithm():
    low, high = 0.001, 0.05
    made = mutants(mutation.self_adapting(LINE, rate=1.0, min_scale=low, max_scale=high), jnp.full(2, 0.5)) - 0.5
    variance = (high**2 - low**2) / (2 * np.log(high / low))
    fourth = 3 * (high**4 - low**4) / (4 * np.log(high / low))
    assert abs(np.mean(made[:, 0] ** 2) - variance) < 5 * np.sqrt((fourth - variance**2) / NUM)
    # One scale for all genes of a child: where one moves far the other tends to.
    far = np.abs(made) > np.median(np.abs(made))
    assert np.mean(far[:, 0] == far[:, 1]) > 0.6


@pytest.mark.parametrize("name", ["gaussian", "polynomial", "self_adapting"])
def test_a_small_step_of_an_integer_leaves_its_level_in_half_of_the_draws(name):
    space = SearchSpace(n=Integer(0, 9), x=Uniform(0.0, 1.0))
    options = {"gaussian": {"scale": 1e-3}, "polynomial": {"eta": 1e4}}.get(name, {"max_scale": 4e-3})
    moved = mutants(MUTATIONS[name](space, rate=1.0, **options), jnp.array([0.55, 0.5]))[:, 0] != np.float32(0.55)
    # Beyond a half of a level at a standard deviation of 0.7 levels; the other gene always moves.
    expected = 2 * stats.norm.sf(0.5 / 0.7)
    assert abs(moved.mean() - expected) < 5 * np.sqrt(expected * (1 - expected) / NUM)


@pytest.mark.parametrize("value", [1, 2, 20, 700])
def test_a_small_step_leaves_levels_of_any_width(value):
    space = SearchSpace(n=LogInteger(1, 1000), x=Uniform(0.0, 1.0))
    genome = jnp.asarray(space.encode({"n": value, "x": 0.5}))
    gene, (low, _), (high, _) = genome[0], *space.level_bounds(genome)
    # Beyond either end of the level; below the range a step is reflected and has to pass the level's upper end.
    down = gene + high if value == 1 else gene - low
    expected = stats.norm.sf(np.array([high - gene, down]) / (0.7 * (high - low))).sum()
    moved = mutants(mutation.gaussian(space, rate=1.0, scale=1e-4), genome)[:, 0] != np.float32(gene)
    assert abs(moved.mean() - expected) < 5 * np.sqrt(expected * (1 - expected) / NUM)


def test_reflection_keeps_the_bits_of_what_is_inside():
    inside = jax.random.uniform(jax.random.key(0), (NUM,)) ** 3  # bits below those of a number near 1
    np.testing.assert_array_equal(genes.reflect(inside), inside)
    np.testing.assert_allclose(genes.reflect(-inside), inside, atol=1e-6)
    np.testing.assert_allclose(genes.reflect(inside + 1.0), 1.0 - inside, atol=1e-6)


def test_a_rate_for_each_gene():
    space = SearchSpace({str(i): Uniform(0.0, 1.0) for i in range(3)})
    changed = mutants(mutation.gaussian(space, rate=np.array([1.0, 0.2, 0.5])), jnp.full(3, 0.5)) != 0.5
    expected = np.array([1.0, 0.2, 0.5])
    assert (np.abs(changed.mean(0) - expected) < 5 * np.sqrt(expected * (1 - expected) / NUM) + 1e-3).all()


@pytest.mark.parametrize(("num_places", "num"), [(3, 5), (2, 2), (3, 2), (2, 1)])
def test_distinct_places_are_different_and_each_set_alike(num_places, num):
    draws = jax.random.uniform(jax.random.key(0), (NUM, num_places))
    places = np.asarray(selection.distinct(draws, num))
    assert places.min() >= 0
    assert places.max() < num
    num_different = min(num_places, num)
    assert (np.diff(np.sort(places[:, :num_different], axis=1), axis=1) > 0).all()
    assert (places[:, num_different:] == places[:, : num_places - num_different]).all()
    _, counts = np.unique(places, axis=0, return_counts=True)
    sets = math.perm(num, num_different)
    assert len(counts) == sets
    assert (np.abs(counts / NUM - 1 / sets) < 5 * np.sqrt(1 / sets / NUM)).all()


def test_plus_never_loses_the_best_and_comma_keeps_its_elites():
    parents, children = jnp.array([1.0, 5.0, 3.0]), jnp.array([jnp.nan, 4.0, 2.0, jnp.inf])
    assert survival.plus()(parents, children).tolist() == [0, 5, 2]
    assert survival.comma(1)(parents, children).tolist() == [0, 5, 4]
    assert survival.comma()(parents, jnp.array([9.0, 8.0, 7.0])).tolist() == [5, 4, 3]


@pytest.mark.parametrize(
    "build",
    [
        lambda: selection.tournament(0),
        lambda: selection.rank(3.0),
        lambda: crossover.uniform(LINE, swap_rate=2.0),
        lambda: crossover.sbx(LINE, eta=0.0),
        lambda: crossover.blx_alpha(LINE, alpha=-1.0),
        lambda: crossover.differential(LINE, min_factor=1.0, max_factor=0.5),
        lambda: mutation.reset(LINE, rate=0.0),
        lambda: mutation.gaussian(LINE, rate=np.array([0.5, 1.5])),
        lambda: mutation.gaussian(LINE, rate=0.0),
        lambda: mutation.polynomial(LINE, eta=-1.0),
        lambda: mutation.self_adapting(LINE, min_scale=0.5, max_scale=0.1),
        lambda: survival.comma(-1),
        lambda: survival.comma(1)(jnp.zeros(5), jnp.zeros(2)),
    ],
)
def test_a_wrong_argument_is_named(build):
    with pytest.raises(ValueError, match=r"must .* got"):
        build()
