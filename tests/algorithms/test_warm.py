"""Begin with given settings, or with what an earlier search knows."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxga import Species, ga, invasive_ga, random_search
from jaxga.algorithms.warm import informed, warm_start
from jaxga.space import Integer, SearchSpace, Uniform

SPACE = SearchSpace(x=Uniform(0, 1), n=Integer(0, 9))


def test_warm_start_evaluates_the_given_first_and_then_goes_its_own_way():
    plain = ga(SPACE, population_size=4)
    given = jnp.array([[0.25, 0.55], [0.5, 0.15]])
    warm = warm_start(plain, given)
    key = jax.random.key(0)
    state = warm.init(key)
    offspring, state = warm.ask(key, state)
    own, _ = plain.ask(key, plain.init(key))
    np.testing.assert_array_equal(offspring.genomes, jnp.concatenate([given, own.genomes[2:]]))
    state, best = warm.tell(key, state, offspring.genomes, jnp.array([3.0, 1.0, 2.0, 4.0]), jnp.zeros(4))
    np.testing.assert_array_equal(best.genome, given[1])
    again, _ = warm.ask(key, state)
    assert not np.array_equal(again.genomes[:2], given)


def bowl(genomes):
    return jnp.sum(jnp.square(genomes - 0.35), axis=1)


def told(algorithm, num_generations):
    state = algorithm.init(jax.random.key(0))
    for generation in range(num_generations):
        key_ask, key_tell = jax.random.split(jax.random.key(generation + 1))
        offspring, state = algorithm.ask(key_ask, state)
        genomes = offspring.genomes
        state, best = algorithm.tell(key_tell, state, genomes, bowl(genomes), jnp.zeros(genomes.shape[0]))
        yield offspring, best


def test_the_surrogate_knows_earlier_evaluations_at_the_first_generation():
    plain = invasive_ga(SPACE, population_size=8, archive_size=64, num_candidates=64, noisy=False)
    earlier = SPACE.snap(jax.random.uniform(jax.random.key(9), (21, 2)))
    [(bred, _)] = told(informed(plain, earlier, bowl(earlier)), 1)
    [(cold, _)] = told(plain, 1)
    assert set(cold.species.tolist()) == {int(Species.FOUNDER)}
    assert set(bred.species.tolist()) == {int(Species.CHILD), int(Species.INVADER)}
    assert jnp.isfinite(bred.predicted).all()
    assert jnp.isposinf(cold.predicted).all()
    assert float(jnp.median(bowl(bred.genomes))) < 0.5 * float(jnp.median(bowl(earlier)))
    assert not any((earlier == genome[None]).all(1).any() for genome in bred.genomes)
    assert (bred.parents == -1).all()


def test_noise_is_found_however_many_evaluations_are_known():
    plain = invasive_ga(SPACE, population_size=8, archive_size=64, num_candidates=64, surrogate="quadratic_ridge")
    earlier = SPACE.snap(jax.random.uniform(jax.random.key(9), (40, 2)))
    algorithm, key = informed(plain, earlier, bowl(earlier)), jax.random.key(0)
    state = algorithm.init(key)
    for _ in range(2):
        offspring, state = algorithm.ask(key, state)
        assert int((offspring.species == Species.SURVIVOR).sum()) == 1
        state, _ = algorithm.tell(key, state, offspring.genomes, bowl(offspring.genomes) + 0.1, jnp.zeros(8))
    assert bool(state.noisy)


def test_they_count_for_the_best_and_a_failed_one_does_not():
    earlier = jnp.array([[0.35, 0.35], [0.9, 0.95], [0.1, 0.15]])
    search = informed(random_search(SPACE, population_size=2), earlier, jnp.array([jnp.nan, 1.0, -3.0]))
    [(_, best)] = told(search, 1)
    assert float(best.loss) == -3.0
    np.testing.assert_array_equal(best.genome, earlier[2])


def test_parents_are_members_of_this_run():
    earlier = SPACE.snap(jax.random.uniform(jax.random.key(9), (5, 2)))
    search = informed(ga(SPACE, population_size=4), earlier, bowl(earlier))
    parents = jnp.stack([offspring.parents for offspring, _ in told(search, 4)])
    assert (parents[0] == -1).all()
    numbers = 4 * jnp.arange(4)[:, None, None]
    assert (parents < jnp.maximum(numbers, 1)).all()
    assert (parents[1:] >= 0).any()


def test_the_oldest_is_told_first_and_what_fills_up_has_failed():
    seen = []
    plain = random_search(SPACE, population_size=2)

    def tell(key, state, genomes, loss, loss_var):
        jax.debug.callback(lambda *rows: seen.append([row.tolist() for row in rows]), genomes[:, 0], loss, ordered=True)
        return plain.tell(key, state, genomes, loss, loss_var)

    earlier = jnp.array([[0.25, 0.05], [0.5, 0.05], [0.75, 0.05]])
    search = informed(plain._replace(tell=tell), earlier, jnp.array([3.0, 2.0, 1.0]))
    jax.block_until_ready(search.init(jax.random.key(0)))
    jax.effects_barrier()
    assert seen == [[[0.25, 0.5], [3.0, 2.0]], [[0.75, 0.25], [1.0, float("inf")]]]
