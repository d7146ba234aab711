"""The checks of tests/shapes.py find wrong shapes and types."""

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from jaxga import SearchSpace, Uniform
from jaxga.base import Algorithm, Best, Offspring, Operator, Surrogate

KEY = jax.random.key(0)
ROWS = jnp.zeros((4, 2)), jnp.zeros(4), jnp.ones(4, bool)
RIGHT = Offspring(jnp.zeros((3, 2)), jnp.zeros(3, int), jnp.zeros((3, 2), int), jnp.zeros(3))
BEST = Best(jnp.zeros(2), jnp.zeros(()))


def surrogate(fit=lambda key, params, *rows: params, predict=lambda params, genomes: (genomes[:, 0], genomes[:, 1])):
    return Surrogate(lambda key: jnp.zeros(()), fit, predict, lambda params, genomes: genomes @ genomes.T)


def algorithm(offspring=RIGHT, best=BEST):
    return Algorithm(lambda key: 0, lambda key, state: (offspring, state), lambda key, state, *told: (state, best), 3)


def operator(apply=lambda draws, parents, scale: parents[0]):
    return Operator(2, 3, apply)


def test_right_shapes_pass():
    model, search = surrogate(), algorithm()
    params = model.fit(KEY, model.init(KEY), *ROWS)
    assert model.predict(params, ROWS[0])[0].shape == (4,)
    assert model.covariance(params, ROWS[0]).shape == (4, 4)
    offspring, state = search.ask(KEY, search.init(KEY))
    assert search.tell(KEY, state, offspring.genomes, jnp.zeros(3))[0] == 0
    assert operator().apply(jnp.zeros(3), jnp.zeros((2, 4)), jnp.ones(4)).shape == (4,)


@pytest.mark.parametrize(
    "call",
    [
        lambda: surrogate().fit(KEY, jnp.zeros(()), ROWS[0], ROWS[1][:3], ROWS[2]),
        lambda: surrogate().fit(KEY, jnp.zeros(()), ROWS[0], ROWS[1], ROWS[1]),
        lambda: surrogate(predict=lambda params, genomes: (genomes, genomes)).predict(0, ROWS[0]),
        lambda: surrogate(predict=lambda params, genomes: (genomes[:, 0], genomes[:2, 1])).predict(0, ROWS[0]),
        lambda: algorithm(RIGHT._replace(genomes=jnp.zeros((3, 2), int))).ask(KEY, 0),
        lambda: algorithm(RIGHT._replace(genomes=jnp.zeros(3))).ask(KEY, 0),
        lambda: algorithm(RIGHT._replace(parents=jnp.zeros((3, 1), int))).ask(KEY, 0),
        lambda: algorithm(best=BEST._replace(loss=jnp.zeros(1))).tell(KEY, 0, RIGHT.genomes, None),
        lambda: algorithm(best=BEST._replace(genome=jnp.zeros(3))).tell(KEY, 0, RIGHT.genomes, None),
        lambda: operator().apply(jnp.zeros(3), jnp.zeros((2, 4)), jnp.ones(1)),
        lambda: operator(lambda *_: jnp.zeros(1)).apply(jnp.zeros(3), jnp.zeros((2, 4)), jnp.ones(4)),
        lambda: SearchSpace(x=Uniform(0.0, 1.0)).snap(jnp.zeros(1, int)),
    ],
)
def test_wrong_shapes_and_types_fail(call):
    with pytest.raises(TypeCheckError):
        call()


def test_a_state_that_changes_its_type_fails():
    model = surrogate(fit=lambda key, params, *rows: params.astype(int))
    with pytest.raises(TypeError, match="shapes or types change"):
        model.fit(KEY, model.init(KEY), *ROWS)
