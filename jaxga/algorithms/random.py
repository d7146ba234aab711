"""Random search: the control that every method has to beat."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxga.algorithms.compiled import compiled
from jaxga.algorithms.draws import uniform
from jaxga.base import Algorithm, Best, Measured, Offspring
from jaxga.checks import check_search
from jaxga.precision import single_precision
from jaxga.space import SearchSpace


class SamplingState(NamedTuple):
    """generation i32[], a random vector f32[D] of the search's own, the best setting so far."""

    generation: Array
    shift: Array
    best: Best


@single_precision
def random_search(space: SearchSpace, *, population_size: int) -> Algorithm:
    """Every member is drawn uniformly from the search space.

    Args:
        space: the search space.
        population_size: P, at least 1.

    Source: J. Bergstra, Y. Bengio, "Random search for hyper-parameter optimization", 2012.
    """
    check_search(space, population_size, 1)
    return sampling("random_search", space, population_size, lambda key, _: uniform(key, (population_size, space.size)))


def sampling(
    name: str, space: SearchSpace, population_size: int, draw: Callable[[Array, SamplingState], Array]
) -> Algorithm:
    """An algorithm whose members ``draw(key, state) -> f32[P, D]`` do not depend on earlier losses."""

    def init(key: Array) -> SamplingState:
        return SamplingState(jnp.zeros((), jnp.int32), uniform(key, (space.size,)), Best.none(space.size))

    def ask(key: Array, state: SamplingState) -> tuple[Offspring, SamplingState]:
        return Offspring.without_parents(space.snap(draw(key, state))), state

    def tell(
        key: Array, state: SamplingState, genomes: Array, loss: Array, loss_var: Array | None = None
    ) -> tuple[SamplingState, Best]:
        del key, loss_var
        best = state.best.update(genomes, loss)
        return SamplingState(state.generation + 1, state.shift, best), best

    def revise(key: Array, state: SamplingState, measured: Measured) -> tuple[SamplingState, Best, Array]:
        del key
        # The best of the whole trainings; while there is none, the first member stands in.
        best = state.best.update(measured.genomes, jnp.where(measured.share == 1.0, measured.loss, jnp.inf))
        return SamplingState(state.generation + 1, state.shift, best), best, measured.loss

    return compiled(name, space, population_size, init, ask, tell, revise)
