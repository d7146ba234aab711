"""The genetic algorithm joined by an invasive species: settings that a model of the loss predicts to be good."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.algorithms.acquisition import greedy_batch, log_expected_improvement
from jaxga.algorithms.archive import Archive, empty, insert, same_rows
from jaxga.algorithms.breeding import Parents, Recipe, best_parents, mixture, num_draws
from jaxga.algorithms.compiled import compiled
from jaxga.algorithms.designs import founders
from jaxga.algorithms.draws import uniform
from jaxga.base import Algorithm, Best, Offspring, PyTree, Species, Surrogate
from jaxga.checks import MAX_POPULATION, check_count, check_search, check_size
from jaxga.precision import single_precision
from jaxga.space import SearchSpace
from jaxga.surrogates import SURROGATES

# From ablations on the development half of experiments/compare.py and on a prototype's problems; _SHRINKAGE is by
# judgement.
_NUM_PARENTS, _PARENTS_A_MEMBER = 32, 2  # small populations have few generations to spend on variety
_INVADER_SHARE, _NOISY_INVADER_SHARE = 0.5, 0.25
_SHRINKAGE = 9.0  # of one noisy evaluation a tenth is believed, of n of them n / (n + 9)
_MIN_STEP, _MAX_STEP = 0.03, 2.0
_NOISY_STRETCH = 2.0  # of all steps once noise is found: the search may not settle where it was lucky
_CHILDREN = Recipe((0.0, 0.2, 0.2, 0.35, 0.25), _MIN_STEP, _MAX_STEP)
_SAMPLE = Recipe((0.2, 0.15, 0.15, 0.25, 0.25), _MIN_STEP, _MAX_STEP)
_NUM_CANDIDATES = 1024
_MIN_ARCHIVE, _MAX_ARCHIVE = 512, 1024  # the surrogates' cost grows with its square and cube
_POOL_SIZE, _POOL_A_INVADER, _POOL_SAMPLE = 384, 3, 128
_CHUNK_SIZE = 4096
_TYPICAL_RANK = 96  # or P, where that is more: of many evaluations the model tells the best apart
_LARGE_LOSS = 1e15  # the sum of the squares of 1,024 of them still fits float32
_DUPLICATE = 1e6  # taken from the score of what is known already


class Candidates(NamedTuple):
    """genomes f32[N, D], the surrogate's prediction of each, mean and std f32[N], and how much it promises f32[N]."""

    genomes: Array
    mean: Array
    std: Array
    score: Array


class InvasiveState(NamedTuple):
    """generation i32[], noisy bool[], the founders f32[P, D], all that is known and what the surrogate says of it.

    Of each row of the archive: ``target`` f32[A] is its standardised loss, ``mean`` the one that the surrogate
    predicts, ``worth`` the one that it breeds by (``+inf`` for no parent). ``best`` i32[] is the row believed best.
    """

    generation: Array
    noisy: Array
    founders: Array
    archive: Archive
    target: Array
    mean: Array
    worth: Array
    best: Array
    params: PyTree


@single_precision
def invasive_ga(
    space: SearchSpace,
    *,
    population_size: int,
    num_parents: int | None = None,
    num_mutations: int = 1,
    num_invaders: int | None = None,
    surrogate: str | Surrogate | Callable[..., Surrogate] | None = "gaussian_process",
    litter_size: int = 4,
    num_candidates: int | None = None,
    archive_size: int | None = None,
    noisy: bool | None = None,
) -> Algorithm:
    """A genetic algorithm joined by invaders, which a surrogate of the loss chooses from a dense sample of the space.

    The first generation is a space-filling design, in many genes drawn in towards the middle of the ranges. Each other
    consists of children of the best members, of which the surrogate keeps the most promising of
    every litter, and of invaders: the candidates of greatest expected improvement, kept apart from one another.

    Args:
        space: the search space (D genes).
        population_size: P, members in a generation, at least 2.
        num_parents: how many of the best members breed, in [1, P - 1]; default 2 P but at most 32, of all
            generations together.
        num_mutations: how many genes a mutation changes, about; at least 1.
        num_invaders: how many of the P are invaders, in [0, P]; default a half, a quarter of them once noise is
            found. 0 is the standard genetic algorithm, without any surrogate: :func:`ga`.
        surrogate: a name from ``jaxga.surrogates.SURROGATES``, such a factory, or a ``Surrogate`` that was
            made for ``num_points=archive_size``.
        litter_size: children bred for one place, of which the surrogate keeps one; at least 1.
        num_candidates: size of the dense sample, in [max(64, P), 2^20]; default 4 P within [1,024, 2^20].
        archive_size: A, evaluations remembered, in [16, 2^20]; default 2 P within [512, 1,024]. Of a full archive the
            best 3/4 and the newest stay.
        noisy: whether two evaluations of a setting may differ; None finds out by two re-evaluations.

    Raises ``ValueError`` for a number outside its range or an unknown surrogate.

    Source: the slides "Evolving Hyperparameters: Learning Enhanced Model Training" (the method).
    """
    check_search(space, population_size, 2)
    if num_parents is not None:
        check_count("num_parents", num_parents, 1)
        if num_parents >= population_size:
            raise ValueError(
                f"num_parents must be below population_size: got {num_parents}, population_size={population_size}"
            )
    check_count("num_mutations", num_mutations, 1)
    if num_invaders is not None:
        check_count("num_invaders", num_invaders, 0, population_size)
    check_count("litter_size", litter_size, 1)
    num_candidates = _num_candidates(population_size) if num_candidates is None else num_candidates
    check_count("num_candidates", num_candidates, max(64, population_size), MAX_POPULATION)
    archive_size = _archive_size(population_size) if archive_size is None else archive_size
    check_size("archive_size", archive_size, 16)
    if noisy is not None and not isinstance(noisy, bool):
        raise ValueError(f"noisy must be True, False or None, got {noisy!r}")
    has_model = num_invaders != 0 and surrogate is not None
    if surrogate is None and num_invaders:
        raise ValueError(f"num_invaders must be 0 without a surrogate, got {num_invaders!r}")
    model = _resolve(surrogate, space, archive_size) if has_model else _no_model()
    num_parents = min(num_parents or min(_NUM_PARENTS, _PARENTS_A_MEMBER * population_size), archive_size)
    breed = mixture(space, num_mutations)
    finds_noise = noisy is None and has_model
    greatest_rank = max(_TYPICAL_RANK, population_size)

    most_invaders = least_invaders = num_invaders or 0
    if num_invaders is None and has_model:
        most_invaders = round(_INVADER_SHARE * population_size)
        least_invaders = round(_NOISY_INVADER_SHARE * population_size)
    most_children = population_size - least_invaders
    litter_size = litter_size if has_model else 1
    num_bred = most_children * litter_size
    pool_size = max(_POOL_SIZE, _POOL_A_INVADER * most_invaders)
    num_chunks = -(-num_candidates // max(_CHUNK_SIZE, pool_size))
    first_chunk = -(-num_candidates // num_chunks) if most_invaders else 0
    pool_size = min(pool_size, first_chunk)
    num_first = num_bred + first_chunk

    def init(key: Array) -> InvasiveState:
        key_founders, key_model = jax.random.split(key)
        return InvasiveState(
            generation=jnp.zeros((), jnp.int32),
            noisy=jnp.array(noisy is True),
            founders=founders(key_founders, population_size, space),
            archive=empty(archive_size, space.size),
            target=jnp.zeros(archive_size),
            mean=jnp.zeros(archive_size),
            worth=jnp.full(archive_size, jnp.inf, jnp.float32),
            best=jnp.zeros((), jnp.int32),
            params=model.init(key_model),
        )

    def judged(state: InvasiveState, incumbent: Array, genomes: Array) -> Candidates:
        if not has_model:
            return Candidates(genomes, *jnp.zeros((3, genomes.shape[0])))
        mean, std = model.predict(state.params, genomes)
        return Candidates(genomes, mean, std, log_expected_improvement(mean, std, incumbent))

    def known(state: InvasiveState, genomes: Array) -> Array:
        """f32[N]: what to take from the promise of a genome that was evaluated already; nothing where that is noisy."""
        seen = (same_rows(genomes, state.archive.genomes) & (state.archive.number >= 0)).any(1)
        return jnp.where(state.noisy, 0.0, _DUPLICATE * seen)

    def best_of_litters(state: InvasiveState, bred: Candidates) -> Array:
        """i32[C]: the place of the most promising of each litter."""
        score = (bred.score - known(state, bred.genomes)).reshape(most_children, litter_size)
        return jnp.arange(most_children) * litter_size + jnp.argmax(score, axis=1)

    def most_promising(
        key: Array, state: InvasiveState, parents: Parents, incumbent: Array, first: Candidates
    ) -> Candidates:
        """The best of a dense sample that begins with ``first``, and some of it, good or bad."""

        def best_of(sample: Candidates) -> Candidates:
            _, rows = jax.lax.top_k(sample.score, pool_size)
            return _rows(sample, rows)

        def add_chunk(kept: Candidates, key: Array) -> tuple[Candidates, None]:
            genomes, _ = breed(uniform(key, (first_chunk, num_draws(space))), parents, (_SAMPLE, first_chunk))
            return best_of(_joined(kept, judged(state, incumbent, genomes))), None

        kept = best_of(first)
        if num_chunks > 1:
            kept, _ = jax.lax.scan(add_chunk, kept, jax.random.split(key, num_chunks - 1))
        return _joined(kept, _rows(first, slice(_POOL_SAMPLE)))

    def batch(state: InvasiveState, incumbent: Array, pool: Candidates) -> Array:
        """i32[I]: the places of the invaders in the pool."""
        if model.covariance is None:
            # A tenth of the cube's diagonal is how far a new point is taken to inform.
            squares = sum(jnp.square(pool.genomes[:, i, None] - pool.genomes[None, :, i]) for i in range(space.size))
            covariance = pool.std[:, None] * pool.std[None, :] * jnp.exp(-50.0 / space.size * squares)
        else:
            covariance = model.covariance(state.params, pool.genomes)
        same = same_rows(pool.genomes, pool.genomes) & ~state.noisy
        return greedy_batch(pool.mean, covariance, incumbent, known(state, pool.genomes), same, most_invaders)

    def next_generation(key: Array, state: InvasiveState) -> Offspring:
        key_draws, key_chunks = jax.random.split(key)
        draws = uniform(key_draws, (num_first, num_draws(space)))
        parents, rows = best_parents(state.archive.genomes, state.worth, num_parents)
        parents = parents._replace(spread=jnp.where(state.noisy, _NOISY_STRETCH, 1.0) * parents.spread)
        incumbent = jnp.min(jnp.where(state.archive.valid, state.mean, jnp.inf), initial=1e6)

        # The children and the first of the sample are bred and judged together: half the program to compile.
        genomes, used = breed(draws, parents, (_CHILDREN, num_bred), (_SAMPLE, first_chunk))
        bred = judged(state, incumbent, genomes)
        chosen = best_of_litters(state, _rows(bred, slice(num_bred))) if most_children else jnp.zeros(0, jnp.int32)
        members, lineage = _rows(bred, chosen), used[chosen]
        lineage = jnp.where(lineage >= 0, state.archive.number[rows][jnp.maximum(lineage, 0)], -1)
        if most_invaders:
            sample = _rows(bred, slice(num_bred, None))
            pool = most_promising(key_chunks, state, parents, incumbent, sample)
            members = _joined(members, _rows(pool, batch(state, incumbent, pool)))
            lineage = jnp.concatenate([lineage, jnp.full((most_invaders, 2), -1, jnp.int32)])

        place = jnp.arange(population_size)
        num_children = population_size - jnp.where(state.noisy, least_invaders, most_invaders)
        invades = place >= num_children
        taken = jnp.where(invades, most_children + place - num_children, place)
        genomes, predicted, lineage = members.genomes[taken], members.mean[taken], lineage[taken]
        species = jnp.where(invades, Species.INVADER, Species.CHILD).astype(jnp.int32)

        # Two early re-evaluations of the best find out whether there is noise; then one a generation.
        again = state.noisy | (finds_noise & (state.generation <= 2))
        last = again & (place == population_size - 1)
        genomes = jnp.where(last[:, None], state.archive.genomes[state.best], genomes)
        species = jnp.where(last, int(Species.SURVIVOR), species)
        lineage = jnp.where(last[:, None], jnp.stack([state.archive.number[state.best], -1]), lineage)
        predicted = _as_loss(state.archive, state.target, jnp.where(last, state.mean[state.best], predicted))
        predicted = jnp.where(has_model & state.archive.valid.any(), predicted, jnp.inf)
        return Offspring(genomes, species, lineage, predicted)

    def ask(key: Array, state: InvasiveState) -> tuple[Offspring, InvasiveState]:
        is_first = state.generation == 0
        offspring = jax.lax.cond(
            is_first, lambda _, state: Offspring.without_parents(state.founders), next_generation, key, state
        )
        return offspring, state

    def tell(
        key: Array, state: InvasiveState, genomes: Array, loss: Array, loss_var: Array | None = None
    ) -> tuple[InvasiveState, Best]:
        loss = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
        is_noisy = state.noisy
        if finds_noise:
            gap = _typical_gap(state.archive, greatest_rank)
            is_noisy |= _differs(state.archive, gap, genomes, loss, loss_var)
        number = state.generation * population_size + jnp.arange(population_size, dtype=jnp.int32)
        archive = insert(state.archive, genomes, loss, number)

        scaled, _ = _scaled(archive)
        target = jnp.where(is_noisy, _normal_score(archive), _winsorised(scaled, _typical_gap(scaled, greatest_rank)))
        params, mean = state.params, state.mean
        if has_model:
            params = model.fit(key, state.params, archive.genomes, target, archive.valid)
            mean, _ = model.predict(params, archive.genomes)
        same = same_rows(archive.genomes, archive.genomes) & archive.valid
        count = jnp.maximum(same.sum(1), 1)
        observed = (same @ target) / count
        value = mean + count / (count + _SHRINKAGE) * (observed - mean) if has_model else observed
        best = jnp.argmin(jnp.where(archive.valid, jnp.where(is_noisy, value, archive.loss), jnp.inf))
        believed = jnp.where(is_noisy, _as_loss(archive, target, value[best]), archive.loss[best])
        # The parents are chosen by what was measured, noise and all: a model's smooth choice of them soon is one
        # small region. A setting is a parent once, however often it was evaluated.
        is_parent = archive.valid & ~jnp.tril(same, -1).any(1)
        worth = jnp.where(is_parent, jnp.where(is_noisy, observed, archive.loss), jnp.inf)
        any_valid = archive.valid.any()
        state = state._replace(
            generation=state.generation + 1,
            noisy=is_noisy,
            archive=archive,
            target=target,
            mean=mean,
            worth=worth,
            best=best.astype(jnp.int32),
            params=params,
        )
        genome = jnp.where(any_valid, archive.genomes[best], genomes[0])
        return state, Best(genome, jnp.where(any_valid, believed, jnp.inf))

    return compiled(space, population_size, init, ask, tell)


def ga(
    space: SearchSpace,
    *,
    population_size: int,
    num_parents: int | None = None,
    num_mutations: int = 1,
    archive_size: int | None = None,
    noisy: bool | None = None,
) -> Algorithm:
    """The standard genetic algorithm: :func:`invasive_ga` with no invaders and no surrogate.

    Args and errors: as there.
    """
    return invasive_ga(
        space,
        population_size=population_size,
        num_parents=num_parents,
        num_mutations=num_mutations,
        num_invaders=0,
        surrogate=None,
        archive_size=archive_size,
        noisy=noisy,
    )


def _resolve(surrogate: Any, space: SearchSpace, archive_size: int) -> Surrogate:
    if isinstance(surrogate, Surrogate):
        return surrogate
    factory: Any = SURROGATES.get(surrogate) if isinstance(surrogate, str) else surrogate
    if not callable(factory):
        allowed = f"one of {sorted(SURROGATES)}, a Surrogate or a factory of one"
        raise ValueError(f"surrogate must be {allowed}, got {surrogate!r}")
    return cast(Surrogate, factory(space, num_points=archive_size))


def _num_candidates(population_size: int) -> int:
    return min(max(_NUM_CANDIDATES, 4 * population_size), MAX_POPULATION)


def _archive_size(population_size: int) -> int:
    return min(max(_MIN_ARCHIVE, 2 * population_size), _MAX_ARCHIVE)


def _rows(candidates: Candidates, rows: Array | slice) -> Candidates:
    return jax.tree.map(lambda field: field[rows], candidates)


def _joined(*parts: Candidates) -> Candidates:
    return jax.tree.map(lambda *fields: jnp.concatenate(fields), *parts)


def _no_model() -> Surrogate:
    return Surrogate(lambda key: (), lambda *_: (), lambda _, genomes: (genomes[:, 0], genomes[:, 0]))


def _standardised(target: Array, valid: Array) -> Array:
    """Mean 0 and standard deviation 1 over the valid rows, 0 elsewhere."""
    count = jnp.maximum(valid.sum(), 1)
    mean = jnp.sum(jnp.where(valid, target, 0.0)) / count
    centred = jnp.where(valid, target - mean, 0.0)
    return centred / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(centred)) / count), 1e-12)


def _winsorised(archive: Archive, typical_gap: Array) -> Array:
    """The standardised loss; what is further from the best than twice the typical gap counts as that far from it."""
    valid = archive.valid
    # Counted from the best, so that float32 keeps the digits that matter.
    shifted = archive.loss - jnp.min(archive.loss)
    clipped = jnp.minimum(jnp.where(valid, shifted, 0.0), 2.0 * typical_gap)
    return _standardised(clipped, valid)


def _typical_gap(archive: Archive, greatest_rank: int) -> Array:
    """f32[]: how far from the least the median loss is, or, of many, that of some rank; 0 where there is none."""
    ordered, count = jnp.sort(archive.loss), archive.valid.sum()
    below, above = (jnp.minimum(place, greatest_rank) for place in (jnp.maximum(count - 1, 0) // 2, count // 2))
    gap = 0.5 * (ordered[below] + ordered[above]) - ordered[0]
    # Where so many are tied at the least, the others still have to be told from them.
    gap = jnp.where(gap > 0, gap, ordered[jnp.maximum(count - 1, 0)] - ordered[0])
    return jnp.where(count > 0, gap, 0.0)


def _normal_score(archive: Archive) -> Array:
    """The standardised normal quantile of each row's rank, ties averaged."""
    valid, loss = archive.valid, archive.loss
    below = jnp.sum(loss[None, :] < loss[:, None], axis=1)
    ties = jnp.sum(loss[None, :] == loss[:, None], axis=1)
    share = (below + 0.5 * ties) / jnp.maximum(valid.sum(), 1)
    return _standardised(jax.scipy.stats.norm.ppf(jnp.clip(share, 1e-4, 1.0 - 1e-4)), valid)


def _scaled(archive: Archive) -> tuple[Archive, Array]:
    """The archive with losses whose squares and differences fit float32, and the unit f32[] they are now in."""
    greatest = jnp.max(jnp.where(archive.valid, jnp.abs(archive.loss), 0.0))
    # At most 1e30: XLA multiplies by the reciprocal, which must not be a subnormal number.
    unit = jnp.where(greatest > _LARGE_LOSS, jnp.minimum(greatest, 1e30), 1.0)
    return archive._replace(loss=archive.loss / unit), unit


def _as_loss(archive: Archive, target: Array, value: Array) -> Array:
    """The loss to which a standardised value belongs, within what was observed; the one grows with the other."""
    archive, unit = _scaled(archive)
    below, above = (archive.valid & side for side in (target <= value[..., None], target >= value[..., None]))
    low, low_loss = (jnp.max(jnp.where(below, row, -jnp.inf), axis=-1) for row in (target, archive.loss))
    high, high_loss = (jnp.min(jnp.where(above, row, jnp.inf), axis=-1) for row in (target, archive.loss))
    first = jnp.where(below.any(-1), low_loss, high_loss)
    last = jnp.where(above.any(-1), high_loss, low_loss)
    inside = jnp.isfinite(high - low) & (high > low)
    return unit * (first + jnp.where(inside, (value - low) / (high - low) * (last - first), 0.0))


def _differs(archive: Archive, typical_gap: Array, genomes: Array, loss: Array, loss_var: Array | None) -> Array:
    """bool[]: whether a setting now has another loss than before, or a loss has a variance."""
    valid = archive.valid
    # Another kernel of a matrix product may round otherwise: that is not noise.
    tolerance = 1e-5 * typical_gap + 1e-6 * jnp.abs(loss)
    again = same_rows(genomes, archive.genomes) & valid[None, :] & jnp.isfinite(loss)[:, None]
    gap = jnp.abs(loss[:, None] - jnp.where(valid, archive.loss, 0.0)[None, :])
    found = (again & (gap > tolerance[:, None])).any()
    if loss_var is not None:
        found |= (jnp.isfinite(loss) & (loss_var > jnp.square(tolerance))).any()
    return found
