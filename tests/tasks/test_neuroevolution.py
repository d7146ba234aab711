"""Neuroevolution as a task: the network is Flax's, the return gymnax's, and evolution finds a policy."""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxga
from jaxga.tasks.neuroevolution import WeightSpace, neuroevolution
from jaxga.tasks.ppo.environments import adapt
from tests.tasks.test_ppo import Probe


def forward(params, observation):
    """The outputs of a network of tanh layers for one observation, in numpy."""
    layers = [params["params"][name] for name in sorted(params["params"])]
    x = np.asarray(observation, np.float64).ravel()
    for i, layer in enumerate(layers):
        x = x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64)
        x = np.tanh(x) if i < len(layers) - 1 else x
    return x


@pytest.mark.parametrize("env", ["Pendulum-v1", "Breakout-MinAtar"])
def test_the_genome_is_the_network_of_flax(env):
    task = neuroevolution(env, hidden_sizes=(6, 5))
    shape = task.environment.observation_shape
    params = jax.jit(task.network.init)(jax.random.key(0), jnp.zeros((1, int(np.prod(shape)))))
    params = jax.tree.map(lambda leaf: np.asarray(leaf) + 0.1, params)  # no bias is zero
    in_units = {
        "params": {
            name: {k: leaf * np.float32(layer["kernel"].shape[0] ** 0.5) for k, leaf in layer.items()}
            for name, layer in params["params"].items()
        }
    }
    weights, _ = ravel_pytree(in_units)
    assert weights.shape == (task.space.size,)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), task.parameters(weights), params)
    observation = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    outputs = forward(params, observation)
    action = np.asarray(jax.jit(task.act)(params, observation))
    if env == "Pendulum-v1":
        np.testing.assert_allclose(action, 2.0 * np.clip(outputs, -1, 1), rtol=1e-5)
    else:
        assert int(action) == outputs.argmax()


@pytest.mark.parametrize(("env", "num_steps"), [("CartPole-v1", None), ("Breakout-MinAtar", 30)])
def test_the_value_is_what_gymnax_gives_step_by_step(env, num_steps):
    task = neuroevolution(env, hidden_sizes=(8,), num_episodes=3, num_steps=num_steps)
    weights, key = jax.random.normal(jax.random.key(3), (task.space.size,)), jax.random.key(4)
    evaluation = jax.jit(task.evaluate)(key, {"weights": weights})
    params = jax.device_get(task.parameters(weights))
    game, options = gymnax.make(env)
    step, reset = jax.jit(game.step_env), jax.jit(game.reset_env)
    key_reset, key_step = jax.random.split(key)
    keys = jax.vmap(lambda time: jax.random.split(jax.random.fold_in(key_step, time), 3))(jnp.arange(500))
    returns, lengths = [], []
    for i, key_one in enumerate(jax.random.split(key_reset, 3)):
        observation, state = reset(key_one, options)
        total, time, done = 0.0, 0, False
        while not done and time < task.environment.max_steps:
            action = forward(params, observation).argmax()
            observation, state, reward, done, _ = step(keys[time, i], state, action, options)
            total, time = total + float(reward), time + 1
        returns.append(total)
        lengths.append(time)
    np.testing.assert_allclose(evaluation.value, np.mean(returns), rtol=1e-6)
    np.testing.assert_allclose(evaluation.metrics["return std"], np.std(returns), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(evaluation.metrics["episode length"], np.mean(lengths), rtol=1e-6)


class Uneven(Probe):
    """Pays 1 a step, also after the end of an episode, which comes after 1 step or 4."""

    def step_env(self, key, state, action, params):
        observation, state, reward, _, info = super().step_env(key, state, action, params)
        return observation, state, reward, state.time >= jnp.where(state.side > 0, 1, 4), info


def test_nothing_is_paid_after_the_end_of_an_episode():
    game, key = Uneven(reward=lambda side, time, action: 1.0), jax.random.key(2)
    task = neuroevolution(adapt(game, game.default_params), hidden_sizes=(), num_episodes=6)
    starts = [game.reset_env(k, game.default_params)[1] for k in jax.random.split(jax.random.split(key)[0], 6)]
    expected = [1.0 if state.side > 0 else 4.0 for state in starts]
    assert len(set(expected)) == 2
    evaluation = jax.jit(task.evaluate)(key, {"weights": jnp.ones(task.space.size)})
    assert float(evaluation.value) == float(evaluation.metrics["episode length"]) == np.mean(expected)


def test_truncation_improves_cartpole_and_the_run_keeps_the_network(tmp_path):
    task = neuroevolution("CartPole-v1", hidden_sizes=(8,), num_episodes=2, num_steps=200)
    result = jaxga.optimize(
        task,
        algorithm="truncation_ga",
        population_size=32,
        num_generations=8,
        key=0,
        num_fresh=16,
        out=tmp_path / "run",
        report=False,
    )
    founders = result.history.columns["value"][:32]
    assert founders.mean() < 40
    assert result.fresh_value > 120
    # One column for all weights; the weights themselves are the model.
    assert list(result.best) == ["weight_rms"]
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()[0].split(",")) < 20
    saved = jaxga.load(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, saved.model, jax.tree.map(np.asarray, result.model))
    observation = jnp.array([0.0, 0.1, 0.02, -0.1])
    assert int(task.act(saved.model, observation)) == forward(saved.model, observation).argmax()
    with pytest.raises(ValueError, match="a setting has the name weights alone and 58 numbers"):
        jaxga.optimize(task, algorithm="truncation_ga", population_size=8, warm_start=tmp_path / "run")


def test_the_space_of_weights():
    space = WeightSpace(1000, 2.0)
    genomes = jax.random.uniform(jax.random.key(0), (3, 1000))
    weights = space.decode(genomes)["weights"]
    assert weights.shape == (3, 1000)
    np.testing.assert_allclose(weights, 4.0 * genomes - 2.0, atol=1e-6)
    np.testing.assert_allclose(space.encode({"weights": weights[1]}), genomes[1], atol=1e-6)
    rms = np.sqrt(np.mean(np.square(np.asarray(weights)), axis=1))
    np.testing.assert_allclose([s["weight_rms"] for s in space.settings(genomes)], rms, rtol=1e-5)
    np.testing.assert_array_equal(space.snap(genomes), genomes)
    assert space == WeightSpace(1000, 2.0)
    assert len({space, WeightSpace(1000, 2.0), WeightSpace(999, 2.0), WeightSpace(1000, 1.0)}) == 3
    assert np.isnan(space.decode(genomes.at[0, 7].set(jnp.nan))["weights"][0, 7])
    with pytest.raises(ValueError, match=r"genomes must have shape \[N, 1000\], got \[3, 4\]"):
        space.settings(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"1000 numbers in \[-2, 2\], got the names \['weight_rms'\]"):
        space.encode({"weight_rms": 1.0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"env": "CartPole"}, "env must be one of .* got 'CartPole'; did you mean CartPole-v1?"),
        ({"hidden_sizes": 16}, "hidden_sizes must be a list or tuple of numbers, got 16"),
        ({"hidden_sizes": (16, 0)}, "hidden_sizes must be a whole number of at least 1, got 0"),
        ({"num_steps": 501}, r"num_steps must be a whole number in \[1, 500\], got 501"),
        ({"num_episodes": 0}, "num_episodes must be a whole number of at least 1, got 0"),
        ({"reach": 0.0}, "reach must be above 0, got 0.0"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        neuroevolution(**options)
