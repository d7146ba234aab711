"""Collecting experience with the policy, and the advantages of what it did.

Sources: Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage
Estimation", 2016; Pardo et al., "Time Limits in Reinforcement Learning", 2018.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.tasks.ppo.distributions import Distribution
from jaxga.tasks.ppo.environments import Environment, reset_where_done


class Moments(NamedTuple):
    """Running mean and variance of ``size`` rows."""

    mean: Array
    variance: Array
    size: Array

    @classmethod
    def of_nothing(cls, shape: tuple[int, ...]) -> "Moments":
        return cls(jnp.zeros(shape), jnp.ones(shape), jnp.zeros(()))

    def add(self, batch: Array) -> "Moments":
        """The moments with a batch f32[T, E, ...] added (Chan, Golub and LeVeque, "Updating Formulae", 1979)."""
        added = batch.shape[0] * batch.shape[1]
        mean, variance = batch.mean((0, 1)), batch.var((0, 1))
        size = self.size + added
        weight = added / size
        step = mean - self.mean
        spread = (1 - weight) * self.variance + weight * variance + weight * (1 - weight) * step**2
        return Moments(self.mean + weight * step, spread, size)

    def normalize(self, values: Array) -> Array:
        mean, variance = (jnp.broadcast_to(moment, values.shape) for moment in (self.mean, self.variance))
        return jnp.clip((values - mean) / jnp.sqrt(variance + 1e-8), -10.0, 10.0)


class Actors(NamedTuple):
    """The present states of E environments: what one rollout passes to the next."""

    observation: Array
    state: Any
    episode_return: Array
    discounted_return: Array


class Rollout(NamedTuple):
    """T steps of E environments, each array [T, E, ...].

    Attributes:
        observation: what the action was chosen from.
        log_prob: of the action, under the policy that took it.
        next_observation: where it led to, the last one of its episode included.
        discounted_return: of the episode so far; its standard deviation is the scale of the rewards.
        finished_return: the return of the episode that this step ended, 0 where it ended none.
    """

    observation: Array
    action: Array
    log_prob: Array
    reward: Array
    next_observation: Array
    terminated: Array
    truncated: Array
    discounted_return: Array
    finished_return: Array

    @property
    def done(self) -> Array:
        return self.terminated | self.truncated


def start(environment: Environment, key: Array, num_envs: int) -> Actors:
    """E environments at the start of an episode."""
    observation, state = jax.vmap(environment.reset)(jax.random.split(key, num_envs))
    return Actors(observation, state, jnp.zeros(num_envs), jnp.zeros(num_envs))


def collect(
    environment: Environment,
    distribution: Distribution,
    policy: Callable[[Array], Array],
    key: Array,
    actors: Actors,
    gamma: Array | float,
    length: int,
) -> tuple[Actors, Rollout]:
    """``length`` steps of every environment; ``policy`` gives outputs f32[O, E] of observations f32[E, ...].

    All random numbers are drawn before the first step: the noise of the actions, and for every step
    the state from which the next episode starts if this one ends there.
    """
    num_envs = actors.episode_return.shape[0]
    key_noise, key_fresh, key_step = jax.random.split(key, 3)
    shape = (length, num_envs)
    noise = distribution.noise(key_noise, (length, distribution.num_means, num_envs))
    fresh = jax.vmap(jax.vmap(environment.reset))(jax.random.split(key_fresh, shape))
    keys_step = jax.random.split(key_step, shape)

    def advance(actors: Actors, drawn: Any) -> tuple[Actors, Rollout]:
        noise, fresh, keys = drawn
        outputs = policy(actors.observation)
        action = distribution.sample(outputs, noise)
        transition = jax.vmap(environment.step)(keys, actors.state, jax.vmap(distribution.to_environment, 1)(action))
        done = transition.terminated | transition.truncated
        observation, state = jax.vmap(reset_where_done)(transition, fresh)
        episode_return = actors.episode_return + transition.reward
        discounted_return = actors.discounted_return * gamma + transition.reward
        rollout = Rollout(
            observation=actors.observation,
            action=action.T,
            log_prob=distribution.log_prob(outputs, action),
            reward=transition.reward,
            next_observation=transition.observation,
            terminated=transition.terminated,
            truncated=transition.truncated,
            discounted_return=discounted_return,
            finished_return=jnp.where(done, episode_return, 0.0),
        )
        keep = 1.0 - done
        return Actors(observation, state, episode_return * keep, discounted_return * keep), rollout

    return jax.lax.scan(advance, actors, (noise, fresh, keys_step))


def values(critic: Callable[[Array], Array], rollout: Rollout, max_steps: int) -> tuple[Array, Array]:
    """The values f32[T, E] of every observation, and f32[T, E] of every observation that a step led to.

    A step leads to the observation of the next step, so both values come from one call of ``critic`` (f32[N, ...] to
    f32[N]). At the end of the rollout and of a truncated episode the next observation is another one: these are added
    to the call. One environment has at most T / ``max_steps``, rounded up, truncated episodes. Where an episode
    terminated, the second value must not be used.
    """
    length, num_envs = rollout.truncated.shape
    ends = rollout.truncated.at[-1].set(True)
    # Where there are fewer ends, top_k adds other steps; their second value is computed again and is the same.
    steps = jax.lax.top_k(ends.T.astype(jnp.float32), min(length, 1 + -(-length // max_steps)))[1].T
    last = rollout.next_observation[steps, jnp.arange(num_envs)]
    shape = rollout.observation.shape[2:]
    both = critic(jnp.concatenate([rollout.observation.reshape(-1, *shape), last.reshape(-1, *shape)]))
    value, last_value = jnp.split(both, [length * num_envs])
    value = value.reshape(length, num_envs)
    following = jnp.roll(value, -1, axis=0)
    return value, following.at[steps, jnp.arange(num_envs)].set(last_value.reshape(steps.shape))


def advantages(
    reward: Array,
    value: Array,
    next_value: Array,
    terminated: Array,
    truncated: Array,
    gamma: Array | float,
    gae_lambda: Array | float,
) -> Array:
    """Generalised advantage estimates f32[T, E] of rewards, values and flags [T, E].

    ``next_value`` is the value of the observation that the step led to. Where the episode was truncated it is that of
    the last observation, because a time limit is not a failure.
    """
    delta = reward + gamma * jnp.where(terminated, 0.0, next_value) - value
    decay = gamma * gae_lambda * (1.0 - (terminated | truncated))

    def backward(later: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        delta, decay = step
        advantage = delta + decay * later
        return advantage, advantage

    return jax.lax.scan(backward, jnp.zeros_like(delta[0]), (delta, decay), reverse=True)[1]


class Episodes(NamedTuple):
    """E episodes that begin together.

    Attributes:
        total: f32[E], the return so far.
        length: i32[E], the steps so far.
        alive: bool[E], whether an episode goes on; after its end nothing is added.
    """

    observation: Array
    state: Any
    total: Array
    length: Array
    alive: Array

    @classmethod
    def begin(cls, environment: Environment, key: Array, num: int) -> "Episodes":
        observation, state = jax.vmap(environment.reset)(jax.random.split(key, num))
        return cls(observation, state, jnp.zeros(num), jnp.zeros(num, jnp.int32), jnp.ones(num, bool))

    def step(
        self,
        environment: Environment,
        distribution: Distribution,
        policy: Callable[[Array], Array],
        keys: Array,
    ) -> "Episodes":
        """One step of each with the most probable action, under keys [E]."""
        action = distribution.sample(policy(self.observation), 0.0)
        step = jax.vmap(environment.step)(keys, self.state, jax.vmap(distribution.to_environment, 1)(action))
        return Episodes(
            observation=step.observation,
            state=step.state,
            total=self.total + jnp.where(self.alive, step.reward, 0.0),
            length=self.length + self.alive,
            alive=self.alive & ~(step.terminated | step.truncated),
        )


def greedy_returns(
    environment: Environment,
    distribution: Distribution,
    policy: Callable[[Array], Array],
    key: Array,
    num_episodes: int,
) -> Array:
    """Returns f32[num_episodes], of one episode each with the most probable action at every step."""
    key_reset, key_step = jax.random.split(key)
    keys = jax.random.split(key_step, (environment.max_steps, num_episodes))
    episodes = Episodes.begin(environment, key_reset, num_episodes)
    advance = lambda episodes, keys: (episodes.step(environment, distribution, policy, keys), None)  # noqa: E731
    return jax.lax.scan(advance, episodes, keys)[0].total


def greedy_episodes(
    environment: Environment,
    distribution: Distribution,
    policy: Callable[[Array], Array],
    key: Array,
    num_episodes: int,
) -> Episodes:
    """As :func:`greedy_returns`, of policies whose episodes are short: the loop ends with the last of them.

    Vmapped, it ends with the last episode of all policies. The work of a trained agent's episodes is counted before
    they are played, so that :func:`greedy_returns` has a fixed number of steps.
    """
    key_reset, key_step = jax.random.split(key)

    def advance(carry: tuple[Array, Episodes]) -> tuple[Array, Episodes]:
        time, episodes = carry
        keys = jax.random.split(jax.random.fold_in(key_step, time), num_episodes)
        return time + 1, episodes.step(environment, distribution, policy, keys)

    def goes_on(carry: tuple[Array, Episodes]) -> Array:
        time, episodes = carry
        return (time < environment.max_steps) & episodes.alive.any()

    start = (jnp.int32(0), Episodes.begin(environment, key_reset, num_episodes))
    return jax.lax.while_loop(goes_on, advance, start)[1]
