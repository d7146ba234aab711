"""Many searches in one program give what each of them gives alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxga
from jaxga.registry import ALGORITHMS
from tests.test_contracts import SMALL, SPACE
from tests.test_programs import compiling

OPTIONS = {"population_size": 8, "num_generations": 3, "num_fresh": 2}


@jaxga.as_task(SPACE)
def bowl(key, setting):
    return (setting["a"] - 0.5) ** 2 + setting["n"] + 0.5 * setting["c"] * jax.random.uniform(key)


def assert_equal(alone, together, check):
    assert list(alone.history.columns) == list(together.history.columns)
    for name, column in alone.history.columns.items():
        is_float = np.issubdtype(column.dtype, np.floating)
        (check if is_float else np.testing.assert_array_equal)(together.history.columns[name], column)
    check(together.fresh_values, alone.fresh_values)
    check(together.best_value, alone.best_value)
    assert together.best == pytest.approx(alone.best)
    np.testing.assert_array_equal(together.history.estimates, alone.history.estimates)
    check(jax.tree.leaves(together.state)[-1], jax.tree.leaves(alone.state)[-1])


@pytest.mark.parametrize("name", ALGORITHMS)
def test_searches_are_equal_to_single_ones(name):
    algorithm = functools.partial(ALGORITHMS[name], **SMALL.get(name, {}))
    together = jaxga.optimize_many(bowl, keys=[5, 9], algorithm=algorithm, **OPTIONS)
    check = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    for key, result in zip((5, 9), together, strict=True):
        assert_equal(jaxga.optimize(bowl, key=key, algorithm=algorithm, **OPTIONS), result, check)


@pytest.mark.parametrize("options", [{}, {"num_replicates": 2, "chunk_size": 3}], ids=["plain", "chunked"])
def test_vmapped_searches_of_an_elementwise_task_have_the_same_bits(options):
    together = jaxga.optimize_many(bowl, keys=range(3), algorithm="ga", searches_at_once=2, **OPTIONS, **options)
    assert len({tuple(result.history.columns["value"]) for result in together}) == 3
    for key, result in enumerate(together):
        alone = jaxga.optimize(bowl, key=key, algorithm="ga", **OPTIONS, **options)
        assert_equal(alone, result, np.testing.assert_array_equal)


def test_a_second_call_with_other_keys_compiles_nothing():
    options = {"algorithm": "random_search", **OPTIONS}
    jaxga.optimize_many(bowl, keys=[5, 9], **options)
    with compiling() as compiled:
        jaxga.optimize_many(bowl, keys=[1, 2], **options)
    assert not compiled


def test_keys_of_every_kind():
    typed = jax.random.split(jax.random.key(3, impl="threefry2x32"), 2)
    given = [typed, jax.random.key_data(typed), list(typed), [3, 4], (3, 4), range(3, 5), np.array([3, 4])]
    values = [
        [r.best_value for r in jaxga.optimize_many(bowl, keys=keys, algorithm="random_search", **OPTIONS)]
        for keys in given
    ]
    assert values[0] == values[1] == values[2] != values[3]
    assert values[3] == values[4] == values[5] == values[6]


@pytest.mark.parametrize(
    "keys",
    [
        [],
        3,
        "34",
        None,
        jax.random.key(0),
        jax.random.PRNGKey(0),
        jax.random.split(jax.random.key(0), (2, 2)),
        jax.random.split(jax.random.key(0), 2)[:0],
        np.zeros((2, 3), np.uint32),
        [1, -1],
        [1, 2.5],
        jax.random.split(jax.random.key(0, impl="rbg"), 2),
    ],
)
def test_keys_that_are_none(keys):
    with pytest.raises(ValueError, match=r"^keys? must be"):
        jaxga.optimize_many(bowl, keys=keys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"searches_at_once": 0}, "searches_at_once must be a whole number of at least 1, got 0"),
        ({"num_generations": 0}, "num_generations must be a whole number in"),
        ({"num_replicates": "2"}, "num_replicates must be a whole number"),
        ({"chunk_size": 0}, "chunk_size must be a whole number"),
        ({"num_fresh": -1}, "num_fresh must be a whole number"),
        ({"population_size": 0}, "population_size must be a whole number"),
        ({"keep_model": "last"}, "keep_model must be one of"),
        ({"algorithm": "gaa"}, "algorithm must be one of"),
    ],
)
def test_an_argument_out_of_its_range(options, message):
    with pytest.raises(ValueError, match=message):
        jaxga.optimize_many(bowl, keys=[1, 2], **options)


def test_a_search_that_failed_is_a_value_beside_the_others():
    # Whether the one member of a search fails depends on its key.
    task = jaxga.as_task(SPACE, objective=jaxga.Objective("value", "max"))(
        lambda key, setting: jnp.where(jax.random.uniform(key) < 0.5, jnp.nan, setting["n"])
    )
    options = {"algorithm": "random_search", "population_size": 1, "num_generations": 1, "num_fresh": 0}
    results = jaxga.optimize_many(task, keys=range(8), **options)
    failed = [result for result in results if result.reason is not None]
    assert 0 < len(failed) < 8
    assert {(result.reason, result.best_value) for result in failed} == {("every member failed", -np.inf)}
    assert all(np.isnan(result.history.columns["value"]).all() == (result in failed) for result in results)
    with pytest.raises(jaxga.AllMembersFailed, match="each of the 8 searches failed"):
        jaxga.optimize_many(jaxga.as_task(SPACE)(lambda key, setting: jnp.nan), keys=range(8), **options)


@pytest.mark.parametrize(("keep", "shape"), [("best", (1,)), ("all", (3, 1)), ("none", None)])
def test_the_models_of_the_winners(keep, shape):
    task = jaxga.as_task(SPACE)(
        lambda key, setting: (value := setting["a"] + jax.random.uniform(key), {}, {"weight": value[None]})
    )
    options = {**OPTIONS, "algorithm": "random_search", "num_fresh": 3}
    for result in jaxga.optimize_many(task, keys=[1, 2], keep_model=keep, **options):
        if shape is None:
            assert result.model is None
            continue
        assert result.model["weight"].shape == shape
        values = result.fresh_values if keep == "all" else result.fresh_values.min()
        np.testing.assert_array_equal(np.squeeze(result.model["weight"]), values)
