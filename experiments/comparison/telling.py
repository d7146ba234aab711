"""What a search may be told of trainings that are not finished: alternatives to what jaxga does."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import Algorithm, Best, Measured, PyTree

Telling = Callable[[Algorithm], Algorithm]


def judged_by_score(algorithm: Algorithm) -> Algorithm:
    """Members go on by the loss measured alone: the forecast of a member is its loss."""
    return _told(algorithm, lambda measured: measured, lambda measured, _: measured.loss)


def finished_alone(algorithm: Algorithm) -> Algorithm:
    """The search learns from the members that were trained to the end, and members go on by the loss measured."""

    def seen(measured: Measured) -> Measured:
        return measured._replace(number=jnp.where(measured.share < 1, -1, measured.number))

    return _told(algorithm, seen, lambda measured, _: measured.loss)


def every_score(algorithm: Algorithm) -> Algorithm:
    """Each score of a member is a row of its own in the archive: none takes the place of an earlier one."""

    def seen(measured: Measured) -> Measured:
        # Rows of one member and share alone are the same row.
        thousandths = jnp.round(1000 * measured.share).astype(jnp.int32)
        return measured._replace(number=jnp.where(measured.number < 0, -1, 1001 * measured.number + thousandths))

    return _told(algorithm, seen, lambda _, forecast: forecast)


def _told(
    algorithm: Algorithm,
    seen: Callable[[Measured], Measured],
    forecast_of: Callable[[Measured, Array], Array],
) -> Algorithm:
    revise = algorithm.revise
    assert revise is not None

    def told(key: Array, state: PyTree, measured: Measured) -> tuple[Any, Best, Array]:
        state, best, forecast = revise(key, state, seen(measured))
        return state, best, forecast_of(measured, forecast)

    return algorithm._replace(revise=jax.jit(told))
