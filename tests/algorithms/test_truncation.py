"""The GA of deep neuroevolution: who breeds, how children differ, what repetition does, and both encodings."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxga import SearchSpace, Species, Uniform
from jaxga.algorithms.truncation import _repeated, truncation_ga

SPACE = SearchSpace({f"x{i}": Uniform(0.0, 1.0) for i in range(4)})


def generations(algorithm, losses, key=0):
    """Each generation's offspring and best, where the members have given losses f32[T, P]."""
    root = jax.random.key(key)
    state = algorithm.init(root)
    for t, loss in enumerate(losses):
        key_ask, key_tell = jax.random.split(jax.random.fold_in(root, t))
        offspring, state = algorithm.ask(key_ask, state)
        state, best = algorithm.tell(key_tell, state, offspring.genomes, jnp.asarray(loss, jnp.float32))
        yield offspring, best


def test_children_are_normal_steps_from_uniformly_drawn_parents():
    size, num_parents = 4096, 4
    algorithm = truncation_ga(SPACE, population_size=size, num_parents=num_parents, num_elites=1, mutation_scale=0.02)
    losses = np.zeros((2, size))
    # Parents away from the walls of the cube, where no step is reflected.
    founders, _ = next(generations(algorithm, losses))
    inner = np.argsort(np.abs(np.asarray(founders.genomes) - 0.5).max(1))[:num_parents]
    losses[0] = 1.0
    losses[0, inner] = -1.0
    (_, _), (children, _) = generations(algorithm, losses)
    parents = np.asarray(children.parents)[1:, 0]
    assert set(parents) == set(inner)
    assert (np.asarray(children.parents)[:, 1] == -1).all()
    # Failing by chance: once in 10^6.
    assert stats.chisquare(np.unique(parents, return_counts=True)[1]).pvalue > 1e-6
    steps = (np.asarray(children.genomes)[1:] - np.asarray(founders.genomes)[parents]) / 0.02
    assert stats.kstest(steps.ravel(), "norm").pvalue > 1e-6
    # Genes and children step independently of one another.
    assert np.abs(np.corrcoef(steps.T) - np.eye(4)).max() < 5 / np.sqrt(size)


def test_repeated_losses_are_averaged_as_numpy_does():
    rng = np.random.default_rng(0)
    losses = rng.normal(size=(3, 5)).astype(np.float32)
    mean, times, repeated = jnp.full(5, jnp.inf), jnp.zeros(5), jax.jit(_repeated)
    for loss in losses:
        before, counts = mean, times
        mean, times, variance = repeated(mean, times, jnp.asarray(loss), jnp.ones(5, bool))
    np.testing.assert_allclose(mean, losses.mean(0), rtol=1e-6)
    np.testing.assert_array_equal(times, 3)
    np.testing.assert_allclose(variance, np.mean((losses[2] - before) ** 2 * counts / (counts + 1)), rtol=1e-5)
    # That estimate is the variance of one loss: over many members it is 1.
    many = rng.normal(size=(3, 100_000)).astype(np.float32)
    known = (jnp.asarray(many[:2].mean(0)), jnp.full(100_000, 2.0))
    _, _, variance = _repeated(*known, jnp.asarray(many[2]), jnp.ones(100_000, bool))
    assert abs(float(variance) - 1.0) < 5 * np.sqrt(2 / 100_000)


def test_a_failed_repetition_is_not_counted():
    mean, times, variance = _repeated(
        jnp.array([1.0, 2.0, jnp.inf]), jnp.array([1.0, 1.0, 0.0]), jnp.array([jnp.nan, 4.0, 5.0]), jnp.ones(3, bool)
    )
    assert mean.tolist() == [1.0, 3.0, 5.0]
    assert times.tolist() == [1.0, 2.0, 1.0]
    assert float(variance) == 2.0  # (4 - 2)^2 / 2, of the one repetition


def test_a_lucky_child_does_not_replace_the_elite():
    algorithm = truncation_ga(SPACE, population_size=4, num_parents=2, num_elites=1)
    # The elite has 0 and 1: the noise has the variance 1/2, its mean 0.5 the error 0.5, a child the error 0.71.
    lucky = [[0.0, 9.0, 9.0, 9.0], [1.0, 0.2, 9.0, 9.0]]
    better = [[0.0, 9.0, 9.0, 9.0], [1.0, 0.0, 9.0, 9.0]]
    for losses, replaces in ((lucky, False), (better, True)):
        (founders, _), (offspring, best) = generations(algorithm, losses)
        assert offspring.species.tolist() == [Species.SURVIVOR] + [Species.CHILD] * 3
        np.testing.assert_array_equal(offspring.genomes[0], founders.genomes[0])
        np.testing.assert_array_equal(best.genome, offspring.genomes[int(replaces)])
        assert float(best.loss) == (0.0 if replaces else 0.5)


def test_seeds_are_the_members_that_were_asked_for():
    """A survivor, made again from its seeds, is the member that was evaluated; also where a line is full."""
    size, num = 12, 8
    algorithm = truncation_ga(
        SPACE, population_size=size, num_parents=6, num_elites=3, encoding="seeds", max_mutations=3
    )
    losses = np.random.default_rng(1).normal(size=(num, size)) - 3.0 * np.arange(num)[:, None]
    asked = {}
    num_survivors = 0
    for t, (offspring, _) in enumerate(generations(algorithm, losses)):
        for i in range(size):
            number, genome = t * size + i, np.asarray(offspring.genomes[i])
            if int(offspring.species[i]) == Species.SURVIVOR:
                np.testing.assert_allclose(genome, asked[int(offspring.parents[i, 0])], atol=1e-5)
                num_survivors += 1
            else:
                asked[number] = genome
    assert num_survivors == 3 * (num - 1)


def test_both_encodings_are_one_search():
    losses = np.random.default_rng(0).normal(size=(7, 16))
    build = partial(truncation_ga, SPACE, population_size=16, num_elites=2)
    for genes, seeds in zip(
        generations(build(encoding="genes"), losses), generations(build(encoding="seeds"), losses), strict=True
    ):
        np.testing.assert_allclose(genes[0].genomes, seeds[0].genomes, atol=1e-5)
        np.testing.assert_array_equal(genes[0].parents, seeds[0].parents)
        np.testing.assert_allclose(genes[1].genome, seeds[1].genome, atol=1e-5)
        assert float(genes[1].loss) == float(seeds[1].loss)


def test_seeds_take_less_memory_than_thousands_of_genes():
    space = SearchSpace({f"x{i}": Uniform(0.0, 1.0) for i in range(2000)})
    build = partial(truncation_ga, space, population_size=16, num_parents=8)
    states = [
        jax.eval_shape(build(encoding=encoding, max_mutations=100).init, jax.random.key(0))
        for encoding in ("genes", "seeds")
    ]
    genes, seeds = (sum(leaf.size * 4 for leaf in jax.tree.leaves(state)) for state in states)
    assert genes - seeds == 8 * 4 * (2000 - 100)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_parents": 9}, r"num_parents must be a whole number in \[1, 8\], got 9"),
        ({"num_elites": 2, "num_parents": 1}, r"num_elites must be a whole number in \[1, 1\], got 2"),
        ({"mutation_scale": 0}, "mutation_scale must be above 0, got 0"),
        ({"encoding": "seed"}, "encoding must be one of genes, seeds, got 'seed'; did you mean seeds?"),
        ({"max_mutations": 1}, "max_mutations must be a whole number of at least 2, got 1"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        truncation_ga(SPACE, population_size=8, **options)
