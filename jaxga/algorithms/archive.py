"""The archive of an algorithm: a fixed number of rows, the best, the newest, and a cover of all other evaluations."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.operators.genes import square_distances

# The shares of a full archive that hold the best and the newest members; the rest covers the space.
_BEST_SHARE, _NEWEST_SHARE = 0.25, 0.125


class Archive(NamedTuple):
    """Attributes:
    genomes: f32[A, D].
    loss: f32[A], ``+inf`` where the member failed or the row is empty.
    number: i32[A], the member's number, -1 where the row is empty.
    share: f32[A], the share of a whole training after which the loss was measured, 1 where it is not told.
    """

    genomes: Array
    loss: Array
    number: Array
    share: Array

    @property
    def valid(self) -> Array:
        """bool[A]: rows with a loss."""
        return jnp.isfinite(self.loss)

    def rows(self, places: Array) -> "Archive":
        """Some of them."""
        return Archive(*(field[places] for field in self))


def empty(archive_size: int, num_genes: int) -> Archive:
    """An archive without a member."""
    return Archive(
        genomes=jnp.zeros((archive_size, num_genes)),
        loss=jnp.full(archive_size, jnp.inf, jnp.float32),
        number=jnp.full(archive_size, -1, jnp.int32),
        share=jnp.ones(archive_size, jnp.float32),
    )


def without(archive: Archive, number: Array) -> Archive:
    """The archive without the members whose numbers are in i32[M]; -1, the number of empty rows, changes nothing."""
    is_gone = (archive.number[:, None] == number[None]).any(1)
    return archive._replace(
        loss=jnp.where(is_gone, jnp.inf, archive.loss), number=jnp.where(is_gone, -1, archive.number)
    )


def insert(archive: Archive, genomes: Array, loss: Array, number: Array, share: Array | None = None) -> Archive:
    """The archive with members f32[P, D] added, whose numbers i32[P] are not in it; -1 adds none.

    A full one keeps its best and its newest rows, and the repetitions of the best. The other rows cover the space: the
    rows dropped are those nearest to an older row or to one that is kept. So a bad region stays known, however many
    evaluations follow, and a surrogate cannot hope for it again. The best row is never dropped. Failed members are kept
    while there is room.
    """
    size = archive.loss.shape[0]
    loss = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
    members = Archive(genomes, loss, number, jnp.ones_like(loss) if share is None else share)
    if loss.shape[0] > size:  # of more members than rows the better half, and the others evenly by their ranks
        order, num_best = jnp.argsort(loss), size // 2
        evenly = np.linspace(num_best, loss.shape[0] - 1, size - num_best).astype(int)
        members = members.rows(order[np.concatenate([np.arange(num_best), evenly])])
    rows = Archive(*(jnp.concatenate(pair) for pair in zip(archive, members, strict=True)))

    best = jnp.argsort(rows.loss)[: int(_BEST_SHARE * size)]
    is_best = jnp.zeros(rows.loss.shape, bool).at[best].set(True) & rows.valid
    is_newest = (rows.number >= 0) & (rows.number > rows.number.max() - int(_NEWEST_SHARE * size))
    repeats_best = (same_rows(rows.genomes, rows.genomes[best]) & rows.valid[best][None]).any(1) & rows.valid
    outlives = (is_best | is_newest)[None] | (rows.number[None] < rows.number[:, None])
    gap = jnp.min(jnp.where(outlives & rows.valid[None], square_distances(rows.genomes), 1e6), axis=1)
    # Failed members by age, the newest first, and empty rows last: -1 / 2, -1 / 3, ..., -1.
    failed = -1.0 / (2.0 + jnp.maximum(rows.number, -1))
    worth = jnp.where(rows.valid, gap, failed)
    for group, value in ((repeats_best, 1e7), (is_newest, 1e8), (is_best, 1e9)):
        worth = jnp.where(group, value, worth)
    return rows.rows(jax.lax.top_k(worth, size)[1])


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
