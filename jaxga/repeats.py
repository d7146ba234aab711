"""Trainings with a setting for each part, and what the best of them are worth when they are repeated from nothing.

The best of many lanes was lucky: in its draws, and because networks that are bad by chance give up their lane. So its
loss is too good. The next cohorts show by how much: they train the best settings again.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import PyTree


class Training(NamedTuple):
    """Trainings whose setting may differ from part to part (in lanes, with a first axis W; R replicates, K parts).

    Attributes:
        carry: what they carry from part to part, with a first axis R.
        keys: key[R].
        settings: f32[K, D], the genome of each part; of the parts to come what is planned.
    """

    carry: PyTree
    keys: Array
    settings: Array


class Repeated(NamedTuple):
    """The best settings part by part so far (L of them). Each cohort trains all of them again, in its first lanes.

    Attributes:
        training: the newest training of each, with a first axis L.
        number: i32[L], the member at its end.
        first: f32[L], the loss for which each was chosen, ``+inf`` where there is none.
        total: f32[L], the sum of the losses of its repetitions.
        times: f32[L], the number of these.
        excess: f32[], the sum of (loss of a repetition - first loss) over all repetitions so far.
        num_repeated: f32[], the number of these repetitions.
    """

    training: Training
    number: Array
    first: Array
    total: Array
    times: Array
    excess: Array
    num_repeated: Array

    @property
    def believed(self) -> Array:
        """f32[L]: the mean of all losses of each, where the mean excess, if positive, is added to the first one."""
        excess = jnp.maximum(self.excess, 0.0) / jnp.maximum(self.num_repeated, 1.0)
        return (self.first + excess + self.total) / (1.0 + self.times)

    def in_lanes(self, num_lanes: int) -> Array:
        """bool[W]: the lanes that train these settings again: the first ones, where so many settings are known."""
        return jnp.zeros(num_lanes, bool).at[: len(self.number)].set(self.number >= 0)


def nothing_repeated(training: Training, num: int) -> Repeated:
    """None of ``num`` places is taken; ``training`` has the shapes, in at least so many lanes."""
    return Repeated(
        training=jax.tree.map(lambda x: x[:num], training),
        number=jnp.full(num, -1, jnp.int32),
        first=jnp.full(num, jnp.inf, jnp.float32),
        total=jnp.zeros(num, jnp.float32),
        times=jnp.zeros(num, jnp.float32),
        excess=jnp.zeros((), jnp.float32),
        num_repeated=jnp.zeros((), jnp.float32),
    )


def with_cohort(known: Repeated, training: Training, number: Array, loss: Array) -> Repeated:
    """The L best after a cohort has ended.

    Args:
        known: the best before it, which its first lanes have trained again.
        training: of each lane, with a first axis W.
        number: i32[W], the members at the end.
        loss: f32[W]; settings whose repetition failed are given up.
    """
    num = len(known.number)
    is_repetition = known.in_lanes(len(loss))
    was_repeated = is_repetition[:num]
    counts = was_repeated & jnp.isfinite(loss[:num])
    excess = jnp.where(counts, loss[:num], 0.0) - jnp.where(counts, known.first, 0.0)
    total = known.total + jnp.where(was_repeated, loss[:num], 0.0)
    # The known settings, then those of all lanes, where a repetition is not counted a second time.
    nothing = jnp.zeros_like(loss)
    every = known._replace(
        first=jnp.concatenate([known.first, jnp.where(is_repetition, jnp.inf, loss)]),
        total=jnp.concatenate([total, nothing]),
        times=jnp.concatenate([known.times + was_repeated, nothing]),
        excess=known.excess + excess.sum(),
        num_repeated=known.num_repeated + counts.sum(),
    )
    best = jnp.argsort(every.believed)[:num]
    lane = jnp.where(best < num, best, best - num)
    return every._replace(
        training=jax.tree.map(lambda x: x[lane], training),
        number=jnp.where(jnp.isfinite(every.believed[best]), number[lane], -1),
        first=every.first[best],
        total=every.total[best],
        times=every.times[best],
    )
