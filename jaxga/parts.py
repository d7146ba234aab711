"""Trainings side by side, part by part: W lanes, each of R replicates."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxga.base import PyTree
from jaxga.batches import in_batches
from jaxga.evaluate import SEEDS, Scores, Seeds, mean_scores, member_keys, named_metrics, over_members
from jaxga.evolution import shared_key
from jaxga.text import check_choice


class Parts:
    """What is done with the trainings of several members; arguments as in :func:`jaxga.evaluate.evaluate`.

    A carry has first axes of lengths W and R throughout, keys are key[W, R], genomes f32[W, D].

    Raises ``ValueError`` for other ``seeds``.
    """

    def __init__(self, num_replicates: int, seeds: Seeds, chunk_size: int | None, mesh: Mesh | None) -> None:
        check_choice("seeds", seeds, SEEDS)
        self._num_replicates, self._seeds = num_replicates, seeds
        lane_chunk = None if chunk_size is None else max(1, chunk_size // num_replicates)
        # A chunk that does not hold one lane divides it.
        self._at_once = num_replicates if chunk_size is None else min(chunk_size, num_replicates)
        self._each = partial(over_members, chunk_size=lane_chunk, mesh=mesh)
        self._mesh = mesh

    def keys(self, root_key: Array, key: Array, num_members: int) -> Array:
        """The keys of members that begin in the generation with this evaluation key; ``root_key`` is the run's."""
        if self._seeds == "run":
            key = shared_key(root_key)
        keys = member_keys(key, num_members if self._seeds == "own" else 1, self._num_replicates)
        return jnp.broadcast_to(keys, (num_members, self._num_replicates))

    def begin(self, task: Any, keys: Array, genomes: Array) -> PyTree:
        """The carries before the first part."""

        def begun(task: Any, _: None, job: tuple[Array, Array]) -> PyTree:
            keys, genome = job
            return self._over_replicates(lambda key: _begin(task, key, genome), keys)

        return self._each(begun, task, (keys, genomes))

    def advance(self, task: Any, keys: Array, carry: PyTree, genomes: Array, part: Array) -> PyTree:
        """The carries after part i32[W] of each."""

        def advanced(task: Any, _: None, job: tuple[Array, PyTree, Array, Array]) -> PyTree:
            keys, carry, genome, part = job
            setting = task.space.decode(genome)
            return self._over_replicates(lambda key, carry: task.advanced(key, carry, setting, part), keys, carry)

        return self._each(advanced, task, (keys, carry, genomes, part))

    def score(self, task: Any, keys: Array, carry: PyTree, genomes: Array) -> Scores:
        """What each is worth as it stands."""

        def scored(task: Any, _: None, job: tuple[Array, PyTree, Array]) -> tuple[Array, dict[str, Array]]:
            keys, carry, genome = job
            setting = task.space.decode(genome)

            def one(key: Array, carry: PyTree) -> tuple[Array, dict[str, Array]]:
                found = task.scored(key, carry, setting)
                return jnp.asarray(found.value, jnp.float32), named_metrics(found.metrics)

            return self._over_replicates(one, keys, carry)

        return mean_scores(task, *self._each(scored, task, (keys, carry, genomes)))

    def _over_replicates(self, function: Callable[..., PyTree], *lane: PyTree) -> PyTree:
        """``function`` of each replicate of one lane, as many side by side as the chunk size allows."""
        return in_batches(lambda some: jax.vmap(function)(*some), lane, self._at_once)

    def everywhere(self, lanes: PyTree) -> PyTree:
        """The lanes, whole on every device. XLA (jaxlib 0.10.2) sharded their rows, and lost some of an odd number."""
        if self._mesh is None:
            return lanes
        return lax.with_sharding_constraint(lanes, NamedSharding(self._mesh, PartitionSpec()))


def empty(task: Any, keys: Array, genomes: Array) -> PyTree:
    """Carries of these shapes, all zeros: of lanes without members."""
    begin = jax.vmap(jax.vmap(partial(_begin, task), (0, None)))
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(begin, keys, genomes))


def _begin(task: Any, key: Array, genome: Array) -> PyTree:
    return jax.tree.map(jnp.asarray, task.begun(key, task.space.decode(genome)))
