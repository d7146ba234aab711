"""Searches for a policy's weights, each method with the same number of episodes; and PPO."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

import jaxga
from jaxga.loop import as_keys
from jaxga.operators.genes import reflect
from jaxga.tasks.neuroevolution import Neuroevolution, neuroevolution
from jaxga.tasks.ppo import ppo

# Options of evosax's methods: the step of truncation_ga; of the strategies the best of a few that were tried.
METHODS: dict[str, dict[str, float]] = {
    "truncation_ga": {},
    "evosax_simple_ga": {"std": 0.03, "crossover_rate": 0.0},
    "evosax_open_es": {"std": 0.05, "learning_rate": 0.03},
    "evosax_sep_cma_es": {"initial_std": 0.1},
    "random_search": {},
}
PPO = "ppo"
_NUM_FRESH = 64
# Environment steps and epochs with which its defaults are known to solve each (benchmarks/README.md); and MinAtar's.
_PPO_SIZES = {"CartPole-v1": (100_000, 4), "Acrobot-v1": (100_000, 4), "Pendulum-v1": (200_000, 10)}
_PPO_OTHER_SIZES = (500_000, 4)


class Setup(NamedTuple):
    """How much of what is searched: members, generations and the policy's hidden layers."""

    env: str
    population_size: int
    num_generations: int
    hidden_sizes: tuple[int, ...] = (32, 32)
    num_episodes: int = 4
    num_steps: int | None = None


class Row(NamedTuple):
    """A method on an environment, over S searches.

    Attributes:
        frames: of one search, the steps until the ends of its episodes; the mean over the searches.
        seconds: of one search, all that it compiles left out.
        forward, backward: passes of one observation through one network.
        fresh: the winners' mean returns under fresh seeds, one a search.
        curve: after each generation, frames and the return of the setting believed best; the means over the searches.
    """

    env: str
    method: str
    num_weights: int
    frames: float
    seconds: float
    forward: float
    backward: float
    fresh: list[float]
    curve: list[tuple[float, float]]


def evolve(setup: Setup, method: str, num_searches: int) -> Row:
    """``num_searches`` searches, an even number: half of them compile the program, the others are timed."""
    task = neuroevolution(
        setup.env, hidden_sizes=setup.hidden_sizes, num_steps=setup.num_steps, num_episodes=setup.num_episodes
    )
    search = partial(
        jaxga.optimize_many,
        task,
        algorithm=partial(jaxga.ALGORITHMS[method], **METHODS[method]),
        population_size=setup.population_size,
        num_generations=setup.num_generations,
        num_fresh=_NUM_FRESH,
        keep_model="none",
    )
    halves, seconds = _timed_halves(lambda keys: search(keys=keys), num_searches)
    results = [result for half in halves for result in half]
    columns = [result.history.columns for result in results]
    lengths = np.array([c["episode length"].reshape(setup.num_generations, -1).sum(1) for c in columns])
    frames = np.cumsum(lengths * setup.num_episodes, axis=1).mean(0)
    believed = np.mean([result.history.estimates for result in results], axis=0)
    return Row(
        env=setup.env,
        method=method,
        num_weights=task.space.size,
        frames=float(frames[-1]),
        seconds=seconds,
        forward=float(frames[-1]),
        backward=0.0,
        fresh=[_fresh(task, result) for result in results],
        curve=list(zip(frames.tolist(), believed.tolist(), strict=True)),
    )


def _fresh(task: Neuroevolution, result: jaxga.Result) -> float:
    """The mean return under fresh seeds: of the winner, of a strategy with a distribution of the distribution's mean.

    The best sample of a distribution was lucky most of all; its mean is what such a strategy gives.
    """
    assert result.state is not None
    mean = getattr(getattr(result.state.algorithm, "strategy", None), "mean", None)
    if mean is None:
        return result.fresh_value
    keys = jax.random.split(jax.random.key(1), _NUM_FRESH)
    setting = task.space.decode(reflect(mean))
    return float(_evaluate(task, keys, setting).mean())


@jax.jit
def _evaluate(task: Neuroevolution, keys: Array, setting: dict[str, Array]) -> Array:
    return jax.vmap(lambda key: task.evaluate(key, setting).value)(keys)


def train_ppo(env: str, num_agents: int, num_steps: int | None = None) -> Row:
    """PPO with its preset for the environment; an even number of agents, half of them side by side."""
    own_steps, num_epochs = _PPO_SIZES.get(env, _PPO_OTHER_SIZES)
    task = ppo(env, num_steps=num_steps or own_steps, num_epochs=num_epochs, num_episodes=_NUM_FRESH)
    train = jax.jit(lambda task, keys: jax.vmap(lambda key: task.evaluate(key, {}))(keys))
    halves, seconds = _timed_halves(lambda keys: jax.device_get(train(task, as_keys(keys))), num_agents)
    curves = np.concatenate([half.metrics["curve"] for half in halves])
    frames = task.num_rollouts * task.num_envs * task.rollout_length
    places = (np.arange(task.curve_size) + 1) / task.curve_size * frames
    return Row(
        env=env,
        method=PPO,
        num_weights=sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(task._init, jax.random.key(0)))),
        frames=frames,
        seconds=seconds,
        # Both of its networks see a frame in the rollout, and in every epoch.
        forward=frames * 2.0 * (1 + num_epochs),
        backward=frames * 2.0 * num_epochs,
        fresh=np.concatenate([half.value for half in halves]).tolist(),
        curve=list(zip(places.tolist(), curves.mean(0).tolist(), strict=True)),
    )


def _timed_halves(run: Callable[[list[int]], Any], num: int) -> tuple[list[Any], float]:
    """What ``run`` gives for the first and the second half of the keys, and seconds a key of the second call."""
    half = num // 2
    first = run(list(range(half)))
    began = time.perf_counter()
    second = run(list(range(half, num)))
    return [first, second], (time.perf_counter() - began) / half
