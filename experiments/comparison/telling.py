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
    return _told(algorithm, lambda measured: measured)


def finished_alone(algorithm: Algorithm) -> Algorithm:
    """The search learns from the members that were trained to the end, and members go on by the loss measured."""

    def seen(measured: Measured) -> Measured:
        return measured._replace(number=jnp.where(measured.share < 1, -1, measured.number))

    return _told(algorithm, seen)


def _told(algorithm: Algorithm, seen: Callable[[Measured], Measured]) -> Algorithm:
    """The algorithm, which learns ``seen(measured)``, and whose forecast of a loss is the loss itself."""
    revise = algorithm.revise
    assert revise is not None

    def told(key: Array, state: PyTree, measured: Measured) -> tuple[Any, Best, Array]:
        state, best, _ = revise(key, state, seen(measured))
        return state, best, measured.loss

    return algorithm._replace(revise=jax.jit(told))
