"""Random search: the control that every method has to beat."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxga.algorithms.compiled import compiled
from jaxga.algorithms.draws import uniform
from jaxga.base import Algorithm, Info, Species
from jaxga.checks import check_search
from jaxga.precision import single_precision
from jaxga.space import SearchSpace


class SamplingState(NamedTuple):
    """generation i32[], a random vector f32[D] of the search's own, the best genome f32[D] so far, its loss f32[]."""

    generation: Array
    shift: Array
    best_genome: Array
    best_loss: Array


@single_precision
def random_search(space: SearchSpace, *, population_size: int) -> Algorithm:
    """Every member is drawn uniformly from the search space.

    Args:
        space: the search space.
        population_size: P, at least 1.

    Source: J. Bergstra, Y. Bengio, "Random search for hyper-parameter optimization", 2012.
    """
    check_search(space, population_size, 1)

    def ask(key: Array, state: SamplingState) -> tuple[Array, SamplingState]:
        return space.snap(uniform(key, (population_size, space.size))), state

    return sampling(space, population_size, ask)


def sampling(space: SearchSpace, population_size: int, ask: Callable[..., tuple[Array, SamplingState]]) -> Algorithm:
    """An algorithm that only remembers the best: everything but how members are drawn."""

    def init(key: Array) -> SamplingState:
        return SamplingState(
            generation=jnp.zeros((), jnp.int32),
            shift=uniform(key, (space.size,)),
            best_genome=jnp.zeros(space.size),
            best_loss=jnp.full((), jnp.inf, jnp.float32),
        )

    def tell(
        key: Array, state: SamplingState, genomes: Array, loss: Array, loss_var: Array | None = None
    ) -> tuple[SamplingState, Info]:
        del key, loss_var
        loss = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
        best = jnp.argmin(loss)
        # The first genome stands in until a member has a loss.
        better = (loss[best] < state.best_loss) | (state.generation == 0)
        best_genome = jnp.where(better, genomes[best], state.best_genome)
        best_loss = jnp.minimum(loss[best], state.best_loss)
        info = Info(
            species=jnp.full(population_size, int(Species.FOUNDER), jnp.int32),
            parents=jnp.full((population_size, 2), -1, jnp.int32),
            predicted=jnp.full(population_size, jnp.inf, jnp.float32),
            best_genome=best_genome,
            best_loss=best_loss,
        )
        return SamplingState(state.generation + 1, state.shift, best_genome, best_loss), info

    return compiled(space, population_size, init, ask, tell)
