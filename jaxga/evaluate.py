"""From one member to a population: replicates, chunks, devices, failed members.

This is the only place where the population axis is added to a task.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxga.base import Evaluation, PyTree, Task
from jaxga.batches import in_batches
from jaxga.text import check_choice

# Who trains under the same seeds: nobody, the members of one generation, or those of all generations.
Seeds = Literal["own", "generation", "run"]
SEEDS: tuple[str, ...] = get_args(Seeds)

# The largest variance of a member's replicates. It is less than float32 holds, so that the variance of their mean,
# multiplied by their number again, is finite.
_MAX_VARIANCE = 2.0**127


class Scores(NamedTuple):
    """What a population's evaluation gives (P members).

    Attributes:
        loss: f32[P], the mean over replicates; lower is better. It is ``+inf`` for a failed member: a member with a
            replicate that is not finite.
        loss_var: f32[P], the variance of the mean (sample variance / R), finite: a sample variance is at most 2^127. It
            is 0 where R is 1 or the member failed.
        metrics: by name, [P, ...], the mean over replicates.
        num_failed: i32[], failed members.
    """

    loss: Array
    loss_var: Array
    metrics: dict[str, Array]
    num_failed: Array


def evaluate(
    task: Task,
    key: Array,
    genomes: Array,
    *,
    num_replicates: int = 1,
    seeds: Seeds = "own",
    chunk_size: int | None = None,
    mesh: Mesh | None = None,
) -> Scores:
    """Score every genome, each under ``num_replicates`` seeds.

    Replicate ``r`` of member ``i`` uses the key ``fold_in(fold_in(key, i), r)``; where seeds are shared, every member
    uses those of member 0. A key depends neither on the chunk size nor on the devices.

    Args:
        task: scores one setting; passed as an argument of the compiled program.
        key: the generation's evaluation key; with ``seeds="run"`` the same one in every generation.
        genomes: f32[P, D] in the unit cube.
        num_replicates: R >= 1, trainings per member.
        seeds: ``"own"``: each member has seeds of its own; ``"generation"`` or ``"run"``: all have the same R.
        chunk_size: as in :func:`train_members`; where seeds are shared, the trainings of one chunk share one seed,
            unless the chunk holds all.
        mesh: as in :func:`train_members`.

    Raises:
        ValueError: for other ``seeds``.
    """
    check_choice("seeds", seeds, SEEDS)
    train = partial(train_members, type(task).evaluate, task, chunk_size=chunk_size, mesh=mesh)
    population_size = genomes.shape[0]
    keys = member_keys(key, population_size if seeds == "own" else 1, num_replicates).reshape(-1)
    if seeds == "own":
        evaluation = train(keys, genomes[jnp.arange(len(keys)) // num_replicates])
        value, metrics, _ = jax.tree.map(lambda x: x.reshape(population_size, num_replicates, *x.shape[1:]), evaluation)
    else:
        is_whole = chunk_size is None or chunk_size >= population_size * num_replicates
        train_all = partial(train, genomes=genomes)
        evaluation = jax.vmap(train_all)(keys) if is_whole else lax.map(train_all, keys)
        value, metrics, _ = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), evaluation)
    return mean_scores(task, value, metrics)


def member_keys(key: Array, num_members: int, num_replicates: int) -> Array:
    """key[P, R]: ``fold_in(fold_in(key, i), r)`` for replicate ``r`` of member ``i``."""

    def one(member: Array, replicate: Array) -> Array:
        return jax.random.fold_in(jax.random.fold_in(key, member), replicate)

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(jnp.arange(num_members), jnp.arange(num_replicates))


def mean_scores(task: Task, value: Array, metrics: dict[str, Array]) -> Scores:
    """The scores of P members from the values f32[P, R] and the metrics [P, R, ...] of their R replicates."""
    num_replicates = value.shape[1]
    loss = task.objective.sign * _mean(value)
    failed = ~jnp.isfinite(loss)
    loss_var = jnp.zeros_like(loss)
    if num_replicates > 1:
        unit = _unit(num_replicates)
        variance = (value * unit).var(axis=1, ddof=1) / unit**2
        loss_var = jnp.minimum(variance, _MAX_VARIANCE) / num_replicates
    return Scores(
        loss=jnp.where(failed, jnp.inf, loss),
        loss_var=jnp.where(failed, 0.0, loss_var),
        metrics=jax.tree.map(_mean, metrics),
        num_failed=failed.sum(dtype=jnp.int32),
    )


def _mean(x: Array) -> Array:
    """f32[P, ...]: the mean over the replicates of [P, R, ...], finite where these are."""
    unit = _unit(x.shape[1])
    return (x.astype(jnp.float32) * unit).mean(axis=1) / unit


def _unit(num_replicates: int) -> float:
    """A factor with which the sum of so many numbers does not overflow. A power of two changes none of their digits."""
    return 0.5 ** math.ceil(math.log2(num_replicates))


def named_leaves(tree: PyTree) -> list[tuple[str, Any]]:
    """The leaves of a pytree, each with the names above it joined by ``/``; a tree that is one array has no name."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]


def named_metrics(metrics: Any) -> dict[str, Any]:
    """A task's metrics as one dict, the names of nested dicts joined by ``/``.

    Raises ``ValueError`` where ``metrics`` is not a dict, or two of them have the same name.
    """
    if not isinstance(metrics, dict):
        raise ValueError(f"task: metrics must be a dict of figures by name, got {metrics!r}")
    leaves = named_leaves(metrics)
    names = [name for name, _ in leaves]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"task: two metrics have the name {twice[0]!r}")
    return dict(leaves)


def train_members(
    method: Callable[[Any, Array, dict[str, Array]], Evaluation],
    task: Task,
    keys: Array,
    genomes: Array,
    *,
    chunk_size: int | None = None,
    mesh: Mesh | None = None,
    keep_model: bool = False,
) -> Evaluation:
    """Call ``method(task, key, setting)`` for N genomes, each with a key.

    Args:
        method: the task's ``evaluate`` or ``test``, as a function of the task.
        task: the same on every device.
        keys: key[N], or key[] that all of them share: what depends on the key alone is then computed once a chunk.
        genomes: f32[N, D].
        chunk_size: how many trainings run side by side on a device at most, None for all at once. A chunk bounds
            memory, and on a CPU its arrays stay in the cache. Chunks are of one size: of 10, a chunk of 8 makes 2 of 5.
        mesh: the devices that share the trainings, over its axis ``"pop"``; None for one device.
        keep_model: whether the N trained models are returned too.

    Returns:
        An :class:`Evaluation` with a first axis of length N throughout; its ``model`` is None without ``keep_model``.
    """
    is_shared = keys.ndim == 0

    def one(task: Task, shared_key: Any, job: tuple[Array, Any]) -> Evaluation:
        genome, own_key = job
        key = own_key if shared_key is None else shared_key
        value, metrics, model = Evaluation(*method(task, key, task.space.decode(genome)))
        # Dropped here, before the population axis is added: XLA then allocates no memory for N models.
        kept = (named_metrics(metrics), model if keep_model else None)
        return Evaluation(jnp.asarray(value, jnp.float32), *jax.tree.map(jnp.asarray, kept))

    shared, jobs = (keys, (genomes, None)) if is_shared else (None, (genomes, keys))
    return over_members(one, task, jobs, shared=shared, chunk_size=chunk_size, mesh=mesh)


def part_by_part(method: Callable[..., Evaluation]) -> Callable[..., Evaluation]:
    """``method(task, key, setting)`` of a Trainable for settings that differ from part to part.

    Its ``setting`` has arrays with a first axis K, one value a part; what is scored has the setting of the last one.
    """

    def along(task: Any, key: Array, settings: dict[str, Array]) -> Evaluation:
        return method(task.along(settings), key, jax.tree.map(lambda values: values[-1], settings))

    return along


def over_members(
    function: Callable[[Any, Any, Any], PyTree],
    task: Task,
    jobs: PyTree,
    *,
    shared: PyTree = None,
    chunk_size: int | None = None,
    mesh: Mesh | None = None,
) -> PyTree:
    """``function(task, shared, job)`` of N jobs, in chunks and over devices as in :func:`train_members`.

    Args:
        function: of one job.
        task: the same on every device.
        jobs: a pytree of arrays with a first axis of length N >= 1.
        shared: a pytree of arrays that all jobs have.
        chunk_size: as in :func:`train_members`.
        mesh: as in :func:`train_members`.

    Returns:
        The function's results, with a first axis of length N.
    """
    num_jobs = jax.tree.leaves(jobs)[0].shape[0]
    num_devices = 1 if mesh is None else mesh.shape["pop"]
    num_local = -(-num_jobs // num_devices)
    num_chunks = 1 if chunk_size is None else -(-num_local // chunk_size)
    chunk = -(-num_local // num_chunks)
    num_padded = num_chunks * chunk * num_devices
    if num_padded > num_jobs:  # padding repeats real jobs: a remainder would trace the task a second time
        padding = jnp.arange(num_padded) % num_jobs
        jobs = jax.tree.map(lambda x: x[padding], jobs)

    def on_one_device(task: Task, shared: PyTree, jobs: PyTree) -> PyTree:
        each = jax.vmap(function, in_axes=(None, None, 0))
        return in_batches(lambda some: each(task, shared, some), jobs, chunk)

    if mesh is None:
        results = on_one_device(task, shared, jobs)
    else:
        population, everywhere = PartitionSpec("pop"), PartitionSpec()
        on_mesh = jax.shard_map(
            on_one_device,
            mesh=mesh,
            in_specs=(everywhere, everywhere, population),
            out_specs=population,
            check_vma=False,
        )
        # The rest of a generation is little work: every device does all of it.
        results = lax.with_sharding_constraint(on_mesh(task, shared, jobs), NamedSharding(mesh, everywhere))
    return jax.tree.map(lambda x: x[:num_jobs], results)
