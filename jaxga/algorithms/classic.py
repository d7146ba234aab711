"""The genetic algorithm of the textbooks: a population, and four operators of one's choice."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.algorithms.compiled import compiled
from jaxga.algorithms.designs import founders
from jaxga.algorithms.draws import uniform
from jaxga.base import Algorithm, Best, Offspring, Species
from jaxga.checks import check_count, check_number, check_search
from jaxga.operators import crossover as crossovers
from jaxga.operators import mutation as mutations
from jaxga.operators import selection as selections
from jaxga.operators import survival as survivals
from jaxga.operators.crossover import Crossover
from jaxga.operators.mutation import Mutation
from jaxga.operators.selection import Selection
from jaxga.operators.survival import Survival
from jaxga.precision import single_precision
from jaxga.space import SearchSpace

SELECTIONS: dict[str, Callable[[], Selection]] = {
    "truncation": selections.truncation,
    "tournament": selections.tournament,
    "rank": selections.rank,
    "roulette": selections.roulette,
    "stochastic_universal": selections.stochastic_universal,
}
CROSSOVERS: dict[str, Callable[[SearchSpace], Crossover]] = {
    "uniform": crossovers.uniform,
    "one_point": crossovers.one_point,
    "two_point": crossovers.two_point,
    "arithmetic": crossovers.arithmetic,
    "blx_alpha": crossovers.blx_alpha,
    "sbx": crossovers.sbx,
    "differential": crossovers.differential,
}
MUTATIONS: dict[str, Callable[..., Mutation]] = {
    "reset": mutations.reset,
    "gaussian": mutations.gaussian,
    "polynomial": mutations.polynomial,
    "self_adapting": mutations.self_adapting,
}
SURVIVALS: dict[str, Callable[[], Survival]] = {"plus": survivals.plus, "comma": lambda: survivals.comma(1)}


class ClassicState(NamedTuple):
    """generation i32[], the population: genomes f32[P, D], loss f32[P], number i32[P]; the best
    setting so far.
    """

    generation: Array
    genomes: Array
    loss: Array
    number: Array
    best: Best


@single_precision
def classic_ga(
    space: SearchSpace,
    *,
    population_size: int,
    num_parents: int | None = None,
    num_mutations: int = 1,
    selection: str | Selection = "tournament",
    crossover: str | Crossover = "uniform",
    mutation: str | Mutation = "self_adapting",
    survival: str | Survival = "plus",
    crossover_rate: float = 0.9,
) -> Algorithm:
    """A genetic algorithm of the textbook: select parents, cross them, mutate the child, let the best live on.

    Each operator is a name or a function as in ``jaxga.operators``: the place to compare operators, or to try one's
    own. The best is the least loss met, noise or not.

    Args:
        space: the search space (D genes).
        population_size: P, members and children of a generation, at least 2.
        num_parents: size of the mating pool that ``selection`` fills, in [1, P]; default P / 2.
        num_mutations: how many of a child's genes a mutation named here changes, about; at least 1.
        selection: one of ``SELECTIONS``, or ``select(key, loss f32[P], num) -> i32[num]``.
        crossover: one of ``CROSSOVERS``, or a ``Crossover``.
        mutation: one of ``MUTATIONS``, or ``mutate(key, genome f32[D]) -> f32[D]``.
        survival: ``plus``, ``comma`` (one elite), or ``survive(parents f32[P], children f32[P]) -> i32[P]``.
        crossover_rate: in [0, 1], how often a child has more than one parent.

    Raises ``ValueError`` for a number outside its range or an unknown operator.

    Source: D. E. Goldberg, "Genetic algorithms in search, optimization, and machine learning", 1989.
    """
    check_search(space, population_size, 2)
    pool_size = max(1, population_size // 2) if num_parents is None else num_parents
    check_count("num_parents", pool_size, 1, population_size)
    check_count("num_mutations", num_mutations, 1)
    check_number("crossover_rate", crossover_rate, 0, 1)
    changed = (
        {"num_mutations": num_mutations} if mutation == "reset" else {"rate": min(1.0, num_mutations / space.size)}
    )
    select: Selection = _operator("selection", selection, SELECTIONS)
    cross: Crossover = _operator("crossover", crossover, CROSSOVERS, space)
    mutate: Mutation = _operator("mutation", mutation, MUTATIONS, space, **changed)
    survive: Survival = _operator("survival", survival, SURVIVALS)

    def init(key: Array) -> ClassicState:
        return ClassicState(
            generation=jnp.zeros((), jnp.int32),
            genomes=founders(key, population_size, space),
            loss=jnp.full(population_size, jnp.inf, jnp.float32),
            number=jnp.full(population_size, -1, jnp.int32),
            best=Best.none(space.size),
        )

    def child(key: Array, parents: Array) -> tuple[Array, Array]:
        """A genome f32[D] of parents f32[K, D], and whether it has more than the first of them."""
        key_rate, key_cross, key_mutate = jax.random.split(key, 3)
        is_crossed = jax.random.bernoulli(key_rate, crossover_rate)
        genome = jnp.where(is_crossed, cross.combine(key_cross, parents), parents[0])
        return mutate(key_mutate, genome), is_crossed

    def breed(key: Array, state: ClassicState) -> Offspring:
        key_select, key_mates, key_child = jax.random.split(key, 3)
        pool = select(key_select, state.loss, pool_size)
        # The mates of a child are different places of the pool, where it has as many.
        order = jnp.argsort(uniform(key_mates, (population_size, pool_size)), axis=1)
        chosen = pool[order[:, jnp.arange(cross.num_parents) % pool_size]]
        genomes, is_crossed = jax.vmap(child)(jax.random.split(key_child, population_size), state.genomes[chosen])
        parents = state.number[chosen[:, jnp.array([0, -1])]]
        parents = parents.at[:, 1].set(jnp.where(is_crossed, parents[:, 1], -1))
        return Offspring.without_parents(genomes, Species.CHILD)._replace(parents=parents)

    def ask(key: Array, state: ClassicState) -> tuple[Offspring, ClassicState]:
        is_first = state.generation == 0
        offspring = jax.lax.cond(is_first, lambda _, state: Offspring.without_parents(state.genomes), breed, key, state)
        return offspring, state

    def tell(
        key: Array, state: ClassicState, genomes: Array, loss: Array, loss_var: Array | None = None
    ) -> tuple[ClassicState, Best]:
        del key, loss_var
        loss = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
        number = state.generation * population_size + jnp.arange(population_size, dtype=jnp.int32)
        is_first = state.generation == 0
        rows = jnp.where(is_first, population_size + jnp.arange(population_size), survive(state.loss, loss))

        def living(parents: Array, children: Array) -> Array:
            return jnp.concatenate([parents, children])[rows]

        best = state.best.update(genomes, loss)
        state = ClassicState(
            generation=state.generation + 1,
            genomes=living(state.genomes, genomes),
            loss=living(state.loss, loss),
            number=living(state.number, number),
            best=best,
        )
        return state, best

    return compiled(space, population_size, init, ask, tell)


def _operator(field: str, given: Any, named: dict[str, Callable[..., Any]], *arguments: Any, **options: Any) -> Any:
    """What was given, or what its name stands for."""
    if isinstance(given, str) and given in named:
        return named[given](*arguments, **options)
    if callable(given) or isinstance(given, Crossover):
        return given
    raise ValueError(f"{field} must be one of {sorted(named)} or such a function, got {given!r}")
