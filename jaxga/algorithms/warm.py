"""Searches that begin with given settings, or with the results of an earlier search."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import Algorithm, Best, Measured, Offspring, PyTree


class WarmState(NamedTuple):
    """Attributes:
    is_first: bool[], whether the first generation has not been asked for yet.
    algorithm: the state of the algorithm that was given.
    """

    is_first: Array
    algorithm: PyTree


def warm_start(algorithm: Algorithm, genomes: Array) -> Algorithm:
    """The algorithm with given genomes in its first generation; its own genomes fill the generation up to P members.

    The given genomes are evaluated as any member is, so they reach the algorithm by its own ``tell``.

    Args:
        algorithm: any whose ``tell`` takes genomes that its ``ask`` did not give.
        genomes: f32[N, D] in the unit cube, the most promising first, N >= 1; only the first P are used.
    """
    num_given = min(genomes.shape[0], algorithm.population_size)
    given = Offspring.without_parents(jnp.asarray(genomes, jnp.float32)[:num_given])

    def init(key: Array) -> WarmState:
        return WarmState(jnp.array(True), algorithm.init(key))

    def ask(key: Array, state: WarmState) -> tuple[Offspring, WarmState]:
        asked, inner = algorithm.ask(key, state.algorithm)
        warm = jax.tree.map(lambda own, rows: own.at[:num_given].set(rows), asked, given)
        offspring = jax.tree.map(lambda *pair: jnp.where(state.is_first, *pair), warm, asked)
        return offspring, WarmState(jnp.array(False), inner)

    def tell(
        key: Array, state: WarmState, genomes: Array, loss: Array, loss_var: Array | None = None
    ) -> tuple[WarmState, Best]:
        inner, best = algorithm.tell(key, state.algorithm, genomes, loss, loss_var)
        return WarmState(state.is_first, inner), best

    def revise(key: Array, state: WarmState, measured: Measured) -> tuple[WarmState, Best, Array]:
        assert algorithm.revise is not None
        inner, best, forecast = algorithm.revise(key, state.algorithm, measured)
        return WarmState(state.is_first, inner), best, forecast

    return algorithm._replace(
        init=jax.jit(init),
        ask=jax.jit(ask),
        tell=jax.jit(tell),
        revise=None if algorithm.revise is None else jax.jit(revise),
    )


def informed(algorithm: Algorithm, genomes: Array, loss: Array) -> Algorithm:
    """The algorithm with earlier evaluations in its memory: not repeated, and known to the surrogate.

    The evaluations are told to the algorithm, P at a time, before the first generation, which is then bred from them.
    They count for the best setting so far. They have no member numbers, so no member has them as parents.

    Args:
        algorithm: any whose ``tell`` takes genomes that its ``ask`` did not give.
        genomes: f32[N, D] in the unit cube, oldest first, N >= 1.
        loss: f32[N], lower is better; ``+inf`` or NaN is a failed member.
    """
    size = algorithm.population_size
    num_given = genomes.shape[0]
    num_tells = -(-num_given // size)
    # Failed members fill the last tell up to P: no algorithm learns from them.
    place = jnp.arange(num_tells * size)
    given = jnp.asarray(genomes, jnp.float32)[place % num_given].reshape(num_tells, size, -1)
    losses = jnp.where(place < num_given, jnp.asarray(loss, jnp.float32)[place % num_given], jnp.inf)
    first_number = num_tells * size

    def init(key: Array) -> PyTree:
        key_init, key_tell = jax.random.split(key)

        def learn(state: PyTree, earlier: tuple[Array, Array, Array]) -> tuple[PyTree, None]:
            return algorithm.tell(earlier[0], state, earlier[1], earlier[2], jnp.zeros(size))[0], None

        earlier = (jax.random.split(key_tell, num_tells), given, losses.reshape(num_tells, size))
        return jax.lax.scan(learn, algorithm.init(key_init), earlier)[0]

    def ask(key: Array, state: PyTree) -> tuple[Offspring, PyTree]:
        offspring, state = algorithm.ask(key, state)
        parents = jnp.where(offspring.parents >= first_number, offspring.parents - first_number, -1)
        return offspring._replace(parents=parents), state

    def revise(key: Array, state: PyTree, measured: Measured) -> tuple[PyTree, Best, Array]:
        assert algorithm.revise is not None
        number = jnp.where(measured.number >= 0, measured.number + first_number, -1)
        return algorithm.revise(key, state, measured._replace(number=number))

    return algorithm._replace(
        init=jax.jit(init), ask=jax.jit(ask), revise=None if algorithm.revise is None else jax.jit(revise)
    )
