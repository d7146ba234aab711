"""Selection: who becomes a parent. ``select(key, loss f32[P], num) -> indices i32[num]``; lower loss is better.

``num`` is a static number. A member that failed (loss ``+inf`` or NaN) counts as the worst.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.checks import check_count, check_number
from jaxga.precision import single_precision

Selection = Callable[[Array, Array, int], Array]


def _ranks(loss: Array) -> Array:
    """0 for the best; NaN last."""
    return jnp.argsort(jnp.argsort(jnp.where(jnp.isnan(loss), jnp.inf, loss)))


@single_precision
def truncation() -> Selection:
    """The ``num`` best members, best first; where there are fewer than ``num`` members they repeat in turn.

    >>> truncation()(jax.random.key(0), jnp.array([3.0, 1.0, 2.0]), 2).tolist()
    [1, 2]
    """

    def select(key: Array, loss: Array, num: int) -> Array:
        del key
        order = jnp.argsort(jnp.where(jnp.isnan(loss), jnp.inf, loss))
        return order[jnp.arange(num) % loss.shape[0]]

    return select


@single_precision
def tournament(size: int = 2) -> Selection:
    """Each parent is the best of ``size`` members drawn with replacement.

    The member of rank r (0 is the best) of P wins with probability
    ``((P - r)^size - (P - r - 1)^size) / P^size``.

    Args:
        size: members in one tournament, at least 1 (1 is a blind draw).

    Source: D. E. Goldberg, K. Deb, "A comparative analysis of selection schemes used in genetic
    algorithms", 1991.
    """
    check_count("tournament: size", size, 1)

    def select(key: Array, loss: Array, num: int) -> Array:
        rivals = jax.random.randint(key, (num, size), 0, loss.shape[0])
        return jnp.take_along_axis(rivals, jnp.argmin(_ranks(loss)[rivals], axis=1)[:, None], axis=1)[:, 0]

    return select


@single_precision
def rank(pressure: float = 2.0) -> Selection:
    """Probability linear in the rank: the best is drawn ``pressure`` times as often as the average.

    Args:
        pressure: in [1, 2]; 1 is a blind draw, at 2 the worst is never drawn.

    Source: J. E. Baker, "Adaptive selection methods for genetic algorithms", 1985.
    """
    check_number("rank: pressure", pressure, 1, 2)

    def select(key: Array, loss: Array, num: int) -> Array:
        size = loss.shape[0]
        worse = (size - 1 - _ranks(loss)) / max(size - 1, 1)
        weights = (2.0 - pressure) + 2.0 * (pressure - 1.0) * worse
        return _draw(jax.random.uniform(key, (num,)), weights)

    return select


@single_precision
def roulette() -> Selection:
    """Probability in proportion to how much better a member is than the worst one that did not fail.

    Source: J. H. Holland, "Adaptation in natural and artificial systems", 1975.
    """

    def select(key: Array, loss: Array, num: int) -> Array:
        return _draw(jax.random.uniform(key, (num,)), _advantage(loss))

    return select


@single_precision
def stochastic_universal() -> Selection:
    """As :func:`roulette`, with ``num`` evenly spaced pointers: a member expected n times is drawn
    ``floor(n)`` or ``ceil(n)`` times.

    Source: J. E. Baker, "Reducing bias and inefficiency in the selection algorithm", 1987.
    """

    def select(key: Array, loss: Array, num: int) -> Array:
        key_spin, key_order = jax.random.split(key)
        pointers = (jnp.arange(num) + jax.random.uniform(key_spin)) / num
        # The order says nothing, so that neighbours in the result may be mated.
        return jax.random.permutation(key_order, _draw(pointers, _advantage(loss)))

    return select


def _advantage(loss: Array) -> Array:
    finite = jnp.isfinite(loss)
    worst = jnp.max(jnp.where(finite, loss, -jnp.inf))
    # Halved and divided by the greatest, so that neither a difference nor the sum overflows.
    advantage = jnp.where(finite, 0.5 * worst - 0.5 * loss, 0.0)
    advantage = advantage / jnp.maximum(advantage.max(), jnp.finfo(advantage.dtype).tiny)
    # Nobody is better than the worst: everybody that did not fail is drawn alike, or simply everybody.
    fallback = jnp.where(finite.any(), finite.astype(loss.dtype), 1.0)
    return jnp.where(advantage.sum() > 0, advantage, fallback)


def _draw(points: Array, weights: Array) -> Array:
    """Where points in [0, 1) fall on the line of the cumulated weights."""
    line = jnp.cumsum(weights)
    # The last one with a weight is the end of the line, whatever rounding says.
    last = weights.shape[0] - 1 - jnp.argmax(weights[::-1] > 0)
    return jnp.minimum(jnp.searchsorted(line, points * line[-1], side="right"), last).astype(jnp.int32)
