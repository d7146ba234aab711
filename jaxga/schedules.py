"""Schedules: how much of its training a member gets, and the lanes in which members are trained part by part.

Source: K. Jamieson, A. Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", 2016
(successive halving); L. Li, K. Jamieson, G. DeSalvo, A. Rostamizadeh, A. Talwalkar, "Hyperband", 2018.
"""

import bisect
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxga.checks import check_count, check_number
from jaxga.text import check_choice

# Of the lanes of a halving, the share in which members are trained to the end whatever their scores.
_AUDIT_SHARE = 0.1


@dataclass(frozen=True)
class Schedule:
    """Which members are trained to the end; made by the functions of :data:`SCHEDULES`.

    Attributes:
        name: a key of :data:`SCHEDULES`.
        eta: at a rung the best ``1 / eta`` of a cohort go on; 1 where all do. With heirs: as many lanes give up.
        first_rung: the share of a training after which a member is scored first, in (0, 1); None for the task's own.
        has_brackets: whether there is a halving for each possible first rung, side by side.
        has_heirs: whether the lanes of those that are dropped go on with the trainings of others.
    """

    name: str
    eta: int = 1
    first_rung: float | None = None
    has_brackets: bool = False
    has_heirs: bool = False

    def __post_init__(self) -> None:
        if self.first_rung is not None:
            check_number("first_rung", self.first_rung, 0, 1, above=True, below=True)
            object.__setattr__(self, "first_rung", float(self.first_rung))
        object.__setattr__(self, "eta", int(self.eta))  # numpy's numbers are recorded as Python's


def successive_halving(*, eta: int = 2, first_rung: float | None = None) -> Schedule:
    """At each rung the best ``1 / eta`` of those that began together go on, and the others leave.

    Rungs are at ``first_rung`` of a training, and at ``eta``, ``eta^2``, ... times that, up to ``1 / sqrt(eta)`` of a
    training: a later one would save little. A tenth of the lanes, where that suffices for one new member a generation,
    trains its members to the end whatever their scores: they show how well a rung ranks, and what stopping costs.

    Args:
        eta: at least 2.
        first_rung: the share of a training at which a member is scored first, in (0, 1), rounded up to whole parts;
            default the task's own ``first_rung``, else one part.

    Raises ``ValueError`` for a number outside its range.

    >>> successive_halving(eta=3).eta
    3
    """
    check_count("eta", eta, 2)
    return Schedule("successive_halving", eta, first_rung)


def hyperband(*, eta: int = 2, first_rung: float | None = None) -> Schedule:
    """A halving for each possible first rung, side by side, in equal shares of the lanes.

    The last of these brackets trains every member to the end. Arguments and errors as in :func:`successive_halving`.
    """
    check_count("eta", eta, 2)
    return Schedule("hyperband", eta, first_rung, has_brackets=True)


def pipelined() -> Schedule:
    """Every member is trained to the end, and the search learns from each part of each training."""
    return Schedule("pipelined")


def population_based(*, eta: int = 4, first_rung: float | None = None) -> Schedule:
    """After each part the worst ``1 / eta`` of the lanes take over the trainings of the best, under bred settings.

    So a setting may change from part to part, and what is found is a training's settings part by part. An heir's
    setting is bred by the genetic algorithm's operators from those of two or three of the best ``1 / eta``, one of
    which is the member whose training it takes over. When a training has come to its end, all lanes begin anew. From
    then on a few lanes train the best settings so far again, part by part from nothing: half as many as give up, but
    at least one.

    Args:
        eta: at least 2.
        first_rung: the share of a training after which lanes are taken over first, in (0, 1), rounded up to whole
            parts; default the task's own ``first_rung``, else one part.

    Raises ``ValueError`` for a number outside its range.

    Source: M. Jaderberg et al., "Population based training of neural networks", 2017.
    """
    check_count("eta", eta, 2)
    return Schedule("population_based", eta, first_rung, has_heirs=True)


# "whole" trains each member from the beginning to the end in one generation, so it has no lanes.
WHOLE = "whole"
SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "successive_halving": successive_halving,
    "hyperband": hyperband,
    "pipelined": pipelined,
    "population_based": population_based,
}
NAMES = (WHOLE, *SCHEDULES)


def as_schedule(schedule: Any) -> Schedule | None:
    """The schedule itself, or the one of this name with its defaults; None for ``"whole"``.

    Raises ``ValueError`` for anything else.
    """
    if isinstance(schedule, Schedule):
        return schedule
    if not isinstance(schedule, str):
        raise ValueError(f"schedule must be one of {list(NAMES)} or what one of them returns, got {schedule!r}")
    check_choice("schedule", schedule, NAMES)
    return None if schedule == WHOLE else SCHEDULES[schedule]()


@dataclass(frozen=True)
class Bracket:
    """Lanes of members that are held to the same rungs.

    Attributes:
        widths: for each age, from 0 parts to one less than a whole training, how many lanes hold members of that age;
            the first is the number of new members a generation.
        ends: the ages, in parts, at which a member is scored; the last is a whole training.

    Raises ``ValueError`` where lanes would be idle: a cohort may only shrink, and only where it is scored.
    """

    widths: tuple[int, ...]
    ends: tuple[int, ...]

    def __post_init__(self) -> None:
        steps = np.flatnonzero(np.diff(self.widths)) + 1
        if not self.ends or list(self.ends) != sorted({*self.ends}) or self.ends[-1] != len(self.widths):
            raise ValueError(f"Bracket: ends must rise to the {len(self.widths)} widths' end, got {self.ends}")
        if min(self.widths) < 1 or (np.diff(self.widths) > 0).any() or not set(steps.tolist()) <= set(self.ends):
            raise ValueError(
                f"Bracket: widths may only fall, at the ends {self.ends}, to 1 at least, got {self.widths}"
            )

    def num_going_on(self, age: int) -> int:
        """How many members of a cohort go on after ``age`` parts: none after a whole training."""
        return self.widths[age] if age < len(self.widths) else 0


@dataclass(frozen=True)
class Layout:
    """The lanes of a schedule: a shift register of ages, whose shapes never change.

    In each generation new members enter at age 0, every lane trains one part, and members move to the next age. So
    no lane is ever idle, apart from the first generations.

    Attributes:
        schedule: what it lays out.
        num_parts: of a whole training.
        brackets: one or more; their lanes follow one another.
    """

    schedule: Schedule
    num_parts: int
    brackets: tuple[Bracket, ...]

    @property
    def num_lanes(self) -> int:
        """W, the members in training."""
        return sum(sum(bracket.widths) for bracket in self.brackets)

    @property
    def num_new(self) -> int:
        """N, the members that begin in each generation."""
        return sum(bracket.widths[0] for bracket in self.brackets)

    @property
    def ends(self) -> tuple[int, ...]:
        """The ages at which members of any bracket are scored, in parts."""
        return tuple(sorted({end for bracket in self.brackets for end in bracket.ends}))

    @property
    def first_share(self) -> float:
        """The least share of a training after which a member is scored."""
        return self.ends[0] / self.num_parts

    @property
    def slots(self) -> list[tuple[int, int, int]]:
        """Bracket, age and width of each group of lanes, in the order of the lanes."""
        return [(b, age, width) for b, bracket in enumerate(self.brackets) for age, width in enumerate(bracket.widths)]

    @property
    def offsets(self) -> dict[tuple[int, int], int]:
        """The first lane of each bracket and age."""
        starts = itertools.accumulate((width for *_, width in self.slots), initial=0)
        return {(b, age): start for (b, age, _), start in zip(self.slots, starts, strict=False)}

    @property
    def ages(self) -> np.ndarray:
        """i32[W]: the parts that the member in each lane was trained before this generation."""
        return np.repeat([age for _, age, _ in self.slots], [width for *_, width in self.slots]).astype(np.int32)

    @property
    def scored(self) -> list[tuple[int, int, np.ndarray]]:
        """Bracket, age and lanes of each cohort that is scored in a generation; the age after its part."""
        offsets = self.offsets
        return [
            (b, end, np.arange(bracket.widths[end - 1]) + offsets[b, end - 1])
            for b, bracket in enumerate(self.brackets)
            for end in bracket.ends
        ]

    @property
    def num_scored(self) -> int:
        """M, the scores of a generation."""
        return sum(len(lanes) for *_, lanes in self.scored)


@dataclass(frozen=True)
class Cohort:
    """The lanes of population-based training: all begin together, and end together.

    Attributes:
        schedule: what it lays out.
        num_parts: K, of a whole training.
        num_lanes: W, the members in training.
        first: after so many parts lanes are taken over first.
    """

    schedule: Schedule
    num_parts: int
    num_lanes: int
    first: int

    @property
    def num_new(self) -> int:
        """The members that begin together."""
        return self.num_lanes

    @property
    def num_best(self) -> int:
        """How many lanes are taken over after a part, and from how many."""
        return self.num_lanes // self.schedule.eta

    @property
    def num_repeats(self) -> int:
        """How many lanes of a cohort train the best settings of earlier ones again."""
        return max(1, self.num_best // 2)

    @property
    def ends(self) -> tuple[int, ...]:
        """The ages at which members are scored, in parts: all."""
        return tuple(range(1, self.num_parts + 1))

    @property
    def first_share(self) -> float:
        """The least share of a training after which a member is scored."""
        return 1 / self.num_parts


AnyLayout = Layout | Cohort


def plan_layout(schedule: Schedule, num_parts: int, num_lanes: int, first_rung: float | None = None) -> AnyLayout:
    """The lanes of a schedule: of a halving as many new members a generation as so many lanes can take.

    A few more lanes may begin fewer new members: as soon as the lanes suffice, one more member is trained to the end
    whatever its scores, and it takes lanes from new ones.

    Args:
        schedule: what is laid out.
        num_parts: of a whole training, at least 2.
        num_lanes: members in training at most; where a halving's widths do not add up to it, a few are left unused.
        first_rung: the task's own, where the schedule has none: a share in (0, 1), or None for one part.

    Raises ``ValueError`` where the lanes are too few, the training has one part, or no rung lies before its end.

    >>> layout = plan_layout(successive_halving(), num_parts=8, num_lanes=20)
    >>> layout.num_new, layout.brackets[0].ends
    (8, (1, 2, 4, 8))
    """
    check_count("lanes", num_lanes, 1)
    if num_parts < 2:
        raise ValueError(f"schedule {schedule.name} needs a task of at least 2 parts, got num_parts={num_parts}")
    share = schedule.first_rung if schedule.first_rung is not None else first_rung
    first = 1 if share is None else math.ceil(share * num_parts - 1e-9)
    if first >= num_parts:
        raise ValueError(
            f"first_rung must be at most {num_parts - 1} of the {num_parts} parts of a training, got {share:g}"
        )
    if schedule.has_heirs:
        if num_lanes < schedule.eta:
            raise ValueError(f"schedule {schedule.name} needs at least {schedule.eta} lanes, got {num_lanes}")
        return Cohort(schedule, num_parts, num_lanes, first)
    brackets = _brackets(schedule, num_parts, first, num_lanes)
    if brackets is None:
        least = next(n for n in itertools.count(num_lanes) if _brackets(schedule, num_parts, first, n))
        raise ValueError(f"schedule {schedule.name} needs at least {least} lanes for this task, got {num_lanes}")
    return Layout(schedule, num_parts, brackets)


def layout_of(schedule: Schedule, num_parts: int, num_new: int, first_rung: float | None = None) -> AnyLayout:
    """The layout of so many new members a generation, on as few lanes as they need.

    Arguments and errors as in :func:`plan_layout`; ``ValueError`` too where no number of lanes has so many.
    """

    def num_new_on(num_lanes: int) -> int:
        try:
            return plan_layout(schedule, num_parts, num_lanes, first_rung).num_new
        except ValueError:
            return 0

    num_lanes = 1 + bisect.bisect_left(range(1, num_new * num_parts), num_new, key=num_new_on)
    # Where one more member is trained to the end whatever its scores, slightly fewer lanes may begin as many members.
    before = range(max(1, num_lanes - num_parts), num_lanes)
    num_lanes = next((lanes for lanes in before if num_new_on(lanes) == num_new), num_lanes)
    layout = plan_layout(schedule, num_parts, num_lanes, first_rung)
    if layout.num_new != num_new:
        raise ValueError(
            f"schedule {schedule.name} has no lanes for {num_new} new members a generation, "
            f"it has {num_lanes} for {layout.num_new}"
        )
    return layout


def _brackets(schedule: Schedule, num_parts: int, first: int, num_lanes: int) -> tuple[Bracket, ...] | None:
    """The brackets with the first rung after ``first`` parts, or None where the lanes are too few."""
    if schedule.eta == 1:
        width = num_lanes // num_parts
        return (Bracket((width,) * num_parts, tuple(range(1, num_parts + 1))),) if width >= 2 else None
    later = (first * schedule.eta**k for k in itertools.count(1))
    ends = (first, *itertools.takewhile(lambda end: end * schedule.eta**0.5 <= num_parts, later), num_parts)
    if schedule.has_brackets:
        each = num_lanes // len(ends)
        found = [_halving(ends[i:], schedule.eta, each) for i in range(len(ends))]
        return None if None in found else tuple(bracket for bracket in found if bracket is not None)
    num_audited = round(_AUDIT_SHARE * num_lanes / num_parts)
    halving = _halving(ends, schedule.eta, num_lanes - num_audited * num_parts)
    if halving is None:
        return None
    return (halving, Bracket((num_audited,) * num_parts, ends)) if num_audited else (halving,)


def _halving(ends: tuple[int, ...], eta: int, num_lanes: int) -> Bracket | None:
    """The bracket with the most new members that fits; lanes left over widen its cohorts, the oldest first."""
    lengths = np.diff((0, *ends))  # of the stages between rungs, in parts

    def cohorts(num_new: int) -> np.ndarray:
        return np.maximum(num_new // eta ** np.arange(len(ends)), 1)

    num_new = bisect.bisect_right(range(num_lanes + 1), num_lanes, key=lambda n: lengths @ cohorts(n)) - 1
    if num_new < (eta if len(ends) > 1 else 1):  # a rung has to drop someone
        return None
    widths = cohorts(num_new)
    for stage in reversed(range(1, len(ends))):
        while widths[stage] < widths[stage - 1] - 1 and lengths @ widths + lengths[stage] <= num_lanes:
            widths[stage] += 1
    return Bracket(tuple(np.repeat(widths, lengths).tolist()), ends)
