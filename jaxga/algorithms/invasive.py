"""The genetic algorithm joined by an invasive species: settings that a model of the loss predicts to be good."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.algorithms.acquisition import greedy_batch, log_expected_improvement
from jaxga.algorithms.archive import Archive, empty, insert, same_rows
from jaxga.algorithms.breeding import Parents, Recipe, best_parents, mixture, num_draws
from jaxga.algorithms.checks import check_count
from jaxga.algorithms.designs import maximin_latin_hypercube
from jaxga.base import Algorithm, Info, PyTree, Species, Surrogate
from jaxga.space import SearchSpace
from jaxga.surrogates import SURROGATES

# From a prototype's ablation on synthetic problems and hyperparameter tables;
# _SHRINKAGE and _NUM_MEASURED are by judgement.
_NUM_PARENTS = 32
_LITTER = 4  # children bred for one place, of which the surrogate keeps one
_INVADER_SHARE, _NOISY_INVADER_SHARE = 0.5, 0.25
_SHRINKAGE = 9.0  # of one noisy evaluation a tenth is believed, of n of them n / (n + 9)
_MIN_STEP, _MAX_STEP = 0.03, 2.0
_CHILDREN = Recipe((0.0, 0.2, 0.2, 0.35, 0.25), _MIN_STEP, _MAX_STEP)
_SAMPLE = Recipe((0.2, 0.15, 0.15, 0.25, 0.25), _MIN_STEP, _MAX_STEP)
_REFINED = Recipe((0.0, 0.25, 0.25, 0.3, 0.2), 0.02, 1.0)
_ROUNDS, _REFINED_SIZE, _NUM_REFINED_PARENTS = 2, 512, 48
_POOL_SIZE, _POOL_SAMPLE = 384, 128
_CHUNK_SIZE = 4096
_DUPLICATE = 1e6  # taken from the score of what is known already


class InvasiveState(NamedTuple):
    """generation i32[], noisy bool[], the founders f32[P, D], all that is known and what the surrogate says of it.

    ``value`` f32[A] is the standardised loss that each row of the archive is believed to have (``+inf``
    where there is none), ``mean`` f32[A] the surrogate's prediction of it. The last three fields
    describe the genomes asked last.
    """

    generation: Array
    noisy: Array
    founders: Array
    archive: Archive
    value: Array
    mean: Array
    params: PyTree
    species: Array
    parents: Array
    predicted: Array


def invasive_ga(
    space: SearchSpace,
    *,
    population_size: int,
    num_parents: int | None = None,
    num_mutations: int = 1,
    num_invaders: int | None = None,
    surrogate: str | Surrogate | Callable[..., Surrogate] | None = "gaussian_process",
    num_candidates: int = 1024,
    archive_size: int = 512,
    noisy: bool | None = None,
) -> Algorithm:
    """A genetic algorithm joined by invaders, which a surrogate of the loss chooses from a dense sample of the space.

    Each generation consists of children of the best members, of which the surrogate keeps the most promising of
    every litter, and of invaders: the candidates of greatest expected improvement, kept apart from one another.

    Args:
        space: the search space (D genes).
        population_size: P, members in a generation, at least 2.
        num_parents: how many of the best members breed, in [1, P - 1]; default 32, of all generations together.
        num_mutations: how many genes a mutation changes, about; at least 1.
        num_invaders: how many of the P are invaders, in [0, P]; default a half, a quarter of them once noise is
            found. 0 is the standard genetic algorithm, without any surrogate: :func:`ga`.
        surrogate: a name from ``jaxga.surrogates.SURROGATES``, such a factory, or a ``Surrogate`` that was
            made for ``num_points=archive_size``.
        num_candidates: size of the dense sample, in [64, 2^20].
        archive_size: A, evaluations remembered, at least 2 P; of a full archive the best 3/4 and the newest stay.
        noisy: whether two evaluations of a setting may differ; None finds out by two re-evaluations.

    Raises ``ValueError`` for a number outside its range or an unknown surrogate.

    Source: the slides "Evolving Hyperparameters: Learning Enhanced Model Training" (the method).
    """
    check_count("population_size", population_size, 2)
    if num_parents is not None:
        check_count("num_parents", num_parents, 1)
        if num_parents >= population_size:
            raise ValueError(
                f"num_parents must be below population_size: got {num_parents}, population_size={population_size}"
            )
    check_count("num_mutations", num_mutations, 1)
    if num_invaders is not None:
        check_count("num_invaders", num_invaders, 0, population_size)
    check_count("num_candidates", num_candidates, 64, 2**20)
    check_count("archive_size", archive_size, 2 * population_size)
    if noisy not in (None, True, False):
        raise ValueError(f"noisy must be True, False or None, got {noisy!r}")
    has_model = num_invaders != 0 and surrogate is not None
    if surrogate is None and num_invaders:
        raise ValueError(f"num_invaders must be 0 without a surrogate, got {num_invaders!r}")
    model = _resolve(surrogate, space, archive_size) if has_model else _no_model()
    num_parents = min(num_parents or _NUM_PARENTS, archive_size)
    breed = mixture(space, num_mutations)
    finds_noise = noisy is None and has_model

    most_invaders = least_invaders = num_invaders or 0
    if num_invaders is None and has_model:
        most_invaders = round(_INVADER_SHARE * population_size)
        least_invaders = round(_NOISY_INVADER_SHARE * population_size)
    most_children = population_size - least_invaders
    num_bred = most_children * (_LITTER if has_model else 1)
    num_chunks = -(-num_candidates // _CHUNK_SIZE)
    first_chunk = -(-num_candidates // num_chunks)
    num_sampled = first_chunk + _ROUNDS * _REFINED_SIZE if most_invaders else 0

    def init(key: Array) -> InvasiveState:
        key_founders, key_model = jax.random.split(key)
        return InvasiveState(
            generation=jnp.zeros((), jnp.int32),
            noisy=jnp.array(noisy is True),
            founders=space.snap(maximin_latin_hypercube(key_founders, population_size, space.size)),
            archive=empty(archive_size, space.size),
            value=jnp.full(archive_size, jnp.inf, jnp.float32),
            mean=jnp.zeros(archive_size),
            params=model.init(key_model),
            species=jnp.full(population_size, int(Species.FOUNDER), jnp.int32),
            parents=jnp.full((population_size, 2), -1, jnp.int32),
            predicted=jnp.full(population_size, jnp.nan, jnp.float32),
        )

    def promise(state: InvasiveState, incumbent: Array, genomes: Array) -> Array:
        """f32[N]: the log expected improvement of each genome."""
        return log_expected_improvement(*model.predict(state.params, genomes), incumbent)

    def known(state: InvasiveState, genomes: Array) -> Array:
        """f32[N]: what to take from the promise of a genome that was evaluated already; nothing where that is noisy."""
        seen = (same_rows(genomes, state.archive.genomes) & (state.archive.number >= 0)).any(1)
        return jnp.where(state.noisy, 0.0, _DUPLICATE * seen)

    def children(draws: Array, state: InvasiveState, parents: Parents, incumbent: Array) -> tuple[Array, Array]:
        genomes, used = breed(draws, parents, _CHILDREN)
        if not has_model:
            return genomes, used
        score = promise(state, incumbent, genomes) - known(state, genomes)
        first = jnp.arange(most_children) * _LITTER
        chosen = first + jnp.argmax(score.reshape(most_children, _LITTER), axis=1)
        return genomes[chosen], used[chosen]

    def candidates(draws: Array, key: Array, state: InvasiveState, parents: Parents, incumbent: Array) -> Array:
        """f32[N, D]: the most promising of a dense sample, refined around the best of it, and some of the sample."""

        def best_of(genomes: Array, score: Array) -> tuple[Array, Array]:
            score, rows = jax.lax.top_k(score, min(_POOL_SIZE, num_candidates))
            return genomes[rows], score

        def joined(kept: tuple[Array, Array], draws: Array, parents: Parents, recipe: Recipe) -> tuple[Array, Array]:
            fresh, _ = breed(draws, parents, recipe)
            score = promise(state, incumbent, fresh)
            return best_of(jnp.concatenate([kept[0], fresh]), jnp.concatenate([kept[1], score]))

        def add_chunk(kept: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], None]:
            more = jax.random.uniform(key, (first_chunk, num_draws(space)))
            return joined(kept, more, parents, _SAMPLE), None

        def refine(kept: tuple[Array, Array], draws: Array) -> tuple[tuple[Array, Array], None]:
            best, _ = best_parents(kept[0], -kept[1], min(_NUM_REFINED_PARENTS, num_candidates))
            return joined(kept, draws, best, _REFINED), None

        start, _ = breed(draws[:first_chunk], parents, _SAMPLE)
        kept = best_of(start, promise(state, incumbent, start))
        if num_chunks > 1:
            kept, _ = jax.lax.scan(add_chunk, kept, jax.random.split(key, num_chunks - 1))
        rounds = draws[first_chunk:].reshape(_ROUNDS, _REFINED_SIZE, -1)
        kept, _ = jax.lax.scan(refine, kept, rounds)
        return jnp.concatenate([kept[0], start[:_POOL_SAMPLE]])

    def invaders(draws: Array, key: Array, state: InvasiveState, parents: Parents, incumbent: Array) -> Array:
        pool = candidates(draws, key, state, parents, incumbent)
        mean, std = model.predict(state.params, pool)
        if model.covariance is None:
            # A tenth of the cube's diagonal is how far a new point is taken to inform.
            squares = sum(jnp.square(pool[:, i, None] - pool[None, :, i]) for i in range(space.size))
            covariance = std[:, None] * std[None, :] * jnp.exp(-50.0 / space.size * squares)
        else:
            covariance = model.covariance(state.params, pool)
        same = same_rows(pool, pool) & ~state.noisy
        return pool[greedy_batch(mean, covariance, incumbent, known(state, pool), same, most_invaders)]

    def next_generation(key: Array, state: InvasiveState) -> tuple[Array, InvasiveState]:
        key_draws, key_chunks = jax.random.split(key)
        draws = jax.random.uniform(key_draws, (num_bred + num_sampled, num_draws(space)))
        # A setting is a parent once, however often it was evaluated: else few parents soon are all the same one.
        same = jnp.tril(same_rows(state.archive.genomes, state.archive.genomes) & state.archive.valid, -1)
        distinct = jnp.where(same.any(1), jnp.inf, state.value)
        parents, rows = best_parents(state.archive.genomes, distinct, num_parents)
        incumbent = jnp.min(jnp.where(state.archive.valid, state.mean, jnp.inf), initial=1e6)
        place = jnp.arange(population_size)
        num_children = population_size - jnp.where(state.noisy, least_invaders, most_invaders)
        genomes, lineage = state.founders, jnp.full((population_size, 2), -1, jnp.int32)
        if most_children:
            native, used = children(draws[:num_bred], state, parents, incumbent)
            origin = jnp.where(used >= 0, state.archive.number[rows][jnp.maximum(used, 0)], -1)
            genomes, lineage = (a[jnp.minimum(place, most_children - 1)] for a in (native, origin))
        invades = place >= num_children
        if most_invaders:
            foreign = invaders(draws[num_bred:], key_chunks, state, parents, incumbent)
            genomes = jnp.where(invades[:, None], foreign[jnp.maximum(place - num_children, 0)], genomes)
            lineage = jnp.where(invades[:, None], -1, lineage)
        species = jnp.where(invades, Species.INVADER, Species.CHILD).astype(jnp.int32)

        # Two early re-evaluations of the best find out whether there is noise; then one a generation.
        again = state.noisy | (finds_noise & (state.generation <= 2))
        last = again & (place == population_size - 1)
        best = jnp.argmin(state.value)
        genomes = jnp.where(last[:, None], state.archive.genomes[best], genomes)
        species = jnp.where(last, int(Species.SURVIVOR), species)
        lineage = jnp.where(last[:, None], jnp.stack([state.archive.number[best], -1]), lineage)
        predicted = state.predicted
        if has_model:
            target = jnp.where(state.noisy, _normal_score(state.archive), _winsorised(state.archive))
            predicted = _as_loss(state.archive, target, model.predict(state.params, genomes)[0])
            predicted = jnp.where(state.archive.valid.any(), predicted, jnp.nan)
        return genomes, state._replace(species=species, parents=lineage, predicted=predicted)

    def ask(key: Array, state: InvasiveState) -> tuple[Array, InvasiveState]:
        return jax.lax.cond(
            state.generation == 0, lambda key, state: (state.founders, state), next_generation, key, state
        )

    def tell(
        key: Array, state: InvasiveState, genomes: Array, loss: Array, loss_var: Array | None = None
    ) -> tuple[InvasiveState, Info]:
        loss = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
        is_noisy = state.noisy
        if finds_noise:
            is_noisy |= _differs(state.archive, genomes, loss, loss_var)
        number = state.generation * population_size + jnp.arange(population_size, dtype=jnp.int32)
        archive = insert(state.archive, genomes, loss, number)

        target = jnp.where(is_noisy, _normal_score(archive), _winsorised(archive))
        params, mean = state.params, state.mean
        if has_model:
            params = model.fit(key, state.params, archive.genomes, target, archive.valid)
            mean, _ = model.predict(params, archive.genomes)
        value = _believed(archive, target, mean, has_model)
        value = jnp.where(archive.valid, jnp.where(is_noisy, value, archive.loss), jnp.inf)
        best = jnp.argmin(value)
        believed = jnp.where(is_noisy, _as_loss(archive, target, value[best]), archive.loss[best])
        any_valid = archive.valid.any()
        state = state._replace(
            generation=state.generation + 1, noisy=is_noisy, archive=archive, value=value, mean=mean, params=params
        )
        info = Info(
            species=state.species,
            parents=state.parents,
            predicted=state.predicted,
            best_genome=jnp.where(any_valid, archive.genomes[best], genomes[0]),
            best_loss=jnp.where(any_valid, believed, jnp.inf),
        )
        return state, info

    return Algorithm(jax.jit(init), jax.jit(ask), jax.jit(tell), population_size)


def ga(
    space: SearchSpace,
    *,
    population_size: int,
    num_parents: int | None = None,
    num_mutations: int = 1,
    archive_size: int = 512,
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


def _no_model() -> Surrogate:
    return Surrogate(lambda key: (), lambda *_: (), lambda _, genomes: (genomes[:, 0], genomes[:, 0]))


def _standardised(target: Array, valid: Array) -> Array:
    """Mean 0 and standard deviation 1 over the valid rows, 0 elsewhere."""
    count = jnp.maximum(valid.sum(), 1)
    mean = jnp.sum(jnp.where(valid, target, 0.0)) / count
    centred = jnp.where(valid, target - mean, 0.0)
    return centred / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(centred)) / count), 1e-12)


def _winsorised(archive: Archive) -> Array:
    """The standardised loss, where all that is worse than the median counts as a median away from it at most."""
    valid = archive.valid
    # Counted from the best, so that float32 keeps the digits that matter.
    shifted = archive.loss - jnp.min(archive.loss)
    median = jnp.nanmedian(jnp.where(valid, shifted, jnp.nan))
    clipped = jnp.minimum(jnp.where(valid, shifted, 0.0), 2.0 * jnp.nan_to_num(median))
    return _standardised(clipped, valid)


def _normal_score(archive: Archive) -> Array:
    """The standardised normal quantile of each row's rank, ties averaged."""
    valid, loss = archive.valid, archive.loss
    below = jnp.sum(loss[None, :] < loss[:, None], axis=1)
    ties = jnp.sum(loss[None, :] == loss[:, None], axis=1)
    share = (below + 0.5 * ties) / jnp.maximum(valid.sum(), 1)
    return _standardised(jax.scipy.stats.norm.ppf(jnp.clip(share, 1e-4, 1.0 - 1e-4)), valid)


def _believed(archive: Archive, target: Array, mean: Array, has_model: bool) -> Array:
    """f32[A]: between the surrogate's prediction and the mean of all evaluations of the same setting."""
    same = same_rows(archive.genomes, archive.genomes) & archive.valid[None, :]
    count = jnp.maximum(same.sum(1), 1)
    observed = (same @ target) / count
    if not has_model:
        return observed
    return mean + count / (count + _SHRINKAGE) * (observed - mean)


def _as_loss(archive: Archive, target: Array, value: Array) -> Array:
    """The loss to which a standardised value belongs, within what was observed; the one grows with the other."""
    order = jnp.argsort(archive.loss)
    last = jnp.maximum(archive.valid.sum() - 1, 0)
    rows = order[jnp.minimum(jnp.arange(order.shape[0]), last)]
    return jnp.interp(value, target[rows], archive.loss[rows])


def _differs(archive: Archive, genomes: Array, loss: Array, loss_var: Array | None) -> Array:
    """bool[]: whether a setting now has another loss than before, or a loss has a variance."""
    valid = archive.valid
    spread = jnp.nanmedian(jnp.where(valid, archive.loss, jnp.nan)) - jnp.min(archive.loss)
    # Another kernel of a matrix product may round otherwise: that is not noise.
    tolerance = 1e-5 * jnp.nan_to_num(spread) + 1e-6 * jnp.abs(loss)
    again = same_rows(genomes, archive.genomes) & valid[None, :] & jnp.isfinite(loss)[:, None]
    gap = jnp.abs(loss[:, None] - jnp.where(valid, archive.loss, 0.0)[None, :])
    found = (again & (gap > tolerance[:, None])).any()
    if loss_var is not None:
        found |= (jnp.isfinite(loss) & (loss_var > jnp.square(tolerance))).any()
    return found
