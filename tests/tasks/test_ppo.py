"""PPO as a task: it learns what is known, and keeps the contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import spaces
from gymnax.environments.environment import Environment as GymnaxEnvironment
from gymnax.environments.environment import EnvParams

from jaxga import Task
from jaxga.tasks.ppo import networks, ppo
from jaxga.tasks.ppo.environments import adapt

SMALL = {"num_steps": 1024, "num_envs": 4, "rollout_length": 64, "num_episodes": 2}


@struct.dataclass
class ProbeState:
    side: jax.Array
    time: jax.Array


class Probe(GymnaxEnvironment):
    """An environment so small that its values are known.

    Source: Andy Jones, "Debugging Reinforcement Learning Systems", 2021.
    """

    def __init__(self, *, reward, length=1, sees_side=False, sees_time=False, ends=True):
        self.reward, self.length, self.ends = reward, length, ends
        self.sees = (sees_side, sees_time)

    @property
    def default_params(self):
        return EnvParams(max_steps_in_episode=10_000 if self.ends else self.length)

    def observe_state(self, state):
        return jnp.array([state.side * self.sees[0], state.time * self.sees[1]], jnp.float32)

    def reset_env(self, key, params):
        side = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)
        state = ProbeState(side, jnp.int32(0))
        return self.observe_state(state), state

    def step_env(self, key, state, action, params):
        reward = jnp.float32(self.reward(state.side, state.time, action))
        state = state.replace(time=state.time + 1)
        terminated = (state.time >= self.length) & self.ends
        return self.observe_state(state), state, reward, terminated, {}

    def action_space(self, params):
        return spaces.Discrete(2)

    def observation_space(self, params):
        return spaces.Box(-1, 1, (2,))


def train(probe, **hyperparameters):
    """The probe's trained task: its greedy return, and functions of an observation to values and outputs."""
    task = ppo(
        adapt(probe, probe.default_params),
        num_steps=12_800,
        num_envs=4,
        rollout_length=32,
        anneal=True,
        hyperparameters={"learning_rate": 5e-3, "gamma": 0.5, **hyperparameters},
    )

    @jax.jit
    def run(key):
        params = task._unravel(task.trained(key, {}).adam.params)
        sides = jnp.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
        return networks.policy_and_value(params, sides)

    outputs, values = run(jax.random.key(0))
    # Rows: the left side, the right side, time 0, time 1.
    return np.asarray(values), np.asarray(jax.nn.softmax(outputs, axis=0)[1])


def test_one_step_of_constant_reward_is_worth_it():
    values, _ = train(Probe(reward=lambda side, time, action: 1.0))
    np.testing.assert_allclose(values[2], 1.0, atol=0.05)


def test_a_reward_that_depends_on_the_observation():
    values, _ = train(Probe(reward=lambda side, time, action: side, sees_side=True))
    np.testing.assert_allclose(values[:2], [-1.0, 1.0], atol=0.05)


def test_a_delayed_reward_is_discounted():
    values, _ = train(Probe(reward=lambda side, time, action: time == 1, length=2, sees_time=True))
    np.testing.assert_allclose(values[2:], [0.5, 1.0], atol=0.05)


def test_a_truncated_episode_goes_on_in_the_value():
    # 1 a step for ever at a discount of 0.5 is worth 2, wherever the time limit falls.
    values, _ = train(Probe(reward=lambda side, time, action: 1.0, length=2, ends=False))
    np.testing.assert_allclose(values[2], 2.0, atol=0.1)


def test_an_action_is_learned():
    values, right = train(Probe(reward=lambda side, time, action: action))
    assert right[2] > 0.95
    np.testing.assert_allclose(values[2], 1.0, atol=0.1)


def test_an_action_that_depends_on_the_observation_is_learned():
    values, right = train(Probe(reward=lambda side, time, action: side * (2 * action - 1), sees_side=True))
    assert right[0] < 0.05
    assert right[1] > 0.95
    np.testing.assert_allclose(values[:2], [1.0, 1.0], atol=0.15)


@pytest.fixture(scope="module")
def small():
    """The small task, and it compiled for a population of two."""
    task = ppo("CartPole-v1", **SMALL)
    return task, jax.jit(jax.vmap(task.evaluate))


def settings(*rates):
    return {"learning_rate": jnp.array(rates), "max_grad_norm": jnp.full(len(rates), 0.5)}


def test_the_contract(small):
    task, evaluate = small
    assert isinstance(task, Task)
    assert task.objective.direction == "max"
    assert task == ppo("CartPole-v1", **SMALL)
    assert hash(task) == hash(ppo("CartPole-v1", **SMALL))
    keys = jax.random.split(jax.random.key(0), 2)
    first = evaluate(keys, settings(1e-3, 1e-2))
    again = evaluate(keys, settings(1e-3, 1e-2))
    assert first.value.shape == (2,)
    assert first.metrics["curve"].shape == (2, 4)
    assert (first.value == first.metrics["mean return"]).all()
    jax.tree.map(np.testing.assert_array_equal, first, again)
    other = evaluate(keys[::-1], settings(1e-3, 1e-2))
    assert not np.array_equal(first.metrics["curve"], other.metrics["curve"])
    assert evaluate._cache_size() == 1


def test_a_nan_setting_fails_alone(small):
    _, evaluate = small
    keys = jax.random.split(jax.random.key(0), 2)
    sound = evaluate(keys, settings(1e-3, 1e-2))
    broken = evaluate(keys, settings(np.nan, 1e-2))
    assert np.isnan(broken.value[0])
    assert broken.value[1] == sound.value[1]


def test_the_curve_is_the_mean_return_of_what_ended(small):
    _, evaluate = small
    result = evaluate(jax.random.split(jax.random.key(0), 2), settings(1e-10, 1e-10))
    # Four environments a random policy steps: about 22 steps an episode.
    assert (result.metrics["episodes"] > 1024 / 40).all()
    assert (result.metrics["episodes"] < 1024 / 12).all()
    assert (abs(result.metrics["curve"] - 22) < 12).all()
    np.testing.assert_allclose(result.metrics["area"], result.metrics["curve"].mean(-1), rtol=1e-6)


def test_the_area_can_be_the_objective():
    task = ppo("CartPole-v1", **{**SMALL, "num_steps": 2048}, metric="area")
    result = jax.jit(task.evaluate)(jax.random.key(0), {"learning_rate": 1e-3, "max_grad_norm": 0.5})
    assert result.value == result.metrics["area"]


def test_the_full_search_trains_every_minibatch_size():
    task = ppo("CartPole-v1", search="full", num_steps=1024, num_episodes=2)
    genomes = jnp.asarray(np.random.default_rng(0).random((3, task.space.size)), jnp.float32)
    genomes = genomes.at[:, task.space.names.index("minibatch_size")].set(jnp.array([0.0, 0.5, 1.0]))
    settings = task.space.decode(genomes)
    assert settings["minibatch_size"].tolist() == [128, 256, 512]
    result = jax.jit(jax.vmap(task.evaluate))(jax.random.split(jax.random.key(0), 3), settings)
    assert np.isfinite(result.value).all()


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_the_model_acts_as_it_was_scored(env):
    """Greedy episodes played with the model alone have the recorded return."""
    task = ppo(env, num_steps=512, rollout_length=32, num_episodes=3)
    key, setting = jax.random.key(2), {"learning_rate": jnp.float32(1e-2), "max_grad_norm": jnp.float32(0.5)}
    evaluation = jax.jit(task.evaluate)(key, setting)
    assert ("observations" in evaluation.model) == task.environment.normalize

    @jax.jit
    def episode(key_reset, keys):
        def step(carry, key):
            observation, state, total, alive = carry
            moved = task.environment.step(key, state, task.act(evaluation.model, observation))
            total = total + alive * moved.reward
            return (moved.observation, moved.state, total, alive & ~(moved.terminated | moved.truncated)), None

        start = (*task.environment.reset(key_reset), jnp.float32(0.0), True)
        return jax.lax.scan(step, start, keys)[0][2]

    # The keys of the greedy episodes: a Trainable is scored under this stream of its key.
    key_reset, key_step = jax.random.split(jax.random.fold_in(key, 2**32 - 1))
    keys_step = jax.random.split(key_step, (task.environment.max_steps, 3))
    returns = [episode(start, keys_step[:, i]) for i, start in enumerate(jax.random.split(key_reset, 3))]
    np.testing.assert_allclose(np.mean(returns), evaluation.metrics["mean return"], rtol=1e-4)


@pytest.mark.parametrize("search", ["default", "full"])
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "Breakout-MinAtar"])
def test_no_rank_is_promoted_in_silence(env, search):
    task = ppo(env, search=search, num_steps=1024, num_episodes=2)
    setting = task.space.decode(jnp.full(task.space.size, 0.5))
    evaluation = jax.eval_shape(task.evaluate, jax.random.key(0), setting)
    jax.eval_shape(task.act, evaluation.model, jnp.zeros(task.environment.observation_shape))
    assert evaluation.value.shape == ()


@pytest.mark.parametrize("env", ["Pendulum-v1", "Breakout-MinAtar"])
def test_a_vector_action_and_an_image_train(env):
    task = ppo(env, num_steps=256, rollout_length=32, num_episodes=1, hyperparameters={"learning_rate": 1e-3})
    result = jax.jit(task.evaluate)(jax.random.key(0), {})
    assert np.isfinite(result.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"env": "Pong"}, "env must be one of CartPole-v1, .*got 'Pong'"),
        ({"search": "all"}, "search must be one of default, full, got 'all'"),
        ({"metric": "loss"}, "metric must be one of"),
        ({"num_envs": 0}, "num_envs must be a whole number of at least 1, got 0"),
        ({"num_steps": 500}, "num_steps must be at least num_envs [*] rollout_length = 512, got 500"),
        ({"num_minibatches": 5}, "num_minibatches must divide .* = 512, got 5"),
        ({"num_parts": 0}, "num_parts must be a whole number of at least 1, got 0"),
        ({"num_parts": 3, "num_steps": 1024}, "num_parts must be at most the number of updates = 2, got 3"),
        ({"search": "full", "rollout_length": 100}, "must be a multiple of 512 with search='full'"),
        ({"metric": "area", "num_steps": 1024}, "num_steps must be at least num_envs [*] 500"),
        ({"hyperparameters": {"lr": 1.0}}, "hyperparameters must be among learning_rate, .*got lr"),
        ({"hyperparameters": {"minibatch_size": 64}}, "got minibatch_size"),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        ppo(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("env", "sizes", "floor"),
    [
        ("CartPole-v1", {}, 475.0),
        ("Acrobot-v1", {}, -100.0),
        ("Pendulum-v1", {"num_steps": 200_000, "num_epochs": 10}, -250.0),
    ],
)
def test_the_defaults_solve(env, sizes, floor):
    task = ppo(env, **sizes)
    keys = jax.random.split(jax.random.key(1), 16)
    values = jax.jit(lambda keys: jax.lax.map(lambda key: task.evaluate(key, {}).value, keys, batch_size=8))(keys)
    assert values.mean() >= floor, values
