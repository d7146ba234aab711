"""The zoom on the best settings: what a model of the whole cube cannot tell apart, and what stays as it is."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from jaxga import Categorical, Integer, SearchSpace, Uniform
from jaxga.surrogates import gaussian_process, nearest_neighbours
from jaxga.surrogates.zoom import over_zoom

SPACE = SearchSpace(a=Uniform(0.0, 1.0), b=Uniform(0.0, 1.0))
MIXED = SearchSpace(a=Uniform(0.0, 1.0), n=Integer(0, 5), c=Categorical(["x", "y", "z"]))
zoomed_process = partial(over_zoom, gaussian_process)


def bowl(genomes):
    return jnp.sum(jnp.square(genomes - jnp.array([[0.31, 0.62]])), axis=1)


def rank_correlation(factory):
    """Of the forecast with the truth within 1e-4 of the best setting, with 96 far and 32 near ones known."""
    keys = jax.random.split(jax.random.key(0), 3)
    far = jax.random.uniform(keys[0], (96, 2))
    near, new = (jnp.array([[0.3101, 0.6199]]) + 1e-4 * jax.random.normal(key, (32, 2)) for key in keys[1:])
    genomes = jnp.concatenate([far, near])
    target = bowl(genomes) / bowl(near).std()
    target = jnp.minimum(target - target.min(), 12.0)  # clipped, as the algorithm clips the loss of bad settings
    target = (target - target.mean()) / target.std()
    model = factory(SPACE, num_points=128)
    params = model.init(jax.random.key(1))
    for i in range(5):
        params = jax.jit(model.fit)(jax.random.key(i), params, genomes, target, jnp.ones(128, bool))
    return spearmanr(model.predict(params, new)[0], bowl(new)).statistic


def test_the_best_settings_are_told_apart_however_near_they_are():
    assert rank_correlation(zoomed_process) > 0.95
    assert rank_correlation(gaussian_process) < 0.8


@pytest.mark.parametrize("factory", [gaussian_process, nearest_neighbours])
def test_without_a_spread_the_model_is_the_plain_one(factory):
    """With one valid row, or none, there is no spread: the unit is the whole cube."""
    genomes = MIXED.snap(jax.random.uniform(jax.random.key(0), (16, 3)))
    for num_valid in (0, 1):
        model = over_zoom(factory, MIXED, num_points=16)
        valid = jnp.arange(16) < num_valid
        params = model.fit(jax.random.key(2), model.init(jax.random.key(1)), genomes, jnp.arange(16.0), valid)
        np.testing.assert_array_equal(params.unit, 1.0)
        mean, std = model.predict(params, genomes)
        assert bool(jnp.isfinite(mean).all() & jnp.isfinite(std).all())


def test_discrete_genes_keep_their_levels():
    """What the model is shown: a narrow range of an ordered gene is wide, levels and categories are as they were."""
    shown = []

    def plain(space, *, num_points):
        model = nearest_neighbours(space, num_points=num_points)

        def fit(key, params, genomes, target, valid):
            shown.append(np.asarray(genomes))
            return model.fit(key, params, genomes, target, valid)

        return model._replace(fit=fit)

    genomes = MIXED.snap(0.4 + 0.01 * jax.random.uniform(jax.random.key(0), (64, 3)))
    model = over_zoom(plain, MIXED, num_points=64)
    model.fit(jax.random.key(2), model.init(jax.random.key(1)), genomes, jnp.arange(64.0), jnp.ones(64, bool))
    np.testing.assert_array_equal(shown[0][:, 1:], genomes[:, 1:])
    np.testing.assert_array_equal(shown[0][0], genomes[0])
    assert np.ptp(shown[0][:, 0]) > 10 * np.ptp(np.asarray(genomes[:, 0]))
