"""The genetic algorithm: a population, and four operators of one's choice."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.algorithms.compiled import compiled
from jaxga.algorithms.designs import founders
from jaxga.algorithms.draws import uniform
from jaxga.base import Algorithm, Best, Offspring, Operator, Species
from jaxga.checks import check_count, check_number, check_search
from jaxga.operators import CROSSOVERS, MUTATIONS, SELECTIONS, SURVIVALS, Selection, Survival
from jaxga.operators.genes import filled
from jaxga.operators.selection import distinct
from jaxga.precision import single_precision
from jaxga.space import SearchSpace


class GeneticState(NamedTuple):
    """generation i32[]; the population's genomes f32[P, D], loss f32[P], number i32[P]; the best setting so far."""

    generation: Array
    genomes: Array
    loss: Array
    number: Array
    best: Best


@single_precision
def ga(
    space: SearchSpace,
    *,
    population_size: int,
    num_parents: int | None = None,
    num_mutations: int = 1,
    selection: str | Selection = "tournament",
    crossover: str | Operator = "uniform",
    mutation: str | Operator = "self_adapting",
    survival: str | Survival = "plus",
    crossover_rate: float = 0.9,
) -> Algorithm:
    """The genetic algorithm: select parents, cross them, mutate the children, keep the best of both.

    Each operator is a name, or an object as in ``jaxga.operators``. The best setting is the one with the least loss
    met, also if the objective is noisy.

    Args:
        space: the search space (D genes).
        population_size: P, members and children of a generation, at least 2.
        num_parents: size of the mating pool that ``selection`` fills, in [1, P]; default P / 2.
        num_mutations: the mean number of a child's genes that a mutation named here changes, about; in [1, D].
        selection: one of ``SELECTIONS``, or a ``Selection``.
        crossover: one of ``CROSSOVERS``, or an ``Operator``.
        mutation: one of ``MUTATIONS``, or an ``Operator`` of one parent; its ``scale`` is 1, the unit cube.
        survival: ``plus``, ``comma`` (one elite), or ``survive(parents f32[P], children f32[P]) -> i32[P]``.
        crossover_rate: in [0, 1], how often a child has more than one parent.

    Raises ``ValueError`` for a number outside its range or an unknown operator.

    Source: D. E. Goldberg, "Genetic algorithms in search, optimization, and machine learning", 1989.
    """
    check_search(space, population_size, 2)
    pool_size = max(1, population_size // 2) if num_parents is None else num_parents
    check_count("num_parents", pool_size, 1, population_size)
    check_count("num_mutations", num_mutations, 1, space.size)
    check_number("crossover_rate", crossover_rate, 0, 1)
    select: Selection = _resolved("selection", selection, SELECTIONS, Selection)
    cross: Operator = _resolved("crossover", crossover, CROSSOVERS, Operator, space)
    mutate: Operator = _resolved("mutation", mutation, MUTATIONS, Operator, space, rate=num_mutations / space.size)
    survive: Survival = _resolved("survival", survival, SURVIVALS, Callable)
    if mutate.num_parents > 1:
        raise ValueError(f"mutation must have at most 1 parent, got {mutate.num_parents}")
    num_mates = max(1, cross.num_parents)

    def init(key: Array) -> GeneticState:
        del key
        return GeneticState(
            generation=jnp.zeros((), jnp.int32),
            genomes=jnp.zeros((population_size, space.size)),
            loss=jnp.full(population_size, jnp.inf, jnp.float32),
            number=jnp.full(population_size, -1, jnp.int32),
            best=Best.none(space.size),
        )

    def found(key: Array, state: GeneticState) -> Offspring:
        del state
        return Offspring.without_parents(founders(key, population_size, space))

    def child(draws: Array, parents: Array) -> tuple[Array, Array]:
        """A genome f32[D] of parents f32[K, D], and whether it has more than the first of them."""
        is_crossed, scale = draws[0] < crossover_rate, jnp.ones(space.size)
        for_cross, for_mutation, filling = jnp.split(draws[1:], np.cumsum([cross.num_draws, mutate.num_draws]))
        if space.conditions:
            parents = filled(space, filling, parents)
        crossed = cross.apply(for_cross, parents, scale)
        _check_result("apply of the crossover", crossed, space.size, "f32")
        mutated = mutate.apply(for_mutation, jnp.where(is_crossed, crossed, parents[0])[None], scale)
        _check_result("apply of the mutation", mutated, space.size, "f32")
        return space.masked(mutated), is_crossed

    def breed(key: Array, state: GeneticState) -> Offspring:
        num_draws = num_mates + 1 + cross.num_draws + mutate.num_draws + (space.size if space.conditions else 0)
        # One call of the generator, because XLA takes about a second to compile each.
        draws = uniform(key, (pool_size * select.num_draws + population_size * num_draws,))
        for_pool, for_children = jnp.split(draws, [pool_size * select.num_draws])
        for_children = for_children.reshape(population_size, num_draws)
        pool = select.choose(for_pool.reshape(pool_size, select.num_draws), state.loss)
        _check_result("choose of the selection", pool, pool_size, "i32")
        mates = pool[distinct(for_children[:, :num_mates], pool_size)]
        genomes, is_crossed = jax.vmap(child)(for_children[:, num_mates:], state.genomes[mates])
        parents = state.number[mates[:, jnp.array([0, -1])]]
        parents = parents.at[:, 1].set(jnp.where(is_crossed, parents[:, 1], -1))
        return Offspring.without_parents(genomes, Species.CHILD)._replace(parents=parents)

    def ask(key: Array, state: GeneticState) -> tuple[Offspring, GeneticState]:
        return jax.lax.cond(state.generation == 0, found, breed, key, state), state

    def tell(
        key: Array, state: GeneticState, genomes: Array, loss: Array, loss_var: Array | None = None
    ) -> tuple[GeneticState, Best]:
        del key, loss_var
        loss = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
        place = jnp.arange(population_size, dtype=jnp.int32)
        children = (genomes, loss, state.generation * population_size + place)
        rows = jnp.where(state.generation == 0, population_size + place, survive(state.loss, loss))
        together = zip((state.genomes, state.loss, state.number), children, strict=True)
        best = state.best.update(genomes, loss)
        genomes, loss, number = (jnp.concatenate(pair)[rows] for pair in together)
        return GeneticState(state.generation + 1, genomes, loss, number, best), best

    return compiled("ga", space, population_size, init, ask, tell)


def _resolved(
    field: str, given: Any, named: Mapping[str, Callable[..., Any]], kind: Any, *arguments: Any, **options: Any
) -> Any:
    """The operator that was given, or that a name stands for."""
    if isinstance(given, str) and given in named:
        return named[given](*arguments, **options)
    if isinstance(given, kind):
        return given
    own = {Selection: "a Selection", Operator: "an Operator"}.get(kind, "a function")
    raise ValueError(f"{field} must be one of {sorted(named)}, or {own}, got {given!r}")


def _check_result(what: str, result: Any, length: int, kind: str) -> None:
    """Raise ``ValueError`` unless an operator returns ``length`` numbers: JAX would broadcast or repeat others."""
    is_right_kind = kind == "f32" or jnp.issubdtype(jnp.result_type(result), jnp.integer)
    if jnp.shape(result) != (length,) or not is_right_kind:
        given = f"{jnp.result_type(result)}{list(jnp.shape(result))}"
        raise ValueError(f"{what} must return {kind}[{length}], got {given}")
