"""The genetic algorithm joined by an invasive species: settings that a surrogate of the loss predicts to be good."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.algorithms.acquisition import Candidates, candidates, greedy_batch, prediction_covariance
from jaxga.algorithms.archive import Archive, empty, insert, repeats, same_rows, without
from jaxga.algorithms.compiled import compiled
from jaxga.algorithms.designs import founders
from jaxga.algorithms.draws import uniform
from jaxga.algorithms.parents import Breeder, best_parents, breed, breeder
from jaxga.algorithms.targets import as_loss, shows_noise, targets, typical_gap
from jaxga.base import Algorithm, Best, Measured, Offspring, PyTree, Species, Surrogate
from jaxga.batches import in_batches
from jaxga.checks import MAX_POPULATION, check_count, check_number, check_search, check_size
from jaxga.precision import single_precision
from jaxga.space import SearchSpace
from jaxga.surrogates import SURROGATES
from jaxga.surrogates.shares import over_shares, share_gene, with_share
from jaxga.surrogates.zoom import over_zoom
from jaxga.text import shorten

# From ablations on the development half of experiments/compare.py and on a prototype's problems; _SHRINKAGE is by
# judgement.
_NUM_PARENTS, _PARENTS_A_MEMBER = 32, 2  # a small population has few generations to spend on variety
_INVADER_SHARE, _NOISY_INVADER_SHARE = 0.5, 1 / 6
_NUM_REPEATS = 2  # the best is evaluated again this many times, to find out whether there is noise
_SHRINKAGE = 9.0  # a setting's mean loss over n evaluations has the weight n / (n + 9), the surrogate's mean the rest
_NOISY_STRETCH = 2.0  # of all steps once noise is found: else the search settles at a setting that was lucky
# Without noise steps grow while more than a tenth of a generation is better than a rival, and shrink otherwise. The
# rival is the eighth best setting known, of fewer than 64 the last one of the best eighth.
_RIVALS_ONE_IN, _MOST_RIVALS = 8, 8
_SUCCESS_SHARE, _SUCCESS_RATE, _GREATEST_STRETCH = 0.1, 4.0, 32.0
_NUM_CANDIDATES = 1024
_FRESH_EVERY = 5  # of the dense sample every fifth candidate is a uniform draw
_ARCHIVE_SIZE = 512  # the surrogates' cost grows with its square and cube
_ROUND_SIZE = 128
_POOL_SIZE, _POOL_A_INVADER, _POOL_SAMPLE = 256, 3, 64
_CHUNK_SIZE = 4096
_TYPICAL_RANK = 96  # or P, if that is more: of many evaluations the model has to tell the best apart
_MANY_FINISHED = 30  # with this number of whole trainings known, the best is chosen among them alone
_DUPLICATE = 1e6  # subtracted from the score of settings that were evaluated already


class Beliefs(NamedTuple):
    """What the surrogate and the losses together say of each row of the archive.

    Attributes:
        target: f32[A], the standardised loss.
        mean: f32[A], the surrogate's prediction of the target.
        worth: f32[A], the figure by which parents are chosen, lower is better; ``+inf`` for no parent.
        best: i32[], the row believed best.
    """

    target: Array
    mean: Array
    worth: Array
    best: Array


class InvasiveState(NamedTuple):
    """Attributes:
    generation: i32[], generations told.
    num_asked: i32[], generations asked for after the founders. A warm start tells evaluations that were not asked for.
    noisy: bool[], whether the objective is.
    stretch: f32[], in [1, 32]: the factor of all steps, without noise.
    archive: the evaluations.
    beliefs: what is believed of them.
    params: the surrogate's.
    """

    generation: Array
    num_asked: Array
    noisy: Array
    stretch: Array
    archive: Archive
    beliefs: Beliefs
    params: PyTree


class _Plan(NamedTuple):
    """All that is static: how many of what, and the parts of the algorithm."""

    space: SearchSpace
    population_size: int
    num_parents: int
    most_invaders: int  # without noise
    least_invaders: int  # with noise
    litter_size: int
    num_candidates: int
    archive_size: int
    noisy: bool | None
    model: Surrogate | None
    least_share: float | None
    breeder: Breeder

    @property
    def finds_noise(self) -> bool:
        return self.noisy is None and self.model is not None

    @property
    def repeat_every(self) -> int:
        """After how many generations the best setting is evaluated again."""
        return 1 if self.least_share is None else round(1.0 / self.least_share)

    @property
    def most_children(self) -> int:
        return self.population_size - self.least_invaders

    @property
    def greatest_rank(self) -> int:
        return max(_TYPICAL_RANK, self.population_size)

    @property
    def num_rounds(self) -> int:
        """The invaders are chosen in rounds, each from a pool of its own: the cost of a round grows with its cube."""
        return max(1, -(-self.most_invaders // _ROUND_SIZE))

    @property
    def round_size(self) -> int:
        return -(-self.most_invaders // self.num_rounds)

    @property
    def pool_size(self) -> int:
        """A pool is so many candidates of the dense sample."""
        wanted = max(_POOL_SIZE, _POOL_A_INVADER * self.round_size) + _POOL_SAMPLE
        return min(wanted, self.num_candidates // self.num_rounds)


@single_precision
def invasive_ga(
    space: SearchSpace,
    *,
    population_size: int,
    num_parents: int | None = None,
    num_mutations: int = 1,
    num_invaders: int | None = None,
    surrogate: str | Surrogate | Callable[..., Surrogate] | None = "deep_kernel",
    litter_size: int = 4,
    num_candidates: int | None = None,
    archive_size: int = _ARCHIVE_SIZE,
    noisy: bool | None = None,
    least_share: float | None = None,
) -> Algorithm:
    """A genetic algorithm joined by invaders, which a surrogate of the loss chooses from a dense sample of the space.

    The first generation is a space-filling design; with many genes and few members it is contracted towards the
    middle of the ranges. Every later generation consists of children of the best members (the surrogate keeps one of
    every litter) and of invaders: the candidates with the greatest expected improvement, not close to one another.
    Steps grow while they succeed.

    Args:
        space: the search space (D genes).
        population_size: P, members in a generation, at least 2.
        num_parents: how many of the best members of all generations breed, in [1, P - 1]; default 2 P but at most 32.
        num_mutations: how many genes a mutation changes, about; in [1, D].
        num_invaders: how many of the P are invaders, in [0, P]; default a half, and a sixth once noise is found. 0 is
            the control experiment: natural evolution alone, without a surrogate.
        surrogate: a name from ``jaxga.surrogates.SURROGATES``, such a factory, or a ``Surrogate`` that was
            made for ``num_points=archive_size``; default a Gaussian process on the outputs of a Flax network. A model
            that is made from a name or a factory sees the space around the best settings from close by.
        litter_size: children bred for one place, of which the surrogate keeps one; at least 1.
        num_candidates: size of the dense sample, in [max(64, P), 2^20]; default 4 P within [1,024, 2^20].
        archive_size: A, evaluations remembered, in [16, 2^20]; default 512. A full archive keeps
            its best and newest rows, and others that cover the space.
        noisy: whether two evaluations of a setting may differ; None finds out by two re-evaluations.
        least_share: for a schedule, the least share of a training after which a member is scored, in (0, 1): the
            algorithm gets ``revise``, and the share is an input of the surrogate, which has to be a name or a factory.
            None for whole trainings.

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
    check_count("num_mutations", num_mutations, 1, space.size)
    if num_invaders is not None:
        check_count("num_invaders", num_invaders, 0, population_size)
    check_count("litter_size", litter_size, 1)
    if num_candidates is None:
        num_candidates = min(max(_NUM_CANDIDATES, 4 * population_size), MAX_POPULATION)
    check_count("num_candidates", num_candidates, max(64, population_size), MAX_POPULATION)
    check_size("archive_size", archive_size, 16)
    if noisy is not None and not isinstance(noisy, bool):
        raise ValueError(f"noisy must be True, False or None, got {noisy!r}")
    if least_share is not None:
        check_number("least_share", least_share, 0, 1, above=True, below=True)
        if isinstance(surrogate, Surrogate):
            raise ValueError(f"with least_share, surrogate must be a name or a factory, got {shorten(repr(surrogate))}")
    if surrogate is None and num_invaders:
        raise ValueError(f"num_invaders must be 0 without a surrogate, got {num_invaders!r}")
    has_model = num_invaders != 0 and surrogate is not None
    most_invaders = least_invaders = num_invaders or 0
    if num_invaders is None and has_model:
        shares = (_INVADER_SHARE, _NOISY_INVADER_SHARE)
        most_invaders, least_invaders = (max(round(share * population_size), 1) for share in shares)
    plan = _Plan(
        space=space,
        population_size=population_size,
        num_parents=min(num_parents or min(_NUM_PARENTS, _PARENTS_A_MEMBER * population_size), archive_size),
        most_invaders=most_invaders,
        least_invaders=least_invaders,
        litter_size=litter_size if has_model else 1,
        # Each round chooses from a pool of its own, and the rounds are of one size.
        num_candidates=max(num_candidates, most_invaders + most_invaders // _ROUND_SIZE),
        archive_size=archive_size,
        # Under a schedule too few settings are trained to the end twice to find out whether there is noise.
        noisy=True if noisy is None and least_share is not None else noisy,
        model=_resolved(surrogate, space, archive_size, least_share is not None) if has_model else None,
        least_share=least_share,
        breeder=breeder(space, num_mutations),
    )
    revise = None if least_share is None else partial(_revise, plan)
    init, ask, tell = partial(_init, plan), partial(_ask, plan), partial(_tell, plan)
    return compiled("invasive_ga", space, population_size, init, ask, tell, revise)


def _resolved(surrogate: Any, space: SearchSpace, archive_size: int, has_shares: bool) -> Surrogate:
    if isinstance(surrogate, Surrogate):
        return surrogate
    factory: Any = SURROGATES.get(surrogate) if isinstance(surrogate, str) else surrogate
    if not callable(factory):
        allowed = f"one of {sorted(SURROGATES)}, a Surrogate or a factory of one"
        raise ValueError(f"surrogate must be {allowed}, got {surrogate!r}")
    make = cast(Callable[..., Surrogate], factory)
    return (over_shares if has_shares else over_zoom)(make, space, num_points=archive_size)


def _init(plan: _Plan, key: Array) -> InvasiveState:
    size = plan.archive_size
    return InvasiveState(
        generation=jnp.zeros((), jnp.int32),
        num_asked=jnp.zeros((), jnp.int32),
        noisy=jnp.array(plan.noisy is True),
        stretch=jnp.ones((), jnp.float32),
        archive=empty(size, plan.space.size),
        beliefs=Beliefs(
            target=jnp.zeros(size),
            mean=jnp.zeros(size),
            worth=jnp.full(size, jnp.inf, jnp.float32),
            best=jnp.zeros((), jnp.int32),
        ),
        params=() if plan.model is None else plan.model.init(key),
    )


def _ask(plan: _Plan, key: Array, state: InvasiveState) -> tuple[Offspring, InvasiveState]:
    def found(key: Array, state: InvasiveState) -> Offspring:
        del state
        return Offspring.without_parents(founders(key, plan.population_size, plan.space))

    offspring = jax.lax.cond(state.generation == 0, found, partial(_next_generation, plan), key, state)
    return offspring, state._replace(num_asked=state.num_asked + (state.generation > 0))


def _next_generation(plan: _Plan, key: Array, state: InvasiveState) -> Offspring:
    """Children, then invaders. While noise is sought or found, the best setting takes the place of the last child."""
    key_draws, _ = jax.random.split(key)  # the second one is not used: without the split other numbers are drawn
    archive, beliefs, num_bred = state.archive, state.beliefs, plan.most_children * plan.litter_size
    parents = best_parents(archive.genomes, archive.number, beliefs.worth, plan.num_parents)
    parents = parents._replace(spread=jnp.where(state.noisy, _NOISY_STRETCH, state.stretch) * parents.spread)
    incumbent = jnp.min(jnp.where(archive.valid, beliefs.mean, jnp.inf), initial=1e6)

    # The litters and the dense sample together: half as much program to compile.
    sampled = np.arange(plan.num_candidates if plan.most_invaders else 0)
    is_fresh = np.concatenate([np.zeros(num_bred, bool), sampled % _FRESH_EVERY == 0])
    draws = uniform(key_draws, (len(is_fresh), plan.breeder.num_draws))
    genomes, numbers = breed(plan.breeder, draws, parents, is_fresh)
    bred = _judged(plan, state, incumbent, genomes)
    kept = _best_of_litters(plan, bred.rows(slice(num_bred)))
    if plan.most_invaders:
        numbers = numbers.at[num_bred:].set(-1)
        kept = jnp.append(kept, num_bred + _invaders(plan, state, incumbent, bred.rows(slice(num_bred, None))))
    members, numbers = bred.rows(kept), numbers[kept]

    place = jnp.arange(plan.population_size)
    num_children = plan.population_size - jnp.where(state.noisy, plan.least_invaders, plan.most_invaders)
    invades = place >= num_children
    taken = jnp.where(invades, plan.most_children + place - num_children, place)
    genomes, predicted, numbers = members.genomes[taken], members.mean[taken], numbers[taken]
    species = jnp.where(invades, Species.INVADER, Species.CHILD).astype(jnp.int32)

    # The best is evaluated again in the first generations, to find out whether there is noise; with noise always.
    again = state.noisy | (plan.finds_noise & (state.num_asked < _NUM_REPEATS))
    # Under a schedule a generation is one part of a training, and few members begin in it: a repetition in each would
    # take many of them.
    again &= state.generation % plan.repeat_every == 0
    survives = again & (place == (num_children - 1) % plan.population_size)
    genomes = jnp.where(survives[:, None], archive.genomes[beliefs.best], genomes)
    species = jnp.where(survives, int(Species.SURVIVOR), species)
    numbers = jnp.where(survives[:, None], jnp.stack([archive.number[beliefs.best], -1]), numbers)
    predicted = as_loss(archive, beliefs.target, jnp.where(survives, beliefs.mean[beliefs.best], predicted))
    predicts = (plan.model is not None) & archive.valid.any()
    return Offspring(genomes, species, numbers, jnp.where(predicts, predicted, jnp.inf))


def _judged(plan: _Plan, state: InvasiveState, incumbent: Array, genomes: Array) -> Candidates:
    """Genomes f32[N, D] with predictions and scores, in chunks that bound memory."""

    def judge(genomes: Array) -> Candidates:
        return candidates(plan.model, state.params, incumbent, genomes, _penalty(state, genomes))

    num = genomes.shape[0]
    num_chunks = -(-num // _CHUNK_SIZE)
    return in_batches(judge, genomes, -(-num // num_chunks))


def _penalty(state: InvasiveState, genomes: Array) -> Array:
    """f32[N]: subtracted from the scores of settings in the archive; 0 with noise, where repetition informs."""
    seen = (same_rows(genomes, state.archive.genomes) & (state.archive.number >= 0)[None]).any(1)
    return jnp.where(state.noisy, 0.0, _DUPLICATE * seen)


def _best_of_litters(plan: _Plan, bred: Candidates) -> Array:
    """i32[C]: the place of the greatest expected improvement in each litter."""
    score = (bred.score - bred.penalty).reshape(plan.most_children, plan.litter_size)
    return jnp.arange(plan.most_children) * plan.litter_size + jnp.argmax(score, axis=1)


def _invaders(plan: _Plan, state: InvasiveState, incumbent: Array, sample: Candidates) -> Array:
    """i32[I]: the places of the invaders in the dense sample.

    They are chosen from its best, and from its first rows whatever their scores. The pools of the rounds are alike: the
    candidates are dealt to them in turn. No setting is in two of them.
    """
    num_rounds, model = plan.num_rounds, plan.model
    assert model is not None
    penalty = jnp.where(state.noisy, 0.0, jnp.maximum(sample.penalty, _DUPLICATE * repeats(sample.genomes)))
    sample = sample._replace(penalty=penalty)
    always = jnp.arange(plan.num_candidates) < num_rounds * _POOL_SAMPLE
    order = jax.lax.top_k(jnp.where(always, jnp.inf, sample.score), num_rounds * plan.pool_size)[1]

    def choose(places: Array) -> Array:
        pool = sample.rows(places)
        covariance = prediction_covariance(model, state.params, pool)
        return places[greedy_batch(pool.mean, covariance, incumbent, pool.penalty, state.noisy, plan.round_size)]

    if num_rounds == 1:
        return choose(order)
    picks = jax.lax.map(choose, order.reshape(plan.pool_size, num_rounds).T)
    # The first picks of all rounds first: with noise only the first half of the invaders is used.
    return picks.T.reshape(-1)[: plan.most_invaders]


def _tell(
    plan: _Plan, key: Array, state: InvasiveState, genomes: Array, loss: Array, loss_var: Array | None = None
) -> tuple[InvasiveState, Best]:
    loss = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
    noisy = state.noisy
    if plan.finds_noise:
        noisy |= shows_noise(state.archive, typical_gap(state.archive, plan.greatest_rank), genomes, loss, loss_var)
    number = state.generation * plan.population_size + jnp.arange(plan.population_size, dtype=jnp.int32)
    archive = insert(state.archive, genomes, loss, number)
    state = state._replace(generation=state.generation + 1, noisy=noisy, stretch=_stretched(state, loss))
    return _learned(plan, key, state, archive, genomes[0])


def _stretched(state: InvasiveState, loss: Array) -> Array:
    """The stretch after a generation with losses f32[P], by its success.

    The unit of a step is the spread of the best members. Along a valley this spread shrinks faster than the distance to
    the optimum, so there the steps have to grow.

    Source: the idea of the one-fifth rule, I. Rechenberg, "Evolutionsstrategie", 1973.
    """
    num_rivals = jnp.clip(state.archive.valid.sum() // _RIVALS_ONE_IN, 1, _MOST_RIVALS)
    rival = jnp.sort(state.archive.loss)[num_rivals - 1]
    growth = jnp.exp(_SUCCESS_RATE * (jnp.mean(loss < rival) - _SUCCESS_SHARE))
    stretch = jnp.clip(state.stretch * growth, 1.0, _GREATEST_STRETCH)
    return jnp.where(state.num_asked > 0, stretch, state.stretch)


def _revise(plan: _Plan, key: Array, state: InvasiveState, measured: Measured) -> tuple[InvasiveState, Best, Array]:
    exists = measured.number >= 0
    loss = jnp.where(exists & jnp.isfinite(measured.loss), measured.loss, jnp.inf)
    rows = without(state.archive, measured.number)
    archive = insert(rows, measured.genomes, loss, measured.number, measured.share)
    # Generations before the first score do not count: their members are founders too.
    state = state._replace(generation=state.generation + exists.any().astype(jnp.int32))
    state, best = _learned(plan, key, state, archive, measured.genomes[0])
    if plan.model is None:
        return state, best, loss
    forecast, _ = plan.model.predict(state.params, measured.genomes)
    return state, best, jnp.where(jnp.isfinite(loss), as_loss(archive, state.beliefs.target, forecast), jnp.inf)


def _learned(
    plan: _Plan, key: Array, state: InvasiveState, archive: Archive, stand_in: Array
) -> tuple[InvasiveState, Best]:
    """The surrogate fitted to an archive, what is then believed of its rows after whole trainings, and the best.

    ``stand_in`` f32[D] is the best genome while no row has a loss.
    """
    noisy, target = state.noisy, targets(archive, state.noisy, plan.greatest_rank)
    params, mean = state.params, state.beliefs.mean
    points = archive.genomes
    if plan.least_share is not None:
        points = with_share(points, share_gene(archive.share, plan.least_share))
    if plan.model is not None:
        params = plan.model.fit(key, state.params, points, target, archive.valid)
        mean, _ = plan.model.predict(params, archive.genomes)

    same = same_rows(archive.genomes, archive.genomes) & archive.valid[None]
    count = jnp.maximum(same.sum(1), 1)
    observed, is_candidate, by_model = (same @ target) / count, archive.valid, noisy
    if plan.least_share is not None:
        by_model = jnp.array(True)  # losses after different shares of a training are not compared
        is_whole = archive.valid & (archive.share == 1.0)
        is_candidate = jnp.where(is_whole.sum() < _MANY_FINISHED, archive.valid, is_whole)
    if plan.least_share is not None and plan.model is not None:
        # A setting's losses are expected to differ from their predictions after a whole training as they do now.
        as_measured, _ = plan.model.predict(params, points)
        observed = mean + (same @ (target - as_measured)) / count
    shrinkage = jnp.where(noisy, _SHRINKAGE, 0.0)
    value = observed if plan.model is None else mean + count / (count + shrinkage) * (observed - mean)
    best = jnp.argmin(jnp.where(is_candidate, jnp.where(by_model, value, archive.loss), jnp.inf)).astype(jnp.int32)
    # Parents are chosen by the measured losses, with their noise: parents chosen by the model's mean collapse into one
    # region. A setting is a parent once, also if it was evaluated several times.
    is_parent = archive.valid & ~jnp.tril(same, -1).any(1)
    worth = jnp.where(is_parent, jnp.where(by_model, observed, archive.loss), jnp.inf)

    any_valid = archive.valid.any()
    believed = jnp.where(by_model, as_loss(archive, target, value[best]), archive.loss[best])
    state = state._replace(archive=archive, beliefs=Beliefs(target, mean, worth, best), params=params)
    genome = jnp.where(any_valid, archive.genomes[best], stand_in)
    return state, Best(genome, jnp.where(any_valid, believed, jnp.inf))
