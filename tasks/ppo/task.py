"""PPO as a task: one agent, trained under one seed and one setting, and scored by its return."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxga import Evaluation, Objective, SearchSpace, Trainable, run_defaults, single_precision
from jaxga.checks import check_count
from jaxga.tasks.ppo import distributions, environments, networks
from jaxga.tasks.ppo.environments import Environment
from jaxga.tasks.ppo.hyperparameters import MINIBATCH_SIZES, PRESETS, SPACES, Hyperparameters
from jaxga.tasks.ppo.rollout import Actors, Moments, Rollout, advantages, collect, greedy_returns, start, values
from jaxga.tasks.ppo.update import Adam, Batch, loss, shuffle, update
from jaxga.text import check_choice

Search = Literal["default", "full"]
Metric = Literal["return", "area"]
# Parts of a training where their number is not given.
NUM_PARTS = 8

_STATIC = (
    "space", "objective", "environment", "fixed", "num_steps", "num_envs", "rollout_length", "num_epochs",
    "num_minibatches", "num_parts", "metric", "anneal", "hidden_size", "num_episodes", "curve_size",
)  # fmt: skip


class Training(NamedTuple):
    """What a training carries from update to update.

    Attributes:
        actors: the environments.
        adam: the weights of actor and critic, and the state of their optimizer.
        observations, returns: running moments, used where the environment calls for normalisation.
        totals, counts: f32[T], the sum of the returns of the episodes that ended in each of T equal stretches of the
            whole training, and their number.
        num_updates: i32[], how many updates are done.
    """

    actors: Actors
    adam: Adam
    observations: Moments
    returns: Moments
    totals: Array
    counts: Array
    num_updates: Array


@partial(jax.tree_util.register_dataclass, data_fields=(), meta_fields=_STATIC)
@dataclass(frozen=True)
class PPO(Trainable):
    """Proximal policy optimisation of one agent; build it with :func:`ppo`.

    The training can be cut into ``num_parts`` parts: each has the same number of updates, the first ones one more where
    the numbers do not divide. Between parts it carries 106 to 116 kB on the environments of classic control, and 1.7 to
    1.8 MB on MinAtar's games, at the default sizes.

    How early the score tells what it will be at the end (``benchmarks/parts.py``: 64 random settings on CartPole, one
    seed each, 8 parts; Spearman's rank correlation with the end, where 29 of the 64 have the greatest return of 500):

    ========  ====  ====  ====  ====  ====  ====  ====
    part      1     2     3     4     5     6     7
    ========  ====  ====  ====  ====  ====  ====  ====
    area      0.86  0.93  0.97  0.98  0.98  0.99  1.00
    return    0.60  0.63  0.65  0.79  0.75  0.78  0.87
    ========  ====  ====  ====  ====  ====  ====  ====
    """

    first_rung = 0.3

    space: SearchSpace
    objective: Objective
    environment: Environment
    fixed: Hyperparameters
    num_steps: int
    num_envs: int
    rollout_length: int
    num_epochs: int
    num_minibatches: int
    num_parts: int
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
    def init(self, key: Array, setting: Mapping[str, Array]) -> Training:
        """New weights, and the environments at the start of an episode."""
        del setting
        key_params, key_start = jax.random.split(key)
        return Training(
            actors=start(self.environment, key_start, self.num_envs),
            adam=Adam.of(ravel_pytree(self._init(key_params))[0]),
            observations=Moments.of_nothing(self.environment.observation_shape),
            returns=Moments.of_nothing(()),
            totals=jnp.zeros(self.curve_size),
            counts=jnp.zeros(self.curve_size),
            num_updates=jnp.int32(0),
        )

    @single_precision
    def advance(self, key: Array, carry: Training, setting: Mapping[str, Array], part: Array) -> Training:
        """One part of the updates; the learning rate falls over all parts together."""
        hyper = self.fixed._replace(**setting)
        size, num_longer = divmod(self.num_rollouts, self.num_parts)
        first = part * size + jnp.minimum(part, num_longer)

        def update(training: Training, i: Array) -> Training:
            return self._update(jax.random.fold_in(key, i), training, first + i, hyper)

        def step(training: Training, i: Array) -> tuple[Training, None]:
            if num_longer == 0:
                return update(training, i), None
            is_over = (i == size) & (part >= num_longer)
            return jax.lax.cond(is_over, lambda training, _: training, update, training, i), None

        return jax.lax.scan(step, carry, jnp.arange(size + (num_longer > 0), dtype=jnp.int32))[0]

    @single_precision
    def score(self, key: Array, carry: Training, setting: Mapping[str, Array]) -> Evaluation:
        """Score the agent as it stands; NaN where its weights did not stay finite.

        The metrics: ``curve`` f32[T], the mean return of the episodes that ended in each of T equal stretches of the
        whole training (a stretch in which none ended, or that is still to come, repeats the one before);
        ``mean return`` and ``return std`` of greedy episodes; ``area``, the mean of the curve up to the present, NaN
        where no episode has ended yet; ``episodes``, the number of episodes that ended in training.
        The model is what :meth:`act` takes.
        """
        del setting
        model = self._model(carry)
        distribution = distributions.of(self.environment)
        returns = greedy_returns(self.environment, distribution, partial(self._policy, model), key, self.num_episodes)
        curve = _curve(carry.totals, carry.counts)
        is_reached = jnp.arange(self.curve_size) <= self._stretch(carry.num_updates - 1)
        metrics = {
            "curve": curve,
            "mean return": returns.mean(),
            "return std": returns.std(),
            "area": jnp.mean(curve, where=is_reached),
            "episodes": carry.counts.sum(),
        }
        value = metrics["area"] if self.metric == "area" else metrics["mean return"]
        return Evaluation(jnp.where(jnp.isfinite(carry.adam.params.sum()), value, jnp.nan), metrics, model)

    @single_precision
    def act(self, model: Mapping[str, Any], observation: Array) -> Array:
        """The greedy action of a trained ``model`` for one observation; both as the environment knows them."""
        distribution = distributions.of(self.environment)
        action = distribution.sample(self._policy(model, observation[None]), 0.0)
        return distribution.to_environment(action[:, 0])

    def _model(self, training: Training) -> dict[str, Any]:
        """Actor and critic, and the moments of the observations where they are normalised."""
        params = self._unravel(training.adam.params)
        moments = {"observations": training.observations._asdict()} if self.environment.normalize else {}
        return {"actor": networks.half(params, "actor"), "critic": networks.half(params, "critic"), **moments}

    def _policy(self, model: Mapping[str, Any], observations: Array) -> Array:
        """The policy's outputs f32[O, N] for N observations as the environment gives them."""
        return networks.policy(model["actor"], self._normalize(model, observations))

    def _stretch(self, index: Array) -> Array:
        """To which of the T stretches of the training the update ``index`` i32[] belongs."""
        return index * self.curve_size // self.num_rollouts

    def _update(self, key: Array, training: Training, index: Array, hyper: Hyperparameters) -> Training:
        """One rollout, and the update from it."""
        key_collect, key_shuffle = jax.random.split(key)
        distribution = distributions.of(self.environment)
        model = self._model(training)
        policy = partial(self._policy, model)
        actors, rollout = collect(
            self.environment, distribution, policy, key_collect, training.actors, hyper.gamma, self.rollout_length
        )
        returns, reward = training.returns, rollout.reward
        if self.environment.normalize:
            returns = returns.add(rollout.discounted_return)
            reward = jnp.clip(reward / jnp.sqrt(returns.variance + 1e-8), -10.0, 10.0)
        batch = self._batch(model, rollout, reward, hyper)
        rate = hyper.learning_rate * ((1.0 - index / self.num_rollouts) if self.anneal else 1.0)

        def gradient(flat: Array, part: Batch) -> Array:
            def flat_loss(params: networks.Params) -> Array:
                return loss(partial(networks.policy_and_value, params), distribution, part, hyper)

            return ravel_pytree(jax.grad(flat_loss)(self._unravel(flat)))[0]

        num_slices = self.num_minibatches
        if hyper.minibatch_size is not None:
            num_slices = self.num_envs * self.rollout_length // MINIBATCH_SIZES[0]
        adam = update(training.adam, gradient, shuffle(key_shuffle, batch, self.num_epochs, num_slices), rate, hyper)
        observations = training.observations
        if self.environment.normalize:
            observations = observations.add(rollout.observation)
        stretch = self._stretch(index)
        totals = training.totals.at[stretch].add(rollout.finished_return.sum())
        counts = training.counts.at[stretch].add(rollout.done.sum(dtype=jnp.float32))
        return Training(actors, adam, observations, returns, totals, counts, index + 1)

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
# Pendulum, where 4 seeds find worse ones; with 64 trainings 4 seeds find better ones on both (docs/variability.md). A
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
    num_parts: int | None = None,
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
        num_parts: of how many parts the training consists, at least 1 and at most one an update; None: 8, or as many
            as there are updates.
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
    num_updates = num_steps // batch_size
    num_parts = min(NUM_PARTS, num_updates) if num_parts is None else num_parts
    check_count("ppo: num_parts", num_parts, 1)
    if num_parts > num_updates:
        raise ValueError(f"ppo: num_parts must be at most the number of updates = {num_updates}, got {num_parts}")
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
        num_parts=num_parts,
        metric=metric,
        anneal=anneal,
        curve_size=min(20, num_updates),
    )


def _curve(totals: Array, counts: Array) -> Array:
    """The mean return f32[T] in each stretch of the training, of the sums and numbers of the returns f32[T].

    A stretch in which no episode ended repeats the one before, the first ones the one after; NaN where none ever ended.
    """
    known = counts > 0
    last_known = jax.lax.cummax(jnp.where(known, jnp.arange(counts.size), -1))
    source = jnp.where(last_known < 0, jnp.argmax(known), last_known)
    return jnp.where(known.any(), (totals / jnp.maximum(counts, 1.0))[source], jnp.nan)
