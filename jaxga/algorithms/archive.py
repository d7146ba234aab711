"""The archive of an algorithm: a fixed number of rows, the best and the newest of all evaluations."""

from typing import NamedTuple

import jax.numpy as jnp
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
    same = jnp.ones((a.shape[0], b.shape[0]), bool)
    for i in range(a.shape[1]):
        same &= a[:, i, None] == b[None, :, i]
    return same
