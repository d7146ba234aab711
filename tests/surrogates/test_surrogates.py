"""Every surrogate: the contract, how well it predicts, whether its uncertainty is true."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga import Categorical, Integer, LogInteger, SearchSpace, Uniform
from jaxga.base import Surrogate
from jaxga.surrogates import SURROGATES, deep_kernel, gaussian_process
from jaxga.surrogates.gp import Matern, gram, hyperprior, slopes
from jaxga.surrogates.linalg import inverse_root

NUM_POINTS = 64
PLAIN = SearchSpace(a=Uniform(0.0, 1.0), b=Uniform(0.0, 1.0))
MIXED = SearchSpace(a=Uniform(0.0, 1.0), n=Integer(0, 5), m=LogInteger(1, 64), c=Categorical(["x", "y", "z"]))
# The single network makes no claim of what it does not know.
CLAIMS = sorted(set(SURROGATES) - {"mlp"})


def smooth(genomes):
    return jnp.sin(3.0 * genomes[:, 0]) + jnp.square(2.0 * genomes[:, 1] - 0.8)


def data(space, function=smooth, num=NUM_POINTS, seed=0):
    genomes = space.snap(jax.random.uniform(jax.random.key(seed), (num, space.size)))
    target = function(genomes)
    return genomes, (target - target.mean()) / target.std()


@functools.cache
def compiled(name, space, num_points=NUM_POINTS):
    model = SURROGATES[name](space, num_points=num_points)
    covariance = None if model.covariance is None else jax.jit(model.covariance)
    return Surrogate(jax.jit(model.init), jax.jit(model.fit), jax.jit(model.predict), covariance)


def fitted(name, space, genomes, target, valid, rounds=5, seed=0):
    model = compiled(name, space)
    params = model.init(jax.random.key(seed))
    for i in range(rounds):
        params = model.fit(jax.random.key(i), params, genomes, target, valid)
    return model, params


@pytest.mark.parametrize("name", SURROGATES)
def test_predicts_better_than_the_mean(name):
    genomes, target = data(PLAIN, num=2 * NUM_POINTS)
    model, params = fitted(name, PLAIN, genomes[:NUM_POINTS], target[:NUM_POINTS], jnp.ones(NUM_POINTS, bool))
    mean, std = model.predict(params, genomes[NUM_POINTS:])
    assert mean.shape == std.shape == (NUM_POINTS,)
    # The targets have variance one: a quarter of it may stay unexplained.
    assert float(jnp.mean(jnp.square(mean - target[NUM_POINTS:]))) < 0.25
    assert bool((std > 0).all())


@pytest.mark.parametrize("name", SURROGATES)
def test_x64_changes_nothing(name):
    genomes, target = data(MIXED)
    valid = jnp.ones(NUM_POINTS, bool)
    with jax.enable_x64(True), jax.debug_nans(True):
        model = SURROGATES[name](MIXED, num_points=NUM_POINTS)
        params = jax.jit(model.fit)(jax.random.key(0), model.init(jax.random.key(0)), genomes, target, valid)
        wide = jax.jit(model.predict)(params, genomes)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves((params, wide))} <= {"float32", "int32", "bool"}
    model, params = fitted(name, MIXED, genomes, target, valid, rounds=1)
    for a, b in zip(model.predict(params, genomes), wide, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


@pytest.mark.parametrize("name", SURROGATES)
def test_invalid_rows_have_no_influence(name):
    genomes, target = data(MIXED)
    valid = jnp.arange(NUM_POINTS) < 40
    elsewhere = jnp.where(valid[:, None], genomes, MIXED.snap(1.0 - genomes))
    _, one = fitted(name, MIXED, genomes, target, valid, rounds=2)
    model, other = fitted(name, MIXED, elsewhere, jnp.where(valid, target, jnp.nan), valid, rounds=2)
    for a, b in zip(model.predict(one, genomes), model.predict(other, genomes), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("name", SURROGATES)
def test_vmap_equals_one_by_one_and_nothing_is_retraced(name):
    genomes, target = data(MIXED)
    model = SURROGATES[name](MIXED, num_points=NUM_POINTS)
    calls = 0
    valid = jnp.ones(NUM_POINTS, bool)
    keys = jax.random.split(jax.random.key(1), 2)
    targets = jnp.stack([target, -target])

    def run(key, target):
        nonlocal calls
        calls += 1
        params = model.fit(key, model.init(key), genomes, target, valid)
        return model.predict(params, genomes)

    together = jax.jit(jax.vmap(run))(keys, targets)
    alone = jax.jit(run)
    for i in range(2):
        for a, b in zip(together, alone(keys[i], targets[i]), strict=True):
            np.testing.assert_allclose(a[i], b, atol=2e-2)
    # Once under vmap and once alone.
    assert calls == 2


@pytest.mark.parametrize("name", SURROGATES)
def test_without_a_row_everything_is_finite(name):
    genomes, target = data(MIXED)
    model, params = fitted(name, MIXED, genomes, target, jnp.zeros(NUM_POINTS, bool), rounds=1)
    assert all(bool(jnp.isfinite(a).all()) for a in model.predict(params, genomes))


@pytest.mark.parametrize("name", CLAIMS)
def test_uncertainty_is_calibrated(name):
    """On functions that the model did not see, standardised errors are of the order of one.

    A model whose errors had a scale of more than 3 times its claim, or less than a fifth, would mislead the search.
    """
    scores = []
    for seed in range(4):
        genomes, target = data(PLAIN, num=2 * NUM_POINTS, seed=seed)
        few = jnp.arange(NUM_POINTS) < 30
        model, params = fitted(name, PLAIN, genomes[:NUM_POINTS], target[:NUM_POINTS], few, seed=seed)
        mean, std = model.predict(params, genomes[NUM_POINTS:])
        scores.append((mean - target[NUM_POINTS:]) / std)
    scale = float(jnp.sqrt(jnp.median(jnp.square(jnp.concatenate(scores)))) / 0.6745)
    assert 0.2 < scale < 3.0


@pytest.mark.parametrize("name", CLAIMS)
def test_uncertainty_is_less_at_the_data(name):
    genomes, target = data(PLAIN)
    corner = genomes * 0.4
    model, params = fitted(name, PLAIN, corner, target, jnp.ones(NUM_POINTS, bool))
    near, far = model.predict(params, corner)[1], model.predict(params, 0.4 + 0.6 * jnp.maximum(genomes, 0.6))[1]
    assert float(jnp.median(far)) > float(jnp.median(near))


@pytest.mark.parametrize("name", sorted(set(CLAIMS) - {"nearest_neighbours"}))
def test_covariance_has_the_variances_on_its_diagonal(name):
    genomes, target = data(PLAIN)
    model, params = fitted(name, PLAIN, genomes, target, jnp.ones(NUM_POINTS, bool), rounds=2)
    assert model.covariance is not None
    covariance = model.covariance(params, genomes * 0.9)
    std = model.predict(params, genomes * 0.9)[1]
    np.testing.assert_allclose(jnp.diagonal(covariance), jnp.square(std), atol=2e-3, rtol=0.05)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-5)


def test_deep_kernel_without_a_learning_rate_is_the_gaussian_process():
    genomes, target = data(PLAIN)
    valid = jnp.ones(NUM_POINTS, bool)
    plain, deep = (
        gaussian_process(PLAIN, num_points=NUM_POINTS),
        deep_kernel(PLAIN, num_points=NUM_POINTS, learning_rate=0.0),
    )
    key = jax.random.key(0)
    one = plain.fit(key, plain.init(key), genomes, target, valid)
    other = deep.fit(key, deep.init(key), genomes, target, valid)
    np.testing.assert_allclose(one.theta, other.head.theta, atol=1e-3)
    fresh = data(PLAIN, seed=9)[0]
    np.testing.assert_allclose(plain.predict(one, fresh)[0], deep.predict(other, fresh)[0], atol=5e-3)


def test_gaussian_process_equals_the_textbook_formula():
    genomes, target = data(PLAIN, num=12)
    model = gaussian_process(PLAIN, num_points=12, num_steps=0)
    params = model.fit(jax.random.key(0), model.init(jax.random.key(0)), genomes, target, jnp.ones(12, bool))
    fresh = data(PLAIN, seed=5)[0]

    def kernel(a, b):
        lengths = np.exp(np.asarray(params.theta[:2], np.float64))
        r = np.sqrt(5.0 * (((a[:, None] - b[None]) / lengths) ** 2).sum(-1))
        return (1 + r + r**2 / 3) * np.exp(-r)

    x, z, new = (np.asarray(a, np.float64) for a in (genomes, target, fresh))
    matrix = kernel(x, x) + (np.exp(float(params.theta[2])) + 1e-5) * np.eye(12)
    mean = kernel(new, x) @ np.linalg.solve(matrix, z)
    signal = (z @ np.linalg.solve(matrix, z) + 2) / 14
    variance = signal * (1 - np.einsum("ij,ji->i", kernel(new, x), np.linalg.solve(matrix, kernel(x, new))))
    got_mean, got_std = model.predict(params, fresh)
    np.testing.assert_allclose(got_mean, mean, atol=2e-3)
    np.testing.assert_allclose(got_std, np.sqrt(variance), atol=2e-3)


def test_gaussian_process_gradient_is_that_of_the_likelihood():
    """More steps make the negative log posterior, computed in float64 by numpy, smaller."""
    genomes, target = data(PLAIN)
    x, z = np.asarray(genomes, np.float64), np.asarray(target, np.float64)

    def negative_log_posterior(theta):
        theta = np.asarray(theta, np.float64)
        r = np.sqrt(5.0 * (((x[:, None] - x[None]) / np.exp(theta[:2])) ** 2).sum(-1))
        matrix = (1 + r + r**2 / 3) * np.exp(-r) + (np.exp(theta[2]) + 1e-5) * np.eye(NUM_POINTS)
        inner = z @ np.linalg.solve(matrix, z)
        fit = 0.5 * (NUM_POINTS + 2) * np.log(inner + 2) + 0.5 * np.linalg.slogdet(matrix)[1]
        return fit + 0.5 * (theta[:2] ** 2).sum() + 0.5 * ((theta[2] + 7) / 3.0) ** 2

    values = []
    for num_steps in (0, 5, 40):
        model = gaussian_process(PLAIN, num_points=NUM_POINTS, num_steps=num_steps)
        key = jax.random.key(0)
        params = model.fit(key, model.init(key), genomes, target, jnp.ones(NUM_POINTS, bool))
        values.append(negative_log_posterior(params.theta))
    assert values[0] > values[1] > values[2]


def test_the_gradient_by_hand_is_the_one_that_jax_derives():
    size, num_features = 24, 3
    points = jax.random.uniform(jax.random.key(1), (size, num_features))
    valid = jnp.arange(size) < 20
    target = jnp.where(valid, jnp.sin(5.0 * points[:, 0]) + points[:, 1], 0.0)
    kernel, prior = Matern((False,) * num_features), hyperprior(num_features)
    theta = jnp.array([-0.7, 0.1, 0.4, -3.0])

    def negative_log_posterior(theta, points):
        matrix = gram(theta, kernel(theta, points, points), valid)
        inner = target @ jnp.linalg.solve(matrix, target)
        fit = 0.5 * (valid.sum() + 2) * jnp.log(inner + 2.0) + 0.5 * jnp.linalg.slogdet(matrix)[1]
        return fit + 0.5 * jnp.sum(jnp.square((theta - prior.mean) / prior.std))

    by_square, by_noise = slopes(theta, kernel.square(theta, points, points), target, valid)
    by_theta, by_points = jax.grad(negative_log_posterior, (0, 1))(theta, points)
    rates, apart = jnp.exp(-2.0 * theta[:-1]), by_square.sum(1, keepdims=True) * points - by_square @ points
    by_length = [-rates[i] * jnp.sum(by_square * pair) for i, pair in enumerate(kernel.squares(points, points))]
    found = jnp.array([*by_length, by_noise]) + prior.slope(theta)
    np.testing.assert_allclose(found, by_theta, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(-2.0 * rates * jnp.sum(points * apart, axis=0), jnp.array(by_length), rtol=1e-3)
    np.testing.assert_allclose(2.0 * rates[None] * apart, by_points, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [5, 64, 100, 256])
def test_inverse_root(size):
    x = np.random.default_rng(0).uniform(size=(size, 3))
    matrix = np.exp(-((x[:, None] - x[None]) ** 2).sum(-1) * 8) + 0.01 * np.eye(size)
    root = inverse_root(jnp.asarray(matrix, jnp.float32))
    np.testing.assert_allclose(root @ matrix @ root.T, np.eye(size), atol=1e-3)
    assert float(jnp.abs(jnp.triu(root, 1)).max()) == 0.0


def test_the_posterior_of_many_points_close_together_is_computed():
    """The end of a search: most points around the best one, length scales of the whole cube, hardly any noise."""
    rng = np.random.default_rng(0)
    near = 0.5 + 10.0 ** rng.uniform(-3.0, -1.0, (448, 1)) * rng.normal(size=(448, 5))
    points = jnp.asarray(np.concatenate([near, rng.uniform(size=(64, 5))]), jnp.float32)
    theta = jnp.array([2.0, 2.0, 2.0, 2.0, -1.0, -10.0])
    matrix = gram(theta, Matern((False,) * 5)(theta, points, points), jnp.ones(512, bool))
    root = np.asarray(inverse_root(matrix), np.float64)
    np.testing.assert_allclose(root @ np.asarray(matrix, np.float64) @ root.T, np.eye(512), atol=0.1)


def test_inverse_root_of_an_indefinite_matrix_is_finite():
    assert bool(jnp.isfinite(inverse_root(jnp.ones((96, 96)) - 1e-6 * jnp.eye(96))).all())
