"""What a surrogate learns: the archive's losses as standardised targets, and targets as losses again."""

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.algorithms.archive import Archive, same_rows

_LARGE_LOSS = 1e15  # the sum of the squares of 1,024 such losses still fits float32


def targets(archive: Archive, is_noisy: Array, greatest_rank: int) -> Array:
    """The target f32[A] of each row: mean 0 and standard deviation 1 over the valid rows, 0 elsewhere.

    Without noise the losses, clipped at twice the typical gap from the least, so that good settings keep resolution.
    With noise the normal quantiles of their ranks.

    Args:
        archive: A rows.
        is_noisy: bool[].
        greatest_rank: see :func:`typical_gap`.
    """
    scaled, _ = _scaled(archive)
    return jnp.where(is_noisy, _normal_score(archive), _winsorised(scaled, typical_gap(scaled, greatest_rank)))


def typical_gap(archive: Archive, greatest_rank: int) -> Array:
    """f32[]: the distance from the least loss to the median, or to the loss of ``greatest_rank`` if that is nearer.

    0 for an archive without a loss.
    """
    ordered, count = jnp.sort(archive.loss), archive.valid.sum()
    below, above = (jnp.minimum(place, greatest_rank) for place in (jnp.maximum(count - 1, 0) // 2, count // 2))
    gap = 0.5 * (ordered[below] + ordered[above]) - ordered[0]
    # If that many losses are equal to the least one, the largest gap still tells the other rows from them.
    gap = jnp.where(gap > 0, gap, ordered[jnp.maximum(count - 1, 0)] - ordered[0])
    return jnp.where(count > 0, gap, 0.0)


def as_loss(archive: Archive, target: Array, value: Array) -> Array:
    """Values [...] on the scale of ``target`` f32[A] as losses: linear between rows, within the losses observed."""
    archive, unit = _scaled(archive)
    valid, target, loss = (x.reshape((1,) * value.ndim + (-1,)) for x in (archive.valid, target, archive.loss))
    below, above = (valid & side for side in (target <= value[..., None], target >= value[..., None]))
    low, low_loss = (jnp.max(jnp.where(below, row, -jnp.inf), axis=-1) for row in (target, loss))
    high, high_loss = (jnp.min(jnp.where(above, row, jnp.inf), axis=-1) for row in (target, loss))
    first = jnp.where(below.any(-1), low_loss, high_loss)
    last = jnp.where(above.any(-1), high_loss, low_loss)
    inside = jnp.isfinite(high - low) & (high > low)
    return unit * (first + jnp.where(inside, (value - low) / (high - low) * (last - first), 0.0))


def shows_noise(archive: Archive, gap: Array, genomes: Array, loss: Array, loss_var: Array | None) -> Array:
    """bool[]: whether a setting f32[P, D] has another loss than in the archive, or a loss has a variance.

    Args:
        archive: before these members are inserted.
        gap: f32[], the :func:`typical_gap`; a difference of 1e-5 of it is rounding.
        genomes: f32[P, D].
        loss: f32[P].
        loss_var: f32[P], or None where it is not known.
    """
    valid = archive.valid
    # Another kernel of a matrix product may round differently: that is no noise.
    tolerance = 1e-5 * gap + 1e-6 * jnp.abs(loss)
    again = same_rows(genomes, archive.genomes) & valid[None, :] & jnp.isfinite(loss)[:, None]
    difference = jnp.abs(loss[:, None] - jnp.where(valid, archive.loss, 0.0)[None, :])
    found = (again & (difference > tolerance[:, None])).any()
    if loss_var is not None:
        found |= (jnp.isfinite(loss) & (loss_var > jnp.square(tolerance))).any()
    return found


def _standardised(target: Array, valid: Array) -> Array:
    count = jnp.maximum(valid.sum(), 1)
    mean = jnp.sum(jnp.where(valid, target, 0.0)) / count
    centred = jnp.where(valid, target - mean, 0.0)
    return centred / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(centred)) / count), 1e-12)


def _winsorised(archive: Archive, gap: Array) -> Array:
    # Relative to the least loss, so that float32 keeps the digits that matter; in units of the clip, so that their
    # squares do not vanish, however small the losses are.
    shifted = (archive.loss - jnp.min(archive.loss)) / jnp.where(gap > 0, 2.0 * gap, 1.0)
    return _standardised(jnp.minimum(jnp.where(archive.valid, shifted, 0.0), 1.0), archive.valid)


def _normal_score(archive: Archive) -> Array:
    """The standardised normal quantile of each row's rank, ties averaged."""
    valid, loss = archive.valid, archive.loss
    below = jnp.sum(loss[None, :] < loss[:, None], axis=1)
    ties = jnp.sum(loss[None, :] == loss[:, None], axis=1)
    share = (below + 0.5 * ties) / jnp.maximum(valid.sum(), 1)
    return _standardised(jax.scipy.stats.norm.ppf(jnp.clip(share, 1e-4, 1.0 - 1e-4)), valid)


def _scaled(archive: Archive) -> tuple[Archive, Array]:
    """The archive with losses whose squares and differences fit float32, and the unit f32[] they are now in."""
    greatest = jnp.max(jnp.where(archive.valid, jnp.abs(archive.loss), 0.0))
    # At most 1e30: XLA multiplies by the reciprocal, which must not be a subnormal number.
    unit = jnp.where(greatest > _LARGE_LOSS, jnp.minimum(greatest, 1e30), 1.0)
    return archive._replace(loss=archive.loss / unit), unit
