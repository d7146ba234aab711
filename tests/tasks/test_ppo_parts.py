"""The parts of PPO, each beside a few lines of numpy or another implementation."""

from functools import partial

import gymnasium
import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga.tasks.ppo import distributions, environments, networks
from jaxga.tasks.ppo.environments import NAMES, reset_where_done
from jaxga.tasks.ppo.hyperparameters import Hyperparameters
from jaxga.tasks.ppo.rollout import Moments, advantages, collect, greedy_returns, start, values
from jaxga.tasks.ppo.update import Adam, Batch, normalize_advantages, policy_loss, shuffle, update, value_loss

RNG = np.random.default_rng(0)


def numpy_advantages(reward, value, next_value, terminated, truncated, gamma, gae_lambda):
    """The sum of discounted TD errors to the end of the episode or the rollout, written as it is defined."""
    length, result = len(reward), np.zeros(len(reward))
    for t in range(length):
        weight = 1.0
        for s in range(t, length):
            bootstrap = 0.0 if terminated[s] else next_value[s]
            result[t] += weight * (reward[s] + gamma * bootstrap - value[s])
            weight *= gamma * gae_lambda
            if terminated[s] or truncated[s]:
                break
    return result


@pytest.mark.parametrize("gae_lambda", [0.0, 0.95, 1.0])
def test_advantages_are_numpys(gae_lambda):
    reward, value, next_value = RNG.normal(size=(3, 32, 2))
    terminated = RNG.random((32, 2)) < 0.15
    truncated = ~terminated & (RNG.random((32, 2)) < 0.15)
    assert terminated.any()
    assert truncated.any()
    ours = advantages(*map(jnp.asarray, (reward, value, next_value, terminated, truncated)), 0.9, gae_lambda)
    for i in range(2):
        columns = [array[:, i] for array in (reward, value, next_value, terminated, truncated)]
        np.testing.assert_allclose(ours[:, i], numpy_advantages(*columns, 0.9, gae_lambda), rtol=1e-4, atol=1e-5)


def test_values_of_what_steps_led_to_are_those_of_the_observations_themselves():
    env, params = gymnax.make("Pendulum-v1")
    environment = environments.adapt(env, params.replace(max_steps_in_episode=5))
    distribution = distributions.of(environment)
    actors = start(environment, jax.random.key(0), 3)
    policy = lambda observations: jnp.zeros((2, len(observations)))  # noqa: E731
    _, rollout = collect(environment, distribution, policy, jax.random.key(1), actors, 0.9, 17)
    assert rollout.truncated.sum() == 9
    critic = lambda observations: jnp.sin(observations).sum(-1)  # noqa: E731
    value, next_value = values(critic, rollout, environment.max_steps)
    np.testing.assert_allclose(value, critic(rollout.observation), rtol=1e-6)
    np.testing.assert_allclose(next_value, critic(rollout.next_observation), rtol=1e-6)


@pytest.mark.parametrize("clip_range", [0.0, 0.2])
def test_policy_loss_is_numpys(clip_range):
    new, old, advantage = RNG.normal(size=(3, 64)) * 0.3
    ratio = np.exp(new - old)
    losses = [
        -min(r * a, min(max(r, 1 - clip_range), 1 + clip_range) * a) for r, a in zip(ratio, advantage, strict=True)
    ]
    np.testing.assert_allclose(policy_loss(new, old, jnp.asarray(advantage), clip_range), np.mean(losses), rtol=1e-5)


def test_value_loss_is_numpys_and_an_infinite_clip_is_none():
    new, old, target = RNG.normal(size=(3, 64))
    losses = []
    for v, o, t in zip(new, old, target, strict=True):
        clipped = o + min(max(v - o, -0.2), 0.2)
        losses.append(0.5 * max((v - t) ** 2, (clipped - t) ** 2))
    np.testing.assert_allclose(value_loss(new, old, target, 0.2), np.mean(losses), rtol=1e-5)
    plain = value_loss(new, old, target, None)
    np.testing.assert_allclose(plain, 0.5 * np.mean((new - target) ** 2), rtol=1e-5)
    np.testing.assert_allclose(value_loss(new, old, target, jnp.inf), plain, rtol=1e-6)


def test_adam_and_the_clipped_norm_are_those_of_the_papers():
    params = RNG.normal(size=7)
    adam = Adam.of(jnp.asarray(params, jnp.float32))
    mean = square = np.zeros(7)
    for t, scale in enumerate((0.01, 3.0, 1.0), start=1):  # below and above the norm
        gradient = scale * RNG.normal(size=7)
        adam = adam.step(jnp.asarray(gradient, jnp.float32), jnp.float32(1e-2), jnp.float32(0.5))
        gradient = gradient * min(1.0, 0.5 / np.linalg.norm(gradient))
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        params = params - 1e-2 * mean / (1 - 0.9**t) / (np.sqrt(square / (1 - 0.999**t)) + 1e-5)
        np.testing.assert_allclose(adam.params, params, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("num_actions", [2, 5])
def test_categorical_is_numpys(num_actions):
    family = distributions.categorical(num_actions)
    logits = jnp.asarray(RNG.normal(size=(num_actions, 1)), jnp.float32)
    probs = np.exp(logits[:, 0]) / np.exp(logits).sum()
    samples = family.sample(logits, family.noise(jax.random.key(0), (num_actions, 20_000)))[0]
    frequencies = np.bincount(np.asarray(samples, int), minlength=num_actions) / 20_000
    # Five standard deviations of a frequency of 20,000 draws.
    np.testing.assert_array_less(abs(frequencies - probs), 5 * np.sqrt(0.25 / 20_000))
    assert family.sample(logits, 0.0) == np.argmax(logits)
    for action in range(num_actions):
        log_prob = family.log_prob(logits, jnp.array([[float(action)]]))
        np.testing.assert_allclose(log_prob, np.log(probs[action : action + 1]), rtol=1e-5)
    np.testing.assert_allclose(family.entropy(logits)[0], -(probs * np.log(probs)).sum(), rtol=1e-5)


def test_normal_is_numpys():
    family = distributions.normal((-2.0, 0.0), (2.0, 1.0))
    mean, log_std, action = np.array([0.3, -0.2]), np.array([0.1, -0.5]), np.array([0.7, 0.1])
    outputs = jnp.concatenate([mean, log_std])
    density = np.exp(-((action - mean) ** 2) / (2 * np.exp(2 * log_std))) / np.sqrt(2 * np.pi * np.exp(2 * log_std))
    np.testing.assert_allclose(family.log_prob(outputs, jnp.asarray(action)), np.log(density).sum(), rtol=1e-5)
    entropy = 0.5 * np.log(2 * np.pi * np.e * np.exp(2 * log_std)).sum()
    np.testing.assert_allclose(family.entropy(outputs), entropy, rtol=1e-5)
    samples = family.sample(outputs[:, None], family.noise(jax.random.key(0), (2, 20_000)))
    np.testing.assert_allclose(samples.mean(1), mean, atol=5 * 1.2 / np.sqrt(20_000))
    np.testing.assert_allclose(samples.std(1), np.exp(log_std), rtol=5 / np.sqrt(2 * 20_000))
    np.testing.assert_allclose(family.to_environment(jnp.array([3.0, 0.0])), [2.0, 0.5])


def test_moments_are_numpys():
    batches = RNG.normal(2.0, 3.0, size=(3, 8, 4, 2)).astype(np.float32)
    moments = Moments.of_nothing((2,))
    for batch in batches:
        moments = moments.add(jnp.asarray(batch))
    np.testing.assert_allclose(moments.mean, batches.reshape(-1, 2).mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, batches.reshape(-1, 2).var(0), rtol=1e-5)


def test_the_halves_are_actor_and_critic():
    params = networks.init(jax.random.key(0), (10, 10, 4), 3, 2, 16)
    images = jnp.asarray(RNG.random((5, 10, 10, 4)), jnp.float32)
    outputs, values = networks.policy_and_value(params, images)
    assert outputs.shape == (5, 5)  # three means and two logarithms of standard deviations
    actor, critic = networks.half(params, "actor"), networks.half(params, "critic")
    np.testing.assert_allclose(networks.policy(actor, images), outputs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(networks.value(critic, images), values, rtol=1e-5, atol=1e-6)
    for index, result in ((0, outputs[:3]), (1, values[None])):
        filters = params["filters"][index].reshape(3, 3, 4, 16)
        dimensions = ("NHWC", "HWIO", "NHWC")
        convolved = jax.lax.conv_general_dilated(images, filters, (1, 1), "VALID", dimension_numbers=dimensions)
        hidden = jax.nn.relu(convolved).reshape(5, -1)
        for layer in ("first", "second"):
            hidden = np.tanh(hidden @ params[layer][index])
        expected = (hidden @ params["heads"][index].T).T
        np.testing.assert_allclose(result, expected[: len(result)], rtol=1e-3, atol=1e-4)


def test_weights_start_orthogonal():
    params = networks.init(jax.random.key(0), (4,), 2, 0, 64)
    for tower in range(2):
        np.testing.assert_allclose(params["first"][tower] @ params["first"][tower].T, 2 * np.eye(4), atol=1e-5)
        np.testing.assert_allclose(params["second"][tower] @ params["second"][tower].T, 2 * np.eye(64), atol=1e-5)
    np.testing.assert_allclose(params["heads"][0] @ params["heads"][0].T, 1e-4 * np.eye(2), atol=1e-8)
    np.testing.assert_allclose(np.linalg.norm(params["heads"][1], axis=1), [1.0, 0.0], atol=1e-6)
    assert not np.allclose(params["second"][0], params["second"][1])


def test_the_tangent_is_numpys_to_1e_4():
    x = np.linspace(-20, 20, 10_001, dtype=np.float32)
    np.testing.assert_allclose(networks.tanh(jnp.asarray(x)), np.tanh(x), atol=1e-4)
    slopes = jax.vmap(jax.grad(networks.tanh))(jnp.asarray(x))
    np.testing.assert_allclose(slopes, 1 - np.tanh(x) ** 2, atol=2e-4)


def test_the_heads_gradient_is_jaxs():
    hidden = jnp.asarray(RNG.normal(size=(2, 7, 5)), jnp.float32)
    weights = jnp.asarray(RNG.normal(size=(2, 3, 5)), jnp.float32)

    def plain(hidden, weights):
        return jnp.einsum("hnk,hok->hon", hidden, weights)

    outputs, pullback = jax.vjp(networks.heads, hidden, weights)
    expected, expected_pullback = jax.vjp(plain, hidden, weights)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    for ours, theirs in zip(pullback(jnp.cos(outputs)), expected_pullback(jnp.cos(outputs)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def some_batch(size, num_features=3):
    def rows(*shape):
        return jnp.asarray(RNG.normal(size=(size, *shape)), jnp.float32)

    return Batch(rows(num_features), rows(1), rows(), rows(), rows(), rows())


def test_shuffle_keeps_rows_whole_and_complete():
    batch = some_batch(24)._replace(value=jnp.arange(24.0), observation=jnp.arange(24.0 * 4).reshape(24, 2, 2))
    shuffled = shuffle(jax.random.key(0), batch, 3, 4)
    assert shuffled.observation.shape == (3, 4, 6, 2, 2)
    for epoch in range(3):
        order = np.asarray(shuffled.value[epoch].reshape(-1), int)
        assert sorted(order) == list(range(24))
        assert list(order) != list(range(24))
        np.testing.assert_array_equal(shuffled.observation[epoch].reshape(24, 2, 2), batch.observation[order])
        np.testing.assert_array_equal(shuffled.target[epoch].reshape(24), batch.target[order])
    assert not np.array_equal(shuffled.value[0], shuffled.value[1])


@pytest.mark.parametrize("minibatch_size", [8, 16, 32])
def test_accumulated_minibatches_are_real_ones(minibatch_size):
    def gradient(params, part):
        def loss(params):
            return jnp.mean(
                part.advantage * (part.observation @ params) + (part.observation @ params - part.target) ** 2
            )

        return jax.grad(loss)(params)

    epoch = some_batch(64)
    batch = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf[::-1]]), epoch)
    adam, rate = Adam.of(jnp.ones(3)), jnp.float32(0.01)
    hyper = Hyperparameters(max_grad_norm=0.3, minibatch_size=jnp.int32(minibatch_size))
    accumulated = update(adam, gradient, in_parts(batch, 8), rate, hyper)
    real = update(adam, gradient, in_parts(batch, 64 // minibatch_size), rate, hyper._replace(minibatch_size=None))
    [count] = [leaf for leaf in jax.tree.leaves(accumulated.state) if leaf.dtype == jnp.int32]
    assert count == 2 * 64 // minibatch_size
    np.testing.assert_allclose(accumulated.params, real.params, rtol=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7), accumulated.state, real.state)


def in_parts(batch, num_parts):
    return jax.tree.map(lambda leaf: leaf.reshape(2, num_parts, -1, *leaf.shape[1:]), batch)


def test_advantages_are_normalised_within_the_true_minibatch():
    advantage = RNG.normal(3.0, 2.0, size=(2, 4, 8)).astype(np.float32)
    for num_accumulated in (1, 2, 4):
        groups = advantage.reshape(2, 4 // num_accumulated, -1)
        expected = (groups - groups.mean(-1, keepdims=True)) / groups.std(-1, keepdims=True)
        ours = normalize_advantages(jnp.asarray(advantage), jnp.int32(num_accumulated))
        np.testing.assert_allclose(ours.reshape(groups.shape), expected, rtol=1e-4, atol=1e-5)


def test_cartpole_steps_as_gymnasiums_to_the_time_limit():
    ours = environments.make("CartPole-v1")
    theirs = gymnasium.make("CartPole-v1")
    step = jax.jit(ours.step)
    ends = set()
    for seed, balance in enumerate([False, False, True]):
        theirs.reset(seed=seed)
        observation, state = ours.reset(jax.random.key(seed))
        theirs.unwrapped.state = np.asarray(observation, np.float64)
        for t in range(501):
            x, speed, angle, spin = np.asarray(observation)
            # A linear controller keeps the pole up for as long as there is time.
            action = int(0.1 * x + 0.3 * speed + 3 * angle + spin > 0) if balance else int(t % 5 > 1)
            expected = theirs.step(action)
            transition = step(jax.random.key(0), state, jnp.int32(action))
            np.testing.assert_allclose(transition.observation, expected[0], rtol=1e-3, atol=1e-4)
            assert float(transition.reward) == expected[1]
            assert (bool(transition.terminated), bool(transition.truncated)) == expected[2:4], t
            # The states are set equal at every step: what is compared is one step, not the chaos of 500.
            observation, state = transition.observation, transition.state
            theirs.unwrapped.state = np.asarray(observation, np.float64)
            if expected[2] or expected[3]:
                ends.add("terminated" if expected[2] else "truncated")
                break
    assert ends == {"terminated", "truncated"}


def test_a_rollout_goes_on_from_a_fresh_state_and_keeps_the_last_observation():
    environment = environments.make("CartPole-v1")
    family = distributions.of(environment)
    actors = start(environment, jax.random.key(0), 3)
    rollout = jax.jit(
        lambda: collect(environment, family, push_right, jax.random.key(1), actors, jnp.float32(0.9), 40)[1]
    )()
    steps, envs = np.nonzero(rollout.done[:-1])
    assert len(steps) > 3
    assert (abs(rollout.observation[steps + 1, envs]) <= 0.05).all()  # drawn by reset
    assert (abs(rollout.next_observation[steps, envs, 2]) > 0.2).all()  # the angle at which an episode ends
    assert len(np.unique(rollout.observation[steps + 1, envs, 0])) == len(steps)
    going = ~np.asarray(rollout.done[:-1])
    np.testing.assert_array_equal(rollout.observation[1:][going], rollout.next_observation[:-1][going])
    for env in range(3):
        ends = np.nonzero(rollout.done[:, env])[0]
        lengths = np.diff(np.concatenate([[-1], ends]))
        np.testing.assert_array_equal(rollout.finished_return[ends, env], lengths)
        discounted = sum(0.9**i for i in range(lengths[0]))
        np.testing.assert_allclose(rollout.discounted_return[ends[0], env], discounted, rtol=1e-5)


def push_right(observations):
    return jnp.broadcast_to(jnp.array([[-50.0], [50.0]]), (2, observations.shape[0]))


def test_greedy_returns_count_one_episode_each():
    environment = environments.make("CartPole-v1")
    returns = greedy_returns(environment, distributions.of(environment), push_right, jax.random.key(0), 20)
    assert returns.min() >= 8
    assert returns.max() <= 11  # pushing one way always, the pole falls within 8 to 11 steps
    mountain = environments.make("MountainCar-v0")

    def stay(observations):
        return jnp.broadcast_to(jnp.array([[0.0], [1.0], [0.0]]), (3, observations.shape[0]))

    np.testing.assert_array_equal(
        greedy_returns(mountain, distributions.of(mountain), stay, jax.random.key(0), 2), [-200.0, -200.0]
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_environment_steps_and_ends_at_its_limit(name):
    environment = environments.make(name)
    family = distributions.of(environment)
    observation, state = environment.reset(jax.random.key(0))
    assert observation.shape == environment.observation_shape
    noise = family.noise(jax.random.key(1), (family.num_means,))
    action = family.sample(jnp.zeros(family.num_means + family.num_log_stds), noise)
    state = state.replace(time=environment.max_steps - 1)
    step = environment.step(jax.random.key(2), state, family.to_environment(action))
    assert bool(step.truncated)
    assert not bool(step.terminated)
    assert np.isfinite(step.observation).all()
    again, reset_state = reset_where_done(step, environment.reset(jax.random.key(3)))
    assert int(reset_state.time) == 0
    np.testing.assert_array_equal(again, environment.reset(jax.random.key(3))[0])
