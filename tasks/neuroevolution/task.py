"""Neuroevolution: the genes are the weights of a policy, its value the return of the episodes that it plays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxga import Evaluation, Objective, run_defaults, single_precision
from jaxga.checks import check_count
from jaxga.tasks.neuroevolution.space import WeightSpace
from jaxga.tasks.ppo import distributions, environments
from jaxga.tasks.ppo.environments import Environment
from jaxga.tasks.ppo.rollout import greedy_episodes

_STATIC = ("space", "objective", "environment", "hidden_sizes", "num_episodes")


@partial(jax.tree_util.register_dataclass, data_fields=(), meta_fields=_STATIC)
@dataclass(frozen=True)
class Neuroevolution:
    """A policy's weights under evolution; build it with :func:`neuroevolution`."""

    space: WeightSpace
    objective: Objective
    environment: Environment
    hidden_sizes: tuple[int, ...]
    num_episodes: int

    @single_precision
    def evaluate(self, key: Array, setting: dict[str, Array]) -> Evaluation:
        """Play with ``setting["weights"]`` f32[D]; NaN where a weight is not finite.

        The metrics: ``return std``, the standard deviation over the episodes, and ``episode length``, their mean
        length. The model is the network's parameters, as :meth:`act` takes them.
        """
        model = self.parameters(setting["weights"])
        distribution = distributions.of(self.environment)
        policy = partial(self._policy, model)
        episodes = greedy_episodes(self.environment, distribution, policy, key, self.num_episodes)
        metrics = {"return std": episodes.total.std(), "episode length": episodes.length.mean(dtype=jnp.float32)}
        is_finite = jnp.isfinite(setting["weights"].sum())
        return Evaluation(jnp.where(is_finite, episodes.total.mean(), jnp.nan), metrics, model)

    @single_precision
    def act(self, model: Any, observation: Array) -> Array:
        """The action of a ``model`` for one observation; both as the environment knows them."""
        distribution = distributions.of(self.environment)
        action = distribution.sample(self._policy(model, observation[None]), 0.0)
        return distribution.to_environment(action[:, 0])

    @property
    def network(self) -> nn.Module:
        """Observations f32[N, ...] to outputs f32[N, O]: tanh layers and a linear one."""
        hidden = [layer for size in self.hidden_sizes for layer in (nn.Dense(size), nn.tanh)]
        return nn.Sequential([*hidden, nn.Dense(distributions.of(self.environment).num_means)])

    def parameters(self, weights: Array) -> Any:
        """Weights f32[D] as the parameters of :attr:`network`, those of a layer in units of ``1 / sqrt(inputs)``."""
        shapes = _shapes(self.network, self.environment)
        unit = ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes))[1]
        layers = unit(weights)["params"]
        scaled = {
            name: jax.tree.map(lambda leaf, inputs=layer["kernel"].shape[0]: leaf / math.sqrt(inputs), layer)
            for name, layer in layers.items()
        }
        return {"params": scaled}

    def _policy(self, model: Any, observations: Array) -> Array:
        """The outputs f32[O, N] for observations f32[N, ...]; those that only chance would read are zeros."""
        outputs: Any = self.network.apply(model, observations.reshape(observations.shape[0], -1))
        num_log_stds = distributions.of(self.environment).num_log_stds
        return jnp.concatenate([outputs.T, jnp.zeros((num_log_stds, observations.shape[0]))])


def _shapes(network: nn.Module, environment: Environment) -> Any:
    inputs = jnp.zeros((1, math.prod(environment.observation_shape)))
    return jax.eval_shape(network.init, jax.random.key(0), inputs)


@run_defaults(population_size=256, num_generations=50, num_fresh=64, is_heavy=False, algorithm="truncation_ga")
def neuroevolution(
    env: str | Environment = "CartPole-v1",
    *,
    hidden_sizes: Sequence[int] = (32, 32),
    num_steps: int | None = None,
    num_episodes: int = 4,
    reach: float = 6.0,
) -> Neuroevolution:
    """The weights of a policy on a gymnax environment, evolved without a gradient.

    It is a task for ``truncation_ga`` and evolution strategies; a surrogate suits tens of genes, not thousands.

    Args:
        env: one of ``jaxga.tasks.ppo.NAMES``, or an adapted environment; a grid of MinAtar is flattened.
        hidden_sizes: the width of each hidden layer, at least 1 each; empty for a linear policy.
        num_steps: of an episode at most; by default the environment's own limit.
        num_episodes: episodes of a member, their mean return is its value.
        reach: the largest weight, in units of ``1 / sqrt(inputs)`` of its layer.

    Raises ``ValueError`` where a value is not allowed.

    >>> neuroevolution("CartPole-v1").space.size
    1282

    Source: F. P. Such et al., "Deep neuroevolution: genetic algorithms are a competitive alternative for training deep
    neural networks for reinforcement learning", 2018.
    """
    environment = env if isinstance(env, Environment) else environments.make(env)
    if isinstance(hidden_sizes, str) or not isinstance(hidden_sizes, Sequence):
        raise ValueError(f"neuroevolution: hidden_sizes must be a list or tuple of numbers, got {hidden_sizes!r}")
    for size in hidden_sizes:
        check_count("neuroevolution: hidden_sizes", size, 1)
    check_count("neuroevolution: num_episodes", num_episodes, 1)
    if num_steps is not None:
        check_count("neuroevolution: num_steps", num_steps, 1, environment.max_steps)
        environment = environment._replace(max_steps=num_steps)
    objective = Objective("mean return", "max")
    task = Neuroevolution(WeightSpace(1, reach), objective, environment, tuple(hidden_sizes), num_episodes)
    num_weights = sum(leaf.size for leaf in jax.tree.leaves(_shapes(task.network, environment)))
    return Neuroevolution(WeightSpace(num_weights, reach), objective, environment, task.hidden_sizes, num_episodes)
