"""Begin where an earlier search ended."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import Algorithm, Info, PyTree


class WarmState(NamedTuple):
    """Attributes:
    is_first: bool[], whether the first generation is still to be asked for.
    algorithm: the state of the algorithm that was given.
    """

    is_first: Array
    algorithm: PyTree


def warm_start(algorithm: Algorithm, genomes: Array) -> Algorithm:
    """The algorithm, its first generation made of given genomes, and of its own where there are fewer than P.

    They are evaluated again, as any member is, and so reach the population and the archive by the algorithm's own
    ``tell``: what an earlier search measured of them, on other data or under other seeds, is not taken over.

    Args:
        algorithm: any whose ``tell`` takes genomes that its ``ask`` did not give.
        genomes: f32[N, D] in the unit cube, most promising first, N >= 1; those after the P-th are left out.
    """
    num_given = min(genomes.shape[0], algorithm.population_size)
    given = jnp.asarray(genomes, jnp.float32)[:num_given]

    def init(key: Array) -> WarmState:
        return WarmState(jnp.array(True), algorithm.init(key))

    def ask(key: Array, state: WarmState) -> tuple[Array, WarmState]:
        asked, inner = algorithm.ask(key, state.algorithm)
        genomes = jnp.where(state.is_first, asked.at[:num_given].set(given), asked)
        return genomes, WarmState(jnp.array(False), inner)

    def tell(
        key: Array, state: WarmState, genomes: Array, loss: Array, loss_var: Array | None = None
    ) -> tuple[WarmState, Info]:
        inner, info = algorithm.tell(key, state.algorithm, genomes, loss, loss_var)
        return WarmState(state.is_first, inner), info

    return Algorithm(jax.jit(init), jax.jit(ask), jax.jit(tell), algorithm.population_size)
