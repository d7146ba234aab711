"""The contracts between the parts of jaxga: objective, task, operator, algorithm, surrogate."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jax import Array

from jaxga.space import SearchSpace

PyTree = Any


_DIRECTIONS = {"min": "min", "minimize": "min", "max": "max", "maximize": "max"}


@dataclass(frozen=True)
class Objective:
    """The figure that a person sees: its name, and whether less or more of it is better.

    Inside jaxga a lower ``loss`` is always better; ``loss = sign * value``.

    Args:
        name: of the figure, as tables and plots show it.
        direction: ``"min"`` or ``"max"``; ``"minimize"`` and ``"maximize"`` are the same.

    Raises ``ValueError`` for another direction.

    >>> Objective("mean return", "maximize")
    Objective(name='mean return', direction='max')
    """

    name: str = "value"
    direction: str = "min"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ValueError(f"Objective: name must be a string, got {self.name!r}")
        if not isinstance(self.direction, str) or self.direction not in _DIRECTIONS:
            raise ValueError(f"Objective: direction must be one of {list(_DIRECTIONS)}, got {self.direction!r}")
        object.__setattr__(self, "direction", _DIRECTIONS[self.direction])

    @property
    def sign(self) -> float:
        """``+1.0`` where the value is minimised, ``-1.0`` where it is maximised."""
        return 1.0 if self.direction == "min" else -1.0


class Evaluation(NamedTuple):
    """What one training under one seed gives.

    Attributes:
        value: f32[], the objective in its own sign; a non-finite value is a failed member.
        metrics: further figures by name, of fixed shapes: numbers f32[] or curves f32[T], e.g.
            ``{"accuracy": f32[], "curve": f32[T]}``. The names of nested dicts are joined by ``/``.
        model: what was trained, a pytree of arrays, or None. It is returned for the winner's fresh seeds only; the
            program that trains a population does not compute or hold it.
    """

    value: Array
    metrics: dict[str, Array]
    model: PyTree = None


@runtime_checkable
class Task(Protocol):
    """Scores ONE setting under ONE seed.

    A task is a frozen dataclass registered as a pytree: its data are leaves (a captured array
    would become program text), its structure is static. ``evaluate`` is pure and of fixed shapes.
    A task may also have ``test(key, setting) -> Evaluation``, called only for the winner, once a
    run is over: the figure on data that the search never saw. Without it the winner is
    evaluated again under fresh seeds. And it may have ``data_source: str``, which says in words where its data come
    from; the plan of a run and its report show it. One whose data are no leaves may have ``data_sha256: str``, their
    digest, which belongs to the identity of a run.
    """

    @property
    def space(self) -> SearchSpace: ...

    @property
    def objective(self) -> Objective: ...

    def evaluate(self, key: Array, setting: dict[str, Array]) -> Evaluation: ...


class Species(enum.IntEnum):
    """How a member came to be."""

    FOUNDER = 0
    """Drawn for the first generation (or by an algorithm without parents)."""
    CHILD = 1
    """Bred by selection, crossover and mutation."""
    INVADER = 2
    """Chosen by the surrogate from a dense sample of the search space."""
    SURVIVOR = 3
    """A setting evaluated once more, because the objective is noisy."""
    HEIR = 4
    """Goes on with a training under another setting: a better member's, or its own (population-based training)."""


class Outcome(enum.IntEnum):
    """What became of a member after a score."""

    WENT_ON = 0
    """It was trained further."""
    HALTED = 1
    """Others of its cohort took its lane."""
    FINISHED = 2
    """It was trained to the end."""
    FAILED = 3
    """Its score was not finite."""
    REPLACED = 4
    """An heir of a better member took its lane (population-based training)."""


class Offspring(NamedTuple):
    """The members of one generation, as an algorithm asks for them (P members, D genes).

    Attributes:
        genomes: f32[P, D], in the unit cube.
        species: i32[P], a :class:`Species` per member.
        parents: i32[P, 2], the numbers of the members that each was bred from (member ``i`` of generation ``t`` has
            number ``t * P + i``), -1 for no parent.
        predicted: f32[P], the loss that the surrogate predicts, ``+inf`` without a prediction.
    """

    genomes: Array
    species: Array
    parents: Array
    predicted: Array

    @classmethod
    def without_parents(cls, genomes: Array, species: Species | Array = Species.FOUNDER) -> "Offspring":
        """Genomes f32[P, D] of one species, without parents and predictions."""
        size = genomes.shape[0]
        return cls(
            genomes=genomes,
            species=jnp.full(size, species, jnp.int32),
            parents=jnp.full((size, 2), -1, jnp.int32),
            predicted=jnp.full(size, jnp.inf, jnp.float32),
        )


class Best(NamedTuple):
    """The best setting so far.

    Attributes:
        genome: f32[D], the setting believed best; of population-based training f32[K, D], one for each part.
        loss: f32[], the loss believed of ``genome``; for a noise-free objective the least loss observed.
    """

    genome: Array
    loss: Array

    @classmethod
    def none(cls, num_genes: int) -> "Best":
        """Before the first evaluation: the loss is ``+inf``."""
        return cls(jnp.zeros(num_genes), jnp.full((), jnp.inf, jnp.float32))

    def update(self, genomes: Array, loss: Array) -> "Best":
        """The least loss of this one and of members with genomes f32[P, D] and losses f32[P].

        A loss that is not finite is a failed member. While every member has failed, the first of ``genomes`` stands in.

        >>> best = Best.none(1).update(jnp.array([[0.1], [0.2], [0.3]]), jnp.array([2.0, 1.0, jnp.nan]))
        >>> float(best.loss)
        1.0
        """
        loss = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
        least = jnp.argmin(loss)
        is_better = (loss[least] < self.loss) | jnp.isinf(self.loss)
        return Best(jnp.where(is_better, genomes[least], self.genome), jnp.minimum(loss[least], self.loss))


class Operator(NamedTuple):
    """Breeds one genome from some, as a pure function of uniform random numbers.

    The caller draws the numbers of a whole generation in one call of the generator, because XLA takes about a second
    to compile each call. ``jaxga.operators.keyed`` makes an operator a function of a key.

    Attributes:
        num_parents: K, how many parents are read; ``apply`` takes K or more of them.
        num_draws: how many uniform numbers one application uses.
        apply: ``apply(draws f32[num_draws], parents f32[K, D], scale f32[D]) -> genome f32[D]``, inside the cube, the
            discrete genes centred. ``scale`` is the unit of a mutation's step for each gene: ones for steps in the unit
            cube, or the standard deviation of a population.
    """

    num_parents: int
    num_draws: int
    apply: Callable[[Array, Array, Array], Array]


class Measured(NamedTuple):
    """Scores of trainings, finished or not, as an algorithm learns them (M of them, D genes).

    Attributes:
        genomes: f32[M, D].
        number: i32[M], the number of the member: a later score of a member takes the place of its earlier one. It is
            -1 where there is none.
        share: f32[M], of a whole training, in (0, 1].
        loss: f32[M], lower is better, ``+inf`` for a failed member.
        loss_var: f32[M], the variance of each loss as a mean over replicates, zeros where it is not known.
    """

    genomes: Array
    number: Array
    share: Array
    loss: Array
    loss_var: Array


class Algorithm(NamedTuple):
    """A search method as pure functions, each of which runs under ``jit`` and ``vmap``.

    Attributes:
        init: ``init(key) -> state``.
        ask: ``ask(key, state) -> (offspring, state)``: the members to evaluate next.
        tell: ``tell(key, state, genomes f32[P, D], loss f32[P], loss_var f32[P] | None) ->
            (state, best)``. Lower loss is better; ``+inf`` or NaN is a failed member. ``loss_var`` is the
            variance of each loss as a mean over replicates, zeros or None where it is not known.
        population_size: P, the number of members that one ``ask`` gives.
        revise: ``revise(key, state, measured) -> (state, best, forecast f32[M])``, what a schedule calls in place of
            ``tell``: it learns from trainings that are not finished, and forecasts the loss of each after a whole
            training. None where the algorithm learns from whole trainings alone.
        name: what reports call it; a run is resumed with an algorithm of the same name. "" stands for the name of the
            function around ``ask``.
        space: the search space that it was made for; a search over another one raises ``ValueError``. With None nothing
            is checked.
    """

    init: Callable[[Array], PyTree]
    ask: Callable[[Array, PyTree], tuple[Offspring, PyTree]]
    tell: Callable[..., tuple[PyTree, Best]]
    population_size: int
    revise: Callable[[Array, PyTree, Measured], tuple[PyTree, Best, Array]] | None = None
    name: str = ""
    space: SearchSpace | None = None


class Surrogate(NamedTuple):
    """A model of the loss over the unit cube, of fixed shapes, usable under ``jit`` and ``vmap``.

    Attributes:
        init: ``init(key) -> params``.
        fit: ``fit(key, params, genomes f32[A, D], target f32[A], valid bool[A]) -> params``; warm-started
            from ``params``; rows that are not ``valid`` have no influence. Targets are standardised.
        predict: ``predict(params, genomes f32[N, D]) -> (mean f32[N], std f32[N])``.
        covariance: ``covariance(params, genomes f32[N, D]) -> f32[N, N]``, of the prediction's error at several
            genomes together; None if the model has none. It keeps the members of a batch apart.
    """

    init: Callable[[Array], PyTree]
    fit: Callable[[Array, PyTree, Array, Array, Array], PyTree]
    predict: Callable[[PyTree, Array], tuple[Array, Array]]
    covariance: Callable[[PyTree, Array], Array] | None = None
