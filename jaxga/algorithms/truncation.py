"""The genetic algorithm of deep neuroevolution: truncation, mutation alone, elites that are evaluated again."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.algorithms.compiled import compiled
from jaxga.algorithms.draws import uniform
from jaxga.base import Algorithm, Best, Offspring, Species
from jaxga.checks import check_count, check_number, check_search
from jaxga.operators import mutation
from jaxga.operators.genes import filled
from jaxga.operators.selection import order
from jaxga.precision import single_precision
from jaxga.space import SearchSpace
from jaxga.text import check_choice

Encoding = Literal["genes", "seeds"]

# The elite is the least loss by so many standard errors: a child that was lucky once does not replace it.
_NUM_ERRORS = 2.0


class TruncationState(NamedTuple):
    """What is kept of a generation: its T parents, the elite first, the others by their loss.

    Attributes:
        generation: i32[].
        root: u32[2], the seed of every member's own random numbers.
        code: the parents, as their encoding has them: genes f32[T, D], or seeds i32[T, G].
        loss: f32[T], the mean over the evaluations of each that did not fail.
        times: f32[T], how many these were.
        number: i32[T], member numbers.
        mates: i32[P], the parent of each member that was asked for; -1 where none was.
    """

    generation: Array
    root: Array
    code: Array
    loss: Array
    times: Array
    number: Array
    mates: Array


class _Code(NamedTuple):
    """How an encoding holds members.

    Attributes:
        empty: ``empty(num) -> code`` of no members.
        open: ``open(code) -> code`` of parents, with room for one more mutation.
        genomes: ``genomes(root, code) -> f32[N, D]``.
        child: ``child(open code, numbers i32[N], genomes f32[N, D]) -> code`` of children, of that of their parents.
    """

    empty: Callable[[int], Array]
    open: Callable[[Array], Array]
    genomes: Callable[[Array, Array], Array]
    child: Callable[[Array, Array, Array], Array]


class _Draws(NamedTuple):
    """What a member is made of: its own random numbers, by the search's root u32[2] and its number i32[].

    Attributes:
        founder: ``founder(root, number) -> genome f32[D]``.
        mutant: ``mutant(root, number, parent f32[D]) -> genome f32[D]``.
    """

    founder: Callable[[Array, Array], Array]
    mutant: Callable[[Array, Array, Array], Array]


@single_precision
def truncation_ga(
    space: SearchSpace,
    *,
    population_size: int,
    num_parents: int | None = None,
    num_elites: int | None = None,
    mutation_scale: float = 0.03,
    encoding: Encoding = "genes",
    max_mutations: int = 256,
) -> Algorithm:
    """The genetic algorithm of deep neuroevolution, for thousands of genes and a noisy objective.

    Each child is one of the T best members, drawn uniformly, with a normal step in every gene; there is no crossover.
    The best E members are evaluated again in every generation, and the loss of each is the mean over its evaluations.
    The elite, which is the best setting, is the one with the least loss when two standard errors are added, of the
    noise that these repetitions show. It stays until another one takes its place; a parent that is not evaluated again
    is one for a single generation.

    Args:
        space: the search space (D genes).
        population_size: P, at least 2.
        num_parents: T, in [1, P]; default P / 8.
        num_elites: E, in [1, T] and below P; default P / 32.
        mutation_scale: standard deviation of a step in the unit cube, above 0.
        encoding: what is kept of a parent: ``"genes"``, or ``"seeds"``, the member numbers of its ancestors and its
            own. From these its genes are made again, a mutation each. A parent then takes 4 G bytes instead of 4 D and
            G times as long. Genomes that ``ask`` did not give have no seeds, so there is no warm start.
        max_mutations: G, at least 2, of ``"seeds"``: children of a parent with more ancestors lack its last mutation.

    Raises ``ValueError`` for a number outside its range or another encoding.

    Source: F. P. Such, V. Madhavan, E. Conti, J. Lehman, K. O. Stanley, J. Clune, "Deep neuroevolution: genetic
    algorithms are a competitive alternative for training deep neural networks for reinforcement learning", 2018. There
    the ten best play 30 more episodes each, and only the elite stays.
    """
    check_search(space, population_size, 2)
    pool_size = max(1, population_size // 8) if num_parents is None else num_parents
    check_count("num_parents", pool_size, 1, population_size)
    most_elites = min(pool_size, population_size - 1)
    num_again = min(most_elites, max(1, population_size // 32)) if num_elites is None else num_elites
    check_count("num_elites", num_again, 1, most_elites)
    check_number("mutation_scale", mutation_scale, 0, above=True)
    check_choice("encoding", encoding, get_args(Encoding))
    check_count("max_mutations", max_mutations, 2)
    draws = _draws(space, mutation_scale)
    code = _genes(space) if encoding == "genes" else _seeds(draws, max_mutations)
    place = jnp.arange(population_size, dtype=jnp.int32)

    def init(key: Array) -> TruncationState:
        return TruncationState(
            generation=jnp.zeros((), jnp.int32),
            root=jax.random.bits(key, (2,), jnp.uint32),
            code=code.empty(pool_size),
            loss=jnp.full(pool_size, jnp.inf, jnp.float32),
            times=jnp.zeros(pool_size),
            number=jnp.full(pool_size, -1, jnp.int32),
            mates=jnp.full(population_size, -1, jnp.int32),
        )

    def found(key: Array, state: TruncationState) -> tuple[Offspring, Array]:
        del key
        genomes = jax.vmap(draws.founder, (None, 0))(state.root, place)
        return Offspring.without_parents(genomes), jnp.zeros_like(place)

    def breed(key: Array, state: TruncationState) -> tuple[Offspring, Array]:
        num_valid = jnp.maximum(jnp.isfinite(state.loss).sum(), 1)
        drawn = jnp.floor(uniform(key, (population_size,)) * num_valid).astype(jnp.int32)
        is_again = place < num_again
        mates = jnp.where(is_again, place, drawn)
        numbers = state.generation * population_size + place
        parents = code.genomes(state.root, code.open(state.code))[mates]
        children = jax.vmap(draws.mutant, (None, 0, 0))(state.root, numbers, parents)
        genomes = children.at[:num_again].set(code.genomes(state.root, state.code[:num_again]))
        species = jnp.where(is_again, int(Species.SURVIVOR), int(Species.CHILD)).astype(jnp.int32)
        offspring = Offspring.without_parents(genomes, species)
        return offspring._replace(parents=offspring.parents.at[:, 0].set(state.number[mates])), mates

    def ask(key: Array, state: TruncationState) -> tuple[Offspring, TruncationState]:
        offspring, mates = jax.lax.cond(state.generation == 0, found, breed, key, state)
        return offspring, state._replace(mates=mates)

    def tell(
        key: Array, state: TruncationState, genomes: Array, loss: Array, loss_var: Array | None = None
    ) -> tuple[TruncationState, Best]:
        del key, loss_var
        again = (place < num_again) & (state.generation > 0) & (state.mates >= 0)
        kept_loss, kept_times, noise = _repeated(
            state.loss[:num_again], state.times[:num_again], loss[:num_again], again[:num_again]
        )
        is_new = jnp.isfinite(loss) & ~again
        # Children first: while all have failed, the first of them stands in.
        loss = jnp.concatenate([jnp.where(is_new, loss, jnp.inf), kept_loss])
        times = jnp.concatenate([is_new.astype(jnp.float32), kept_times])
        numbers = state.generation * population_size + place
        children = code.child(code.open(state.code)[state.mates], numbers, genomes)
        numbers = jnp.concatenate([numbers, state.number[:num_again]])
        codes = jnp.concatenate([children, state.code[:num_again]])
        elite = jnp.argmin(loss + _NUM_ERRORS * jnp.sqrt(noise / jnp.maximum(times, 1.0)))
        rows = order(loss.at[elite].set(-jnp.inf))[:pool_size]
        kept = code.genomes(state.root, state.code[:num_again])
        best = Best(jnp.concatenate([genomes, kept])[elite], loss[elite])
        parents = (codes[rows], loss[rows], times[rows], numbers[rows])
        return TruncationState(state.generation + 1, state.root, *parents, mates=jnp.full_like(place, -1)), best

    return compiled("truncation_ga", space, population_size, init, ask, tell)


def _repeated(mean: Array, times: Array, loss: Array, again: Array) -> tuple[Array, Array, Array]:
    """Means f32[E] and numbers of evaluations with one more loss where ``again`` bool[E], and the noise's variance.

    A loss that is not finite is not counted. The variance f32[] is that of a single loss, 0 where none was repeated.
    """
    counted, known = again & jnp.isfinite(loss), times > 0
    difference = jnp.where(counted & known, loss, 0.0) - jnp.where(counted & known, mean, 0.0)
    # The difference of a loss from the mean of n others has the variance (n + 1) / n of a single one.
    square = jnp.square(difference) * times / (times + 1.0)
    variance = square.sum() / jnp.maximum((counted & known).sum(), 1)
    mean = jnp.where(known, mean + difference / (times + 1.0), jnp.where(counted, loss, jnp.inf))
    return mean, times + counted, variance


def _draws(space: SearchSpace, mutation_scale: float) -> _Draws:
    mutate = mutation.gaussian(space, rate=1.0, scale=mutation_scale)
    num_filled = space.size if space.conditions else 0

    def numbers(root: Array, number: Array, num: int) -> Array:
        key = jax.random.wrap_key_data(root, impl="threefry2x32")
        return uniform(jax.random.fold_in(key, number), (num,))

    def founder(root: Array, number: Array) -> Array:
        return space.snap(numbers(root, number, space.size))

    def mutant(root: Array, number: Array, parent: Array) -> Array:
        own = numbers(root, number, mutate.num_draws + num_filled)
        if space.conditions:
            parent = filled(space, own[mutate.num_draws :], parent[None])[0]
        return space.masked(mutate.apply(own[: mutate.num_draws], parent[None], jnp.ones(space.size)))

    return _Draws(founder, mutant)


def _genes(space: SearchSpace) -> _Code:
    return _Code(
        empty=lambda num: jnp.zeros((num, space.size)),
        open=lambda code: code,
        genomes=lambda root, code: code,
        child=lambda code, numbers, genomes: genomes,
    )


def _seeds(draws: _Draws, max_mutations: int) -> _Code:
    """A row i32[G] of member numbers: the founder, its descendants down to the member itself, and -1s."""

    def length(code: Array) -> Array:
        return (code >= 0).sum(-1)

    def genomes(root: Array, code: Array) -> Array:
        def mutated(k: Array, made: Array) -> Array:
            mutants = jax.vmap(draws.mutant, (None, 0, 0))(root, code[:, k], made)
            return jnp.where((k < length(code))[:, None], mutants, made)

        founders = jax.vmap(draws.founder, (None, 0))(root, code[:, 0])
        return jax.lax.fori_loop(1, length(code).max(), mutated, founders)

    def child(code: Array, numbers: Array, genomes: Array) -> Array:
        del genomes
        return code.at[jnp.arange(code.shape[0]), length(code)].set(numbers)

    return _Code(
        empty=lambda num: jnp.full((num, max_mutations), -1, jnp.int32),
        open=lambda code: code.at[:, -1].set(-1),
        genomes=genomes,
        child=child,
    )
