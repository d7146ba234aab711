"""The invasive genetic algorithm: errors, noise, duplicates, the dense sample."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga import Integer, SearchSpace, Species, Uniform
from jaxga.algorithms import invasive_ga
from jaxga.algorithms.archive import repeats, same_rows
from jaxga.registry import ALGORITHMS
from jaxga.surrogates import quadratic_ridge

SPACE = SearchSpace(a=Uniform(0.0, 1.0), b=Uniform(0.0, 1.0))
CHEAP = {"archive_size": 32, "num_candidates": 64, "surrogate": "quadratic_ridge"}


# One for several tests, so that it is compiled once.
SHARED = invasive_ga(SPACE, population_size=8, archive_size=32, num_candidates=64, surrogate="quadratic_ridge")


def generations(algorithm, loss_of, num, seed=0):
    key = jax.random.key(seed)
    state, told = algorithm.init(key), []
    for t in range(num):
        key_ask, key_tell, key_loss = jax.random.split(jax.random.fold_in(key, t), 3)
        offspring, state = algorithm.ask(key_ask, state)
        loss = loss_of(key_loss, offspring.genomes)
        state, best = algorithm.tell(key_tell, state, offspring.genomes, loss, None)
        told.append((offspring, loss, best))
    return state, told


def bowl(key, genomes):
    del key
    return jnp.sum(jnp.square(genomes - 0.3), axis=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"population_size": 8, "num_parents": 8},
            "num_parents must be below population_size: got 8, population_size=8",
        ),
        ({"population_size": 0}, "population_size must be a whole number of at least 2, got 0"),
        ({"population_size": 8, "num_mutations": 0}, r"num_mutations must be a whole number in \[1, 2\], got 0"),
        ({"population_size": 8, "num_invaders": 9}, r"num_invaders must be a whole number in \[0, 8\], got 9"),
        ({"population_size": 8, "archive_size": 8}, "archive_size must be a whole number of at least 16, got 8"),
        (
            {"population_size": 99, "num_candidates": 98},
            r"num_candidates must be a whole number in \[99, 1048576\], got 98",
        ),
        ({"population_size": 8, "litter_size": 0}, "litter_size must be a whole number of at least 1, got 0"),
        ({"population_size": 8, "surrogate": "oracle"}, "surrogate must be one of .* got 'oracle'"),
        ({"population_size": 8, "noisy": "yes"}, "noisy must be True, False or None, got 'yes'"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        invasive_ga(SPACE, **arguments)


def test_shares_of_the_species():
    state, told = generations(SHARED, bowl, 5)
    counts = [np.bincount(np.asarray(offspring.species), minlength=4).tolist() for offspring, *_ in told]
    # Founders; then two generations with one re-evaluation, which finds no noise.
    assert counts == [[8, 0, 0, 0], [0, 3, 4, 1], [0, 3, 4, 1], [0, 4, 4, 0], [0, 4, 4, 0]]
    assert not bool(state.noisy)


def test_no_invaders_is_natural_evolution_without_a_surrogate():
    with_name = invasive_ga(SPACE, population_size=8, num_invaders=0, archive_size=32)
    without = invasive_ga(SPACE, population_size=8, num_invaders=0, surrogate=None, archive_size=32)
    state, told = generations(with_name, bowl, 4)
    for (one, *_), (other, *_) in zip(told, generations(without, bowl, 4)[1], strict=True):
        np.testing.assert_array_equal(one.genomes, other.genomes)
        assert set(np.asarray(one.species).tolist()) <= {Species.FOUNDER, Species.CHILD}
        assert bool(jnp.isposinf(one.predicted).all())
    assert state.params == ()
    assert float(told[-1][2].loss) < float(told[0][2].loss)


def test_noise_is_found_and_the_best_is_evaluated_again():
    def noisy(key, genomes):
        return bowl(key, genomes) + 0.1 * jax.random.normal(key, (genomes.shape[0],))

    state, told = generations(SHARED, noisy, 5)
    assert bool(state.noisy)
    for offspring, *_ in told[1:]:
        assert int((offspring.species == Species.SURVIVOR).sum()) == 1


@pytest.mark.parametrize(
    ("size", "given", "invaders"), [(2, None, 1), (4, None, 1), (12, None, 2), (8, 1, 1), (8, 8, 7)]
)
def test_with_noise_as_many_invade_as_are_said(size, given, invaders):
    """The best, evaluated again, takes the place of a child, and of an invader only where there are no children."""
    told = generations(invasive_ga(SPACE, population_size=size, num_invaders=given, noisy=True, **CHEAP), bowl, 3)[1]
    for offspring, *_ in told[1:]:
        counts = np.bincount(np.asarray(offspring.species), minlength=4).tolist()
        assert counts == [0, size - invaders - 1, invaders, 1]


@pytest.mark.parametrize("exponent", [-90, 60])
def test_the_unit_of_the_loss_is_no_matter(exponent):
    def scaled(key, genomes):
        return bowl(key, genomes) * 2.0**exponent

    pairs = zip(generations(SHARED, bowl, 4)[1], generations(SHARED, scaled, 4)[1], strict=True)
    for (one, *_), (other, *_) in pairs:
        np.testing.assert_array_equal(one.genomes, other.genomes)


@pytest.mark.parametrize(("num_better", "growth"), [(0, 0.67), (1, 1.11), (8, 36.6)])
def test_steps_grow_with_success_and_shrink_without(num_better, growth):
    """Rivals of 8 members: the best of the founders. exp(4 * (share - 0.1)), within [1, 32]."""
    state, _ = generations(SHARED, bowl, 1)
    for stretch in (1.0, 10.0):
        offspring, asked = SHARED.ask(jax.random.key(1), state._replace(stretch=jnp.float32(stretch)))
        loss = jnp.where(jnp.arange(8) < num_better, -1.0, 10.0)
        told, _ = SHARED.tell(jax.random.key(2), asked, offspring.genomes, loss)
        np.testing.assert_allclose(told.stretch, np.clip(stretch * growth, 1.0, 32.0), rtol=0.01)


def test_evaluations_that_were_not_asked_for_change_no_step():
    state = SHARED.init(jax.random.key(0))
    for i in range(4):
        genomes = jax.random.uniform(jax.random.key(i), (8, 2))
        state, _ = SHARED.tell(jax.random.key(i), state, genomes, jnp.full(8, -float(i)))
    assert float(state.stretch) == 1.0


def test_a_stretch_lengthens_the_steps():
    algorithm = invasive_ga(SPACE, population_size=64, surrogate=None, noisy=False, archive_size=64)
    state, _ = generations(algorithm, bowl, 6)

    def distance(stretch):
        children = algorithm.ask(jax.random.key(1), state._replace(stretch=jnp.float32(stretch)))[0].genomes
        return float(jnp.mean(jnp.abs(children - state.archive.genomes[state.beliefs.best][None])))

    assert distance(32.0) > 1.5 * distance(1.0)


def test_a_variance_of_the_replicates_is_noise():
    state = SHARED.init(jax.random.key(0))
    offspring, state = SHARED.ask(jax.random.key(0), state)
    genomes = offspring.genomes
    for variance, noisy in ((jnp.zeros(8), False), (jnp.full(8, 0.1), True)):
        assert bool(SHARED.tell(jax.random.key(0), state, genomes, bowl(0, genomes), variance)[0].noisy) == noisy


def test_with_noise_the_parent_is_the_best_on_average():
    """One setting was lucky once and else poor, another was good: the children descend from that one."""
    space = SearchSpace(n=Integer(0, 1))
    algorithm = invasive_ga(space, population_size=4, num_parents=1, num_invaders=1, noisy=True, **CHEAP)
    state = algorithm.init(jax.random.key(0))
    genomes = jnp.array([[0.25], [0.25], [0.75], [0.25]])
    state, best = algorithm.tell(jax.random.key(1), state, genomes, jnp.array([0.0, 3.0, 1.0, 4.0]))
    assert best.genome.tolist() == [0.75]
    offspring, _ = algorithm.ask(jax.random.key(2), state)
    assert offspring.parents[:3, 0].tolist() == [2, 2, 2]


def test_every_round_finds_enough_candidates():
    """129 invaders of 129 candidates are chosen in two rounds of 65: none is chosen twice."""
    options = {**CHEAP, "num_candidates": 129, "num_invaders": 129, "noisy": False}
    offspring = generations(invasive_ga(SPACE, population_size=129, **options), bowl, 2)[1][1][0]
    assert len(np.unique(np.asarray(offspring.genomes), axis=0)) == 129


def test_no_setting_is_wasted_twice():
    """36 settings, 4 generations of 8: of the invaders none is one that was tried before."""
    space = SearchSpace(n=Integer(0, 5), m=Integer(0, 5))
    told = generations(invasive_ga(space, population_size=8, noisy=False, **CHEAP), bowl, 4)[1]
    seen = {tuple(genome) for genome in np.asarray(told[0][0].genomes)}
    for offspring, *_ in told[1:]:
        genomes, species = np.asarray(offspring.genomes), offspring.species
        invaders = [tuple(g) for g, s in zip(genomes, species, strict=True) if s == Species.INVADER]
        assert len(set(invaders)) == len(invaders)
        assert not seen & set(invaders)
        seen |= {tuple(genome) for genome in genomes}


def test_no_setting_is_wasted_twice_by_two_rounds():
    """300 invaders in three rounds, whose pools come from one sample of 22,500 settings."""
    space = SearchSpace(n=Integer(0, 149), m=Integer(0, 149))
    algorithm = invasive_ga(space, population_size=600, noisy=False, surrogate="quadratic_ridge")
    told = generations(algorithm, bowl, 2)[1]
    founded, (bred, *_) = told[0][0].genomes, told[1]
    invaders = np.asarray(bred.genomes)[np.asarray(bred.species) == Species.INVADER]
    assert len(invaders) == len(np.unique(invaders, axis=0)) == 300
    kept = {tuple(genome) for genome in np.asarray(founded)[np.argsort(bowl(0, founded))[:128]]}  # by the archive
    assert not kept & {tuple(genome) for genome in invaders}


def shapes_in(jaxpr):
    """The shapes of all arrays of a program, those inside its loops and branches too."""
    for equation in jaxpr.eqns:
        yield from (variable.aval.shape for variable in equation.outvars)
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from shapes_in(inner)


def test_no_array_has_the_population_on_two_axes():
    size = 8192  # an archive of 512 rows and as many members are compared with themselves
    algorithm = invasive_ga(SPACE, population_size=size)
    key = jax.random.key(0)
    state = jax.eval_shape(algorithm.init, key)
    told = (jnp.zeros((size, 2)), jnp.zeros(size))
    programs = (jax.make_jaxpr(algorithm.ask)(key, state), jax.make_jaxpr(algorithm.tell)(key, state, *told))
    shapes = {shape for program in programs for shape in shapes_in(program.jaxpr)}
    assert any(size in shape for shape in shapes)
    assert [shape for shape in shapes if sum(length >= size // 4 for length in shape) > 1] == []


def test_equal_settings_are_found_by_their_hashes():
    levels = np.random.default_rng(0).integers(0, 4, (500, 4))  # of 256 settings
    genomes = jnp.asarray((levels + 0.5) / 4, jnp.float32).at[0].set(0.0).at[1].set(-0.0)
    equal = (genomes[:, None] == genomes[None]).all(-1)
    np.testing.assert_array_equal(same_rows(genomes, genomes), equal)
    np.testing.assert_array_equal(repeats(genomes), np.tril(equal, -1).any(1))


def test_a_dense_sample_in_chunks_and_a_surrogate_object():
    model = quadratic_ridge(SPACE, num_points=32)
    algorithm = invasive_ga(SPACE, population_size=8, surrogate=model, num_candidates=9000, archive_size=32)
    told = generations(algorithm, bowl, 3)[1]
    offspring, loss, _ = told[-1]
    invaders = np.asarray(offspring.species) == Species.INVADER
    assert np.asarray(loss)[invaders].mean() < 0.1 * float(told[0][1].mean())


@pytest.mark.parametrize("size", [300, 3000])
def test_large_populations_by_default(size):
    """More members than the archive has rows, more invaders than a small pool would have candidates."""
    algorithm = invasive_ga(SPACE, population_size=size, surrogate="quadratic_ridge")
    told = generations(algorithm, bowl, 3)[1]
    offspring, _, best = told[-1]
    assert len(np.unique(offspring.genomes, axis=0)) == size
    invaders = np.asarray(offspring.species) == Species.INVADER
    assert invaders.sum() == size // 2
    # In the third generation the least loss is 1e-6, and the invaders of 3,000 members explore far from it.
    assert float(told[1][1].mean()) < 0.2 * float(told[0][1].mean())
    assert float(best.loss) == min(float(loss.min()) for _, loss, _ in told)


WIDE = invasive_ga(SPACE, population_size=50, noisy=False, num_candidates=64, surrogate="quadratic_ridge")


@pytest.mark.parametrize("num_tells", [3, 6])
def test_the_target_keeps_the_best_apart_and_clips_the_rest(num_tells):
    """At twice the median's distance from the least; of 300 losses at twice that of rank 96."""
    losses = np.random.default_rng(0).exponential(size=50 * num_tells).astype(np.float32) ** 3
    losses[5] = np.inf
    state, genomes = WIDE.init(jax.random.key(0)), jax.random.uniform(jax.random.key(1), (300, 2))
    for t in range(num_tells):
        rows = slice(50 * t, 50 * t + 50)
        state, _ = WIDE.tell(jax.random.key(2), state, genomes[rows], losses[rows])
    finite = np.sort(losses[np.isfinite(losses)]).astype(np.float64)
    typical = np.median(finite) if num_tells == 3 else finite[96]
    clipped = np.minimum(finite, finite[0] + 2 * (typical - finite[0]))
    expected = (clipped - clipped.mean()) / clipped.std()
    valid = np.asarray(state.archive.valid)
    np.testing.assert_allclose(np.sort(np.asarray(state.beliefs.target)[valid]), expected, atol=1e-4)
    assert (np.asarray(state.beliefs.target)[~valid] == 0).all()


def test_a_tie_of_the_best_does_not_blind_the_model():
    state, genomes = WIDE.init(jax.random.key(0)), jax.random.uniform(jax.random.key(1), (50, 2))
    losses = jnp.where(jnp.arange(50) < 40, 1.0, 2.0)
    state, _ = WIDE.tell(jax.random.key(2), state, genomes, losses)
    worst, best = (state.beliefs.target[state.archive.loss == loss] for loss in (2.0, 1.0))
    assert float(worst.min()) > float(best.max()) + 1.0


def test_the_predicted_loss_is_in_the_units_of_the_loss():
    def shifted(key, genomes):
        return 1000.0 + bowl(key, genomes)

    told = generations(SHARED, shifted, 3)[1]
    assert bool(jnp.isposinf(told[0][0].predicted).all())
    predicted, worst = told[2][0].predicted, max(float(loss.max()) for _, loss, _ in told)
    assert float(predicted.min()) >= 1000.0
    assert float(predicted.max()) <= worst


def test_every_algorithm_is_in_the_table_under_its_name():
    assert all(factory.__name__ == name for name, factory in ALGORITHMS.items())
