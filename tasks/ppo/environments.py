"""Gymnax environments as the trainer sees them: pure ``reset`` and ``step``, and what they need of a policy.

The trainer resets an environment itself, from states that are drawn once per rollout: gymnax's own
``step`` draws a fresh state at every step and hides where an episode ended.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.text import check_choice

if TYPE_CHECKING:
    from gymnax.environments.environment import Environment as GymnaxEnvironment

NAMES = (
    "CartPole-v1",
    "Acrobot-v1",
    "MountainCar-v0",
    "Pendulum-v1",
    "MountainCarContinuous-v0",
    "Asterix-MinAtar",
    "Breakout-MinAtar",
    "Freeway-MinAtar",
    "Seaquest-MinAtar",
    "SpaceInvaders-MinAtar",
)
# Where observations or rewards are far from unit scale, PPO needs them normalised.
_NORMALIZED = ("Acrobot-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0")


class Transition(NamedTuple):
    """What one step gives; ``observation`` is the one that the step led to, even where the episode ended.

    Attributes:
        terminated: bool[], the episode ended by itself: nothing follows.
        truncated: bool[], it ended by its time limit alone: its value must be bootstrapped.
    """

    observation: Array
    state: Any
    reward: Array
    terminated: Array
    truncated: Array


class Environment(NamedTuple):
    """One environment, hashable, so that it can be static under ``jit``.

    Attributes:
        reset: ``reset(key) -> (observation, state)``.
        step: ``step(key, state, action) -> Transition``; never resets.
        num_actions: how many discrete actions; 0 where the action is a vector.
        action_low, action_high: the bounds of each component of the action, empty where it is discrete.
        max_steps: the time limit of an episode.
        normalize: whether observations and rewards are normalised by their running moments.
    """

    name: str
    reset: Callable[[Array], tuple[Array, Any]]
    step: Callable[[Array, Any, Array], Transition]
    observation_shape: tuple[int, ...]
    num_actions: int
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    max_steps: int
    normalize: bool


def adapt(env: "GymnaxEnvironment", params: Any, *, normalize: bool = False) -> Environment:
    """A gymnax environment under its parameters as an :class:`Environment`.

    Raises ``ValueError`` where the observation or the action is neither a Box nor (the action) Discrete.
    """
    from gymnax.environments import spaces  # importing gymnax starts JAX, which processes have to be joined before

    observations, actions = env.observation_space(params), env.action_space(params)
    if not isinstance(observations, spaces.Box) or not isinstance(actions, spaces.Box | spaces.Discrete):
        raise ValueError(
            f"env must have a Box observation and a Discrete or Box action, got {env.name!r} "
            f"with {type(observations).__name__} and {type(actions).__name__}"
        )
    is_box = isinstance(actions, spaces.Box)

    def bounds(bound: Any) -> tuple[float, ...]:
        return tuple(np.broadcast_to(bound, actions.shape).ravel().tolist()) if is_box else ()

    def reset(key: Array) -> tuple[Array, Any]:
        observation, state = env.reset_env(key, params)
        return observation.astype(jnp.float32), state

    def step(key: Array, state: Any, action: Array) -> Transition:
        observation, state, reward, terminated, _ = env.step_env(key, state, action, params)
        terminated = jnp.asarray(terminated, bool)
        truncated = env.is_truncated(state, params) & ~terminated
        reward = jnp.asarray(reward, jnp.float32)
        return Transition(observation.astype(jnp.float32), state, reward, terminated, truncated)

    return Environment(
        name=env.name,
        reset=reset,
        step=step,
        observation_shape=tuple(observations.shape),
        num_actions=0 if is_box else int(actions.n),
        action_low=bounds(getattr(actions, "low", 0.0)),
        action_high=bounds(getattr(actions, "high", 0.0)),
        max_steps=int(params.max_steps_in_episode),
        normalize=normalize,
    )


@lru_cache
def make(name: str) -> Environment:
    """The environment of that name; the same object at every call, so that equal tasks compile once."""
    check_choice("env", name, NAMES)
    import gymnax

    env, params = gymnax.make(name)
    return adapt(env, params, normalize=name in _NORMALIZED)


def reset_where_done(transition: Transition, fresh: tuple[Array, Any]) -> tuple[Array, Any]:
    """The observation and state to go on from: those reached, or the ``fresh`` ones where the episode ended."""
    done = transition.terminated | transition.truncated
    reached = (transition.observation, transition.state)
    return jax.tree.map(lambda new, old: jnp.where(done, new, old), fresh, reached)
