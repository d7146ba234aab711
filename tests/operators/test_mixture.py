"""Operators made of operators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga import Operator, SearchSpace, Uniform
from jaxga.operators import chain, choice, crossover, keyed, masked, mixture, mutation

SPACE = SearchSpace(**{f"x{i}": Uniform(0.0, 1.0) for i in range(4)})
CROSS, STEP = crossover.uniform(SPACE), mutation.gaussian(SPACE)
PARENTS = jax.random.uniform(jax.random.key(0), (3, 4))
SCALE = jnp.array([0.1, 0.5, 1.0, 2.0])


def uniforms(num, *shape):
    return jax.random.uniform(jax.random.key(1), (*shape, num))


def test_a_chain_gives_each_its_draws_and_the_genome_before():
    made = chain(CROSS, STEP)
    assert (made.num_parents, made.num_draws) == (2, CROSS.num_draws + STEP.num_draws)
    draws = uniforms(made.num_draws)
    crossed = CROSS.apply(draws[: CROSS.num_draws], PARENTS, SCALE)
    expected = STEP.apply(draws[CROSS.num_draws :], crossed[None], SCALE)
    np.testing.assert_array_equal(made.apply(draws, PARENTS, SCALE), expected)


def test_a_chain_hands_the_other_parents_on():
    last = Operator(3, 0, lambda draws, parents, scale: parents[2])
    np.testing.assert_array_equal(chain(STEP, last).apply(uniforms(STEP.num_draws), PARENTS, SCALE), PARENTS[2])


def test_a_mixture_applies_the_operator_that_the_first_draw_chooses():
    made = mixture([CROSS, STEP], (0.3, 0.7))
    assert (made.num_parents, made.num_draws) == (2, 1 + max(CROSS.num_draws, STEP.num_draws))
    draws = uniforms(made.num_draws)
    for first, operator in ((0.29, CROSS), (0.31, STEP)):
        expected = operator.apply(draws[1 : 1 + operator.num_draws], PARENTS, SCALE)
        np.testing.assert_array_equal(made.apply(draws.at[0].set(first), PARENTS, SCALE), expected)


def test_a_choice_has_its_shares():
    shares = np.array([0.5, 0.0, 0.2, 0.3])
    counts = np.bincount(np.asarray(choice(uniforms(20_000), tuple(shares))), minlength=4)
    # Five standard errors.
    assert (np.abs(counts / 20_000 - shares) <= 5 * np.sqrt(shares * (1 - shares) / 20_000)).all()


def test_masked_genes_alone_change():
    genes = np.array([True, False, True, False])
    everything = mutation.gaussian(SPACE, rate=1.0)
    child = masked(everything, genes).apply(uniforms(everything.num_draws), PARENTS, SCALE)
    np.testing.assert_array_equal(np.asarray(child != PARENTS[0]), genes)


def test_keyed_draws_by_its_key_in_units_of_the_scale():
    everything = mutation.gaussian(SPACE, rate=1.0, scale=1e-3)
    middle = jnp.full((1, 4), 0.5)
    small, large = (keyed(everything)(jax.random.key(3), middle, scale) for scale in (1.0, SCALE * 10))
    np.testing.assert_allclose((large - 0.5) / (small - 0.5), SCALE * 10, rtol=1e-3)
    assert bool((keyed(everything)(jax.random.key(4), middle) != small).all())


@pytest.mark.parametrize("shares", [(0.5, 0.4), (1.0,), (1.5, -0.5)])
def test_shares_are_probabilities(shares):
    with pytest.raises(ValueError, match="mixture: shares must be 2 probabilities of sum 1"):
        mixture([CROSS, STEP], shares)


def test_an_empty_chain_is_refused():
    with pytest.raises(ValueError, match="chain must have at least one operator"):
        chain()
