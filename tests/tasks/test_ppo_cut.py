"""PPO's training, cut into parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga.tasks.ppo import NAMES, ppo

# Six updates in four parts: two updates in each of the first two parts, one in each of the last two.
SIZES = {
    "num_steps": 96,
    "num_envs": 2,
    "rollout_length": 8,
    "num_epochs": 1,
    "num_minibatches": 1,
    "hidden_size": 4,
    "num_episodes": 1,
    "num_parts": 4,
}
SETTING = {"learning_rate": jnp.float32(3e-3), "max_grad_norm": jnp.float32(0.5)}
KEY = jax.random.key(7)

_init = jax.jit(lambda task, key: task.init(jax.random.fold_in(key, 0), SETTING))
_advance = jax.jit(
    lambda task, key, carry, setting, part: task.advance(jax.random.fold_in(key, part + 1), carry, setting, part)
)
_score = jax.jit(lambda task, key, carry: task.scored(key, carry, SETTING))


def in_parts(task):
    """The carry after each part."""
    carry = _init(task, KEY)
    for part in range(task.num_parts):
        carry = _advance(task, KEY, carry, SETTING, jnp.int32(part))
        yield carry


def assert_close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


# Compiling takes longest: discrete actions and continuous ones are enough for every run of the tests.
_SLOW = {*NAMES} - {"CartPole-v1", "Pendulum-v1"}


@pytest.mark.parametrize("env", [pytest.param(env, marks=[pytest.mark.slow] * (env in _SLOW)) for env in NAMES])
def test_a_cut_training_is_the_whole_one(env):
    task = ppo(env, **SIZES)
    *_, cut = in_parts(task)
    assert_close(cut, jax.jit(task.trained)(KEY, SETTING))


def test_the_updates_are_spread_evenly():
    assert [int(carry.num_updates) for carry in in_parts(ppo(**SIZES))] == [2, 4, 5, 6]


def test_there_are_eight_parts_or_one_an_update():
    assert ppo().num_parts == 8
    assert ppo(num_steps=1024).num_parts == ppo(num_steps=1024).num_rollouts == 2


@pytest.mark.parametrize("anneal", [True, False])
def test_the_learning_rate_follows_the_whole_training(anneal):
    """Under one key and from one state, a part's step of Adam differs in its learning rate alone."""
    task = ppo(**{**SIZES, "num_parts": 6}, anneal=anneal)
    carry = task.init(KEY, SETTING)
    advance = jax.jit(lambda part: task.advance(KEY, carry, SETTING, part))
    moves = jnp.array([advance(jnp.int32(part)).adam.params - carry.adam.params for part in range(6)])
    lengths = jnp.linalg.norm(moves, axis=1)
    np.testing.assert_allclose(lengths / lengths[0], 1.0 - np.arange(6) / 6 if anneal else np.ones(6), rtol=1e-3)


def test_a_score_knows_the_training_so_far():
    # 512 steps in each of three stretches: many episodes of a random policy end in each.
    task = ppo(**{**SIZES, "num_steps": 3 * 512, "num_envs": 4, "rollout_length": 128, "num_parts": 3})
    scores = [_score(task, KEY, carry) for carry in in_parts(task)]
    curves = np.array([score.metrics["curve"] for score in scores])
    last = curves[-1]
    assert len(set(last.tolist())) == 3
    np.testing.assert_allclose(curves, [last[[0, 0, 0]], last[[0, 1, 1]], last], rtol=1e-6)
    areas = [float(score.metrics["area"]) for score in scores]
    np.testing.assert_allclose(areas, [last[:1].mean(), last[:2].mean(), last.mean()], rtol=1e-6)
    assert np.all(np.diff([float(score.metrics["episodes"]) for score in scores]) > 0)
    assert [score.value for score in scores] == [score.metrics["mean return"] for score in scores]


def test_the_area_so_far_is_a_score():
    task = ppo(**{**SIZES, "num_steps": 2048, "rollout_length": 128}, metric="area")
    for carry in in_parts(task):
        score = _score(task, KEY, carry)
        assert score.value == score.metrics["area"]
        assert np.isfinite(score.value)


def test_members_need_not_be_at_the_same_part():
    task, parts = ppo(**SIZES), jnp.array([0, 3, 1])
    carries = [_init(task, key) for key in jax.random.split(KEY, 3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *carries)
    together = jax.jit(jax.vmap(lambda carry, part: task.advance(KEY, carry, SETTING, part)))(stacked, parts)
    alone = jax.jit(lambda carry, part: task.advance(KEY, carry, SETTING, part))
    for i, carry in enumerate(carries):
        assert_close(jax.tree.map(lambda leaf: leaf[i], together), alone(carry, parts[i]))  # noqa: B023


def test_a_nan_member_fails_alone_after_every_part():
    task, keys = ppo(**SIZES), jax.random.split(KEY, 2)
    rates = {"sound": jnp.array([1e-3, 1e-2]), "broken": jnp.array([np.nan, 1e-2])}

    @jax.jit
    def step(carry, rates, part):
        def one(key, carry, rate):
            setting = {**SETTING, "learning_rate": rate}
            carry = task.advance(jax.random.fold_in(key, part + 1), carry, setting, part)
            return carry, task.scored(key, carry, setting).value

        return jax.vmap(one)(keys, carry, rates)

    start = jax.vmap(lambda key: task.init(jax.random.fold_in(key, 0), SETTING))(keys)
    carries = dict.fromkeys(rates, start)
    for part in range(task.num_parts):
        values = {}
        for name in rates:
            carries[name], values[name] = step(carries[name], rates[name], jnp.int32(part))
        assert np.isnan(values["broken"][0])
        assert np.isfinite(values["sound"]).all()
        assert values["broken"][1] == values["sound"][1]
