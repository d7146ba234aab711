"""The archive of an algorithm: a fixed number of rows, the best and the newest of all evaluations."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

# The share of a full archive that holds the best members; the rest holds the newest of the others.
_BEST_SHARE = 0.75


class Archive(NamedTuple):
    """Attributes:
    genomes: f32[A, D].
    loss: f32[A], ``+inf`` where the member failed or the row is empty.
    number: i32[A], the member's number, -1 where the row is empty.
    """

    genomes: Array
    loss: Array
    number: Array

    @property
    def valid(self) -> Array:
        """bool[A]: rows with a loss."""
        return jnp.isfinite(self.loss)


def empty(archive_size: int, num_genes: int) -> Archive:
    """An archive without a member."""
    return Archive(
        genomes=jnp.zeros((archive_size, num_genes)),
        loss=jnp.full(archive_size, jnp.inf, jnp.float32),
        number=jnp.full(archive_size, -1, jnp.int32),
    )


def insert(archive: Archive, genomes: Array, loss: Array, number: Array) -> Archive:
    """The archive with members f32[P, D] added. A full one drops its oldest rows that are not among the best.

    The best row is never dropped.
    """
    size = archive.loss.shape[0]
    loss = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
    rows = Archive(*(jnp.concatenate(pair) for pair in zip(archive, (genomes, loss, number), strict=True)))
    rank = jnp.argsort(jnp.argsort(rows.loss))
    best = (rank < int(_BEST_SHARE * size)) & rows.valid
    order = jnp.argsort(jnp.where(best, -jnp.iinfo(jnp.int32).max, -rows.number))
    kept = order[:size]
    return Archive(*(field[kept] for field in rows))


def same_rows(a: Array, b: Array) -> Array:
    """bool[N, M]: whether a genome of f32[N, D] equals one of f32[M, D], bit by bit as snapped genomes are."""
    (first, second), (other_first, other_second) = _fingerprints(a), _fingerprints(b)
    return (first[:, None] == other_first[None, :]) & (second[:, None] == other_second[None, :])


def repeats(genomes: Array) -> Array:
    """bool[N]: whether an earlier genome of f32[N, D] is the same; by sorting, so that the cost is N log N."""
    size = genomes.shape[0]
    first, second, places = jax.lax.sort((*_fingerprints(genomes), jnp.arange(size)), num_keys=2, is_stable=True)
    again = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
    return jnp.zeros(size, bool).at[places[1:]].set(again, unique_indices=True)


def _fingerprints(genomes: Array) -> tuple[Array, Array]:
    """Two hashes u32[N] of each genome: equal for equal genomes, for two others with a probability of 2^-64.

    Comparing them costs a fifth of comparing ten genes.
    """
    bits = jax.lax.bitcast_convert_type(jnp.where(genomes == 0.0, 0.0, genomes), jnp.uint32)  # -0 equals 0
    gene = jnp.arange(genomes.shape[1], dtype=jnp.uint32)
    salts = (gene * np.uint32(0x9E3779B9) + np.uint32(salt) for salt in (1, 0x7F4A7C15))
    first, second = (jnp.sum(_mixed(bits ^ _mixed(salt)[None]), axis=1, dtype=jnp.uint32) for salt in salts)
    return first, second


def _mixed(bits: Array) -> Array:
    """A bijection of u32 of which every input bit flips every output bit with a probability of about a half.

    Source: C. Wellons, "Prospecting for hash functions", 2018.
    """
    bits = (bits ^ (bits >> 16)) * np.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * np.uint32(0x846CA68B)
    return bits ^ (bits >> 16)
