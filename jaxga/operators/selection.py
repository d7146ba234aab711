"""Selection: which members become parents. Lower loss is better; a failed member (``+inf`` or NaN) is the worst."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxga.checks import check_count, check_number
from jaxga.precision import single_precision


class Selection(NamedTuple):
    """A choice of parents as a pure function of uniform random numbers.

    Attributes:
        num_draws: how many uniform numbers are needed for one parent.
        choose: ``choose(draws f32[N, num_draws], loss f32[P]) -> i32[N]``, the places of N parents.
    """

    num_draws: int
    choose: Callable[[Array, Array], Array]


def order(loss: Array) -> Array:
    """The places i32[P] of the members, best first; failed ones last."""
    return jnp.argsort(jnp.where(jnp.isnan(loss), jnp.inf, loss))


def distinct(draws: Array, num: int) -> Array:
    """Places i32[..., K] below ``num`` by uniform numbers f32[..., K]: different ones, each set alike.

    Where ``num`` is less than K, the first ``num`` places repeat in turn.
    """
    places: list[Array] = []
    for k in range(min(draws.shape[-1], num)):
        place = jnp.floor(draws[..., k] * (num - k)).astype(jnp.int32)
        # Skip the places that are taken, the lowest first.
        for taken in jnp.moveaxis(jnp.sort(jnp.stack(places, -1)), -1, 0) if places else ():
            place += place >= taken
        places.append(place)
    return jnp.stack([places[k % num] for k in range(draws.shape[-1])], axis=-1)


@single_precision
def truncation() -> Selection:
    """The best members, best first; if more are asked for than there are, they repeat in turn.

    >>> truncation().choose(jnp.zeros((2, 0)), jnp.array([3.0, 1.0, 2.0])).tolist()
    [1, 2]
    """
    return Selection(0, lambda draws, loss: order(loss)[jnp.arange(draws.shape[0]) % loss.shape[0]])


@single_precision
def tournament(size: int = 2) -> Selection:
    """Each parent is the best of ``size`` members drawn with replacement.

    The member of rank r (0 is the best) of P wins with probability
    ``((P - r)^size - (P - r - 1)^size) / P^size``.

    Args:
        size: members in one tournament, at least 1 (1 is a uniform draw).

    Source: D. E. Goldberg, K. Deb, "A comparative analysis of selection schemes used in genetic
    algorithms", 1991.
    """
    check_count("tournament: size", size, 1)

    def choose(draws: Array, loss: Array) -> Array:
        # The lowest of the ranks drawn wins.
        return order(loss)[jnp.floor(draws.min(axis=1) * loss.shape[0]).astype(jnp.int32)]

    return Selection(size, choose)


@single_precision
def rank(pressure: float = 2.0) -> Selection:
    """Probability linear in the rank: the best is drawn ``pressure`` times as often as the average.

    Args:
        pressure: in [1, 2]; 1 is a uniform draw, at 2 the worst is never drawn.

    Source: J. E. Baker, "Adaptive selection methods for genetic algorithms", 1985.
    """
    check_number("rank: pressure", pressure, 1, 2)

    def choose(draws: Array, loss: Array) -> Array:
        size = loss.shape[0]
        worse = jnp.arange(size - 1, -1, -1) / max(size - 1, 1)
        weights = (2.0 - pressure) + 2.0 * (pressure - 1.0) * worse
        return order(loss)[weighted(draws[:, 0], weights)]

    return Selection(1, choose)


@single_precision
def roulette() -> Selection:
    """Probability proportional to the distance from the worst loss among the members that did not fail.

    Source: J. H. Holland, "Adaptation in natural and artificial systems", 1975.
    """
    return Selection(1, lambda draws, loss: weighted(draws[:, 0], _advantage(loss)))


@single_precision
def stochastic_universal() -> Selection:
    """As :func:`roulette`, with evenly spaced pointers: a member expected n times is drawn
    ``floor(n)`` or ``ceil(n)`` times.

    Source: J. E. Baker, "Reducing bias and inefficiency in the selection algorithm", 1987.
    """

    def choose(draws: Array, loss: Array) -> Array:
        num = draws.shape[0]
        pointers = (jnp.arange(num) + draws[0, 0]) / num
        # In random order, so that neighbours in the result may be mated.
        return weighted(pointers, _advantage(loss))[jnp.argsort(draws[:, 1])]

    return Selection(2, choose)


def _advantage(loss: Array) -> Array:
    finite = jnp.isfinite(loss)
    worst = jnp.max(jnp.where(finite, loss, -jnp.inf))
    # Halved and divided by the greatest, so that neither a difference nor the sum overflows.
    advantage = jnp.where(finite, 0.5 * worst - 0.5 * loss, 0.0)
    advantage = advantage / jnp.maximum(advantage.max(), jnp.finfo(advantage.dtype).tiny)
    # If no member is better than the worst: uniform over those that did not fail, or over all.
    fallback = jnp.where(finite.any(), finite.astype(loss.dtype), 1.0)
    return jnp.where(advantage.sum() > 0, advantage, fallback)


def weighted(draws: Array, weights: Array) -> Array:
    """Places i32[N] by uniform numbers f32[N], each place in proportion to its weight in f32[P].

    >>> weighted(jnp.array([0.1, 0.9]), jnp.array([1.0, 0.0, 1.0])).tolist()
    [0, 2]
    """
    line = jnp.cumsum(weights)
    # The last place with a weight ends the line, whatever rounding gives.
    last = weights.shape[0] - 1 - jnp.argmax(weights[::-1] > 0)
    return jnp.minimum(jnp.searchsorted(line, draws * line[-1], side="right"), last).astype(jnp.int32)
