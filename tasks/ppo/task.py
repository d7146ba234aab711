"""PPO as a task: one agent, trained under one seed and one setting, and scored by its return."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxga import Evaluation, Objective, SearchSpace, run_defaults, single_precision
from jaxga.checks import check_count
from jaxga.tasks.ppo import distributions, environments, networks
from jaxga.tasks.ppo.environments import Environment
from jaxga.tasks.ppo.hyperparameters import MINIBATCH_SIZES, PRESETS, SPACES, Hyperparameters
from jaxga.tasks.ppo.rollout import Actors, Moments, Rollout, advantages, collect, greedy_returns, start, values
from jaxga.tasks.ppo.update import Adam, Batch, loss, shuffle, update
from jaxga.text import check_choice

Search = Literal["default", "full"]
Metric = Literal["return", "area"]

_STATIC = (
    "space", "objective", "environment", "fixed", "num_steps", "num_envs", "rollout_length", "num_epochs",
    "num_minibatches", "metric", "anneal", "hidden_size", "num_episodes", "curve_size",
)  # fmt: skip


class _Progress(NamedTuple):
    """What training carries from one rollout to the next."""

    actors: Actors
    adam: Adam
    observations: Moments
    returns: Moments


@partial(jax.tree_util.register_dataclass, data_fields=(), meta_fields=_STATIC)
@dataclass(frozen=True)
class PPO:
    """Proximal policy optimisation of one agent; build it with :func:`ppo`."""

    space: SearchSpace
    objective: Objective
    environment: Environment
    fixed: Hyperparameters
    num_steps: int
    num_envs: int
    rollout_length: int
    num_epochs: int
    num_minibatches: int
    metric: Metric
    anneal: bool
    hidden_size: int
    num_episodes: int
    curve_size: int

    @property
    def num_rollouts(self) -> int:
        """How many rollouts fit in ``num_steps``, each followed by one update; the remaining steps are not used."""
        return self.num_steps // (self.num_envs * self.rollout_length)

    @single_precision
    def evaluate(self, key: Array, setting: Mapping[str, Array]) -> Evaluation:
        """Train under ``setting`` and score the agent; NaN where its weights did not stay finite.

        The metrics: ``curve`` f32[T], the mean return of the episodes that ended in each of T equal parts of training
        (a part in which none ended repeats the part before); ``mean return`` and ``return std`` of the greedy episodes
        after training; ``area``, the mean of the curve; ``episodes``, the number of episodes that ended in training.
        The model is what :meth:`act` takes.
        """
        hyper = self.fixed._replace(**setting)
        key_train, key_greedy = jax.random.split(key)
        progress, totals, counts = self._train(key_train, hyper)
        model = self._model(progress)
        distribution = distributions.of(self.environment)
        returns = greedy_returns(
            self.environment, distribution, partial(self._policy, model), key_greedy, self.num_episodes
        )
        curve = _curve(totals, counts, self.curve_size)
        metrics = {
            "curve": curve,
            "mean return": returns.mean(),
            "return std": returns.std(),
            "area": curve.mean(),
            "episodes": counts.sum(),
        }
        value = metrics["area"] if self.metric == "area" else metrics["mean return"]
        return Evaluation(jnp.where(jnp.isfinite(progress.adam.params.sum()), value, jnp.nan), metrics, model)

    @single_precision
    def act(self, model: Mapping[str, Any], observation: Array) -> Array:
        """The greedy action of a trained ``model`` for one observation; both as the environment knows them."""
        distribution = distributions.of(self.environment)
        action = distribution.sample(self._policy(model, observation[None]), 0.0)
        return distribution.to_environment(action[:, 0])

    def _model(self, progress: _Progress) -> dict[str, Any]:
        """Actor and critic, and the moments of the observations where they are normalised."""
        params = self._unravel(progress.adam.params)
        moments = {"observations": progress.observations._asdict()} if self.environment.normalize else {}
        return {"actor": networks.half(params, "actor"), "critic": networks.half(params, "critic"), **moments}

    def _policy(self, model: Mapping[str, Any], observations: Array) -> Array:
        """The policy's outputs f32[O, N] for N observations as the environment gives them."""
        return networks.policy(model["actor"], self._normalize(model, observations))

    def _train(self, key: Array, hyper: Hyperparameters) -> tuple[_Progress, Array, Array]:
        """Training, with the sum f32[U] of the returns and the number f32[U] of the episodes ended in each rollout."""
        key_params, key_start, key_rollouts = jax.random.split(key, 3)
        progress = _Progress(
            actors=start(self.environment, key_start, self.num_envs),
            adam=Adam.of(ravel_pytree(self._init(key_params))[0]),
            observations=Moments.of_nothing(self.environment.observation_shape),
            returns=Moments.of_nothing(()),
        )

        def iterate(progress: _Progress, index: Array) -> tuple[_Progress, tuple[Array, Array]]:
            progress, rollout = self._iterate(jax.random.fold_in(key_rollouts, index), progress, index, hyper)
            return progress, (rollout.finished_return.sum(), rollout.done.sum(dtype=jnp.float32))

        progress, (totals, counts) = jax.lax.scan(iterate, progress, jnp.arange(self.num_rollouts))
        return progress, totals, counts

    def _iterate(
        self, key: Array, progress: _Progress, index: Array, hyper: Hyperparameters
    ) -> tuple[_Progress, Rollout]:
        """One rollout, and the update from it."""
        key_collect, key_shuffle = jax.random.split(key)
        distribution = distributions.of(self.environment)
        model = self._model(progress)
        policy = partial(self._policy, model)
        actors, rollout = collect(
            self.environment, distribution, policy, key_collect, progress.actors, hyper.gamma, self.rollout_length
        )
        returns, reward = progress.returns, rollout.reward
        if self.environment.normalize:
            returns = returns.add(rollout.discounted_return)
            reward = jnp.clip(reward / jnp.sqrt(returns.variance + 1e-8), -10.0, 10.0)
        batch = self._batch(model, rollout, reward, hyper)
        rate = hyper.learning_rate * ((1.0 - index / self.num_rollouts) if self.anneal else 1.0)

        def gradient(flat: Array, part: Batch) -> Array:
            def flat_loss(params: networks.Params) -> Array:
                return loss(partial(networks.policy_and_value, params), distribution, part, hyper)

            return ravel_pytree(jax.grad(flat_loss)(self._unravel(flat)))[0]

        num_parts = self.num_minibatches
        if hyper.minibatch_size is not None:
            num_parts = self.num_envs * self.rollout_length // MINIBATCH_SIZES[0]
        adam = update(progress.adam, gradient, shuffle(key_shuffle, batch, self.num_epochs, num_parts), rate, hyper)
        observations = progress.observations
        if self.environment.normalize:
            observations = observations.add(rollout.observation)
        return _Progress(actors, adam, observations, returns), rollout

    def _batch(self, model: Mapping[str, Any], rollout: Rollout, reward: Array, hyper: Hyperparameters) -> Batch:
        """The rollout as rows, with the critic's values: one pass over all steps, not one pass a step."""

        def critic(observations: Array) -> Array:
            return networks.value(model["critic"], self._normalize(model, observations))

        value, next_value = values(critic, rollout, self.environment.max_steps)
        advantage = advantages(
            reward, value, next_value, rollout.terminated, rollout.truncated, hyper.gamma, hyper.gae_lambda
        )
        observation = self._normalize(model, rollout.observation)
        batch = Batch(observation, rollout.action, rollout.log_prob, value, advantage, advantage + value)
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batch)

    def _normalize(self, model: Mapping[str, Any], observations: Array) -> Array:
        return Moments(**model["observations"]).normalize(observations) if self.environment.normalize else observations

    def _init(self, key: Array) -> networks.Params:
        distribution = distributions.of(self.environment)
        shape = self.environment.observation_shape
        return networks.init(key, shape, distribution.num_means, distribution.num_log_stds, self.hidden_size)

    def _unravel(self, flat: Array) -> networks.Params:
        """A vector of weights f32[W] as the networks' arrays: the inverse of ``ravel_pytree``."""
        shapes, tree = jax.tree.flatten(jax.eval_shape(self._init, jax.random.key(0)))
        leaves, offset = [], 0
        for shape in shapes:
            leaves.append(flat[offset : offset + shape.size].reshape(shape.shape))
            offset += shape.size
        return jax.tree.unflatten(tree, leaves)


# 3 replicates: with 16 trainings, 2 seeds a setting find better ones than 1 seed on CartPole, and as good ones on
# Pendulum, where 4 seeds find worse ones; with 64 trainings 4 seeds are the better or as good (docs/variability.md). A
# search of the default size has 240.
_sizes = run_defaults(population_size=8, num_generations=10, num_replicates=3, num_fresh=32)


@_sizes
def cartpole(*, search: Search = "default", num_steps: int = 100_000, metric: Metric = "return") -> PPO:
    """:func:`ppo` on CartPole-v1."""
    return ppo("CartPole-v1", search=search, num_steps=num_steps, metric=metric)


@_sizes
def ppo(
    env: str | Environment = "CartPole-v1",
    *,
    search: Search = "default",
    num_steps: int = 100_000,
    num_envs: int = 4,
    rollout_length: int = 128,
    num_epochs: int = 4,
    num_minibatches: int = 4,
    metric: Metric = "return",
    hyperparameters: Mapping[str, Any] | None = None,
    anneal: bool = True,
    hidden_size: int = 64,
    num_episodes: int = 10,
) -> PPO:
    """Proximal policy optimisation on a gymnax environment, its hyperparameters searched.

    A run has 3 replicates a member by default: the best of many members by one seed is often a lucky one.

    Args:
        env: one of ``environments.NAMES``, or an adapted environment.
        search: ``"default"`` searches the learning rate and the maximum gradient norm, ``"full"`` the nine
            of ARLBench. In the full search every member costs as much as one with the smallest minibatch (128).
        num_steps: environment steps of one member, all its environments together; rounded down to whole rollouts.
        num_envs: how many environments one agent steps side by side.
        rollout_length: steps of each environment between two updates.
        num_epochs: passes over a rollout in one update.
        num_minibatches: steps of Adam in each pass; not used in the full search, where the minibatch's size is a gene.
        metric: the objective: ``"return"``, the mean return of greedy episodes after training, or ``"area"``, the mean
            of the learning curve.
        hyperparameters: values by name for what is not searched, see :class:`Hyperparameters`. They replace the
            defaults, which are measured for CartPole and for Pendulum (with 10 epochs and 200,000 steps).
        anneal: whether the learning rate falls linearly to 0.
        hidden_size: the width of the two hidden layers of actor and critic.
        num_episodes: greedy episodes after training.

    Raises ``ValueError`` where a value is not allowed or sizes do not divide.

    >>> ppo("CartPole-v1", num_steps=50_000).num_rollouts
    97

    Source: Schulman, Wolski, Dhariwal, Radford and Klimov, "Proximal Policy Optimization Algorithms", 2017.
    """
    environment = env if isinstance(env, Environment) else environments.make(env)
    check_choice("ppo: search", search, get_args(Search))
    check_choice("ppo: metric", metric, get_args(Metric))
    sizes = {
        "num_steps": num_steps,
        "num_envs": num_envs,
        "rollout_length": rollout_length,
        "num_epochs": num_epochs,
        "num_minibatches": num_minibatches,
        "hidden_size": hidden_size,
        "num_episodes": num_episodes,
    }
    for name, size in sizes.items():
        check_count(f"ppo: {name}", size, 1)
    batch_size = num_envs * rollout_length
    if num_steps < batch_size:
        raise ValueError(f"ppo: num_steps must be at least num_envs * rollout_length = {batch_size}, got {num_steps}")
    if search == "full" and batch_size % MINIBATCH_SIZES[-1]:
        raise ValueError(
            f"ppo: num_envs * rollout_length must be a multiple of {MINIBATCH_SIZES[-1]} "
            f"with search='full', got {num_envs} * {rollout_length} = {batch_size}"
        )
    if batch_size % num_minibatches:
        raise ValueError(
            f"ppo: num_minibatches must divide num_envs * rollout_length = {batch_size}, got {num_minibatches}"
        )
    if metric == "area" and num_steps < num_envs * environment.max_steps:
        raise ValueError(
            f"ppo: num_steps must be at least num_envs * {environment.max_steps} (one episode each) "
            f"with metric='area', got {num_steps}"
        )
    allowed = [name for name in Hyperparameters._fields if name != "minibatch_size"]
    unknown = set(hyperparameters or {}) - set(allowed)
    if unknown:
        raise ValueError(f"ppo: hyperparameters must be among {', '.join(allowed)}, got {', '.join(sorted(unknown))}")
    return PPO(
        space=SPACES[search],
        objective=Objective("mean return" if metric == "return" else "mean training return", "max"),
        environment=environment,
        fixed=Hyperparameters(**{**PRESETS.get(environment.name, {}), **(hyperparameters or {})}),
        **sizes,
        metric=metric,
        anneal=anneal,
        curve_size=min(20, num_steps // batch_size),
    )


def _curve(totals: Array, counts: Array, size: int) -> Array:
    """The mean return f32[size] in each part of training, of the sums and numbers of returns f32[U].

    A part in which no episode ended repeats the one before, the first parts the one after; NaN where none ever ended.
    """
    part = jnp.arange(totals.shape[0]) * size // totals.shape[0]
    totals = jax.ops.segment_sum(totals, part, size)
    counts = jax.ops.segment_sum(counts, part, size)
    known = counts > 0
    last_known = jax.lax.cummax(jnp.where(known, jnp.arange(size), -1))
    source = jnp.where(last_known < 0, jnp.argmax(known), last_known)
    return jnp.where(known.any(), (totals / jnp.maximum(counts, 1.0))[source], jnp.nan)
