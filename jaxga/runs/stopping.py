"""Rules that end a run before its last generation."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxga.base import Objective
from jaxga.checks import check_count
from jaxga.loop import Generation

# What a run is told before each generation: go on, or end with its result.
GO_ON, ENOUGH = 0, 1


@dataclass(frozen=True)
class Stop:
    """Rules that end a run early; None for no such rule.

    Args:
        target: end after the first generation whose best value so far is at least as good. Under a schedule whole
            trainings have to have shown it.
        patience: end after this many generations in a row without a better value; at least 1. Under a schedule a
            generation is one part of each training, and the first that counts is after the first whole training.
        max_seconds: start no generation after which the run is expected to take longer than this, in seconds, above 0.
            Everything counts: compiling, the winner's evaluation, the report, and the time before a resume.
        max_evaluations: start no generation that would exceed this number of evaluations: whole trainings of one member
            under one seed. A generation is worth members x replicates of them, under a schedule lanes x replicates /
            parts.

    Raises ``ValueError`` for a value outside its range.

    >>> Stop(patience=5, max_seconds=600)
    Stop(target=None, patience=5, max_seconds=600, max_evaluations=None)
    """

    target: float | None = None
    patience: int | None = None
    max_seconds: float | None = None
    max_evaluations: int | None = None

    def __post_init__(self) -> None:
        for name in ("target", "max_seconds"):
            value = getattr(self, name)
            if value is None:
                continue
            is_number = (
                isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
            )
            if not is_number or (name == "max_seconds" and value <= 0):
                allowed = "a finite number" if name == "target" else "above 0 and finite"
                raise ValueError(f"{name} must be {allowed}, got {value!r}")
        for name in ("patience", "max_evaluations"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), 1)

    def num_generations(self, num_generations: int, evaluations_each: float) -> int:
        """How many generations ``max_evaluations`` allows; ``ValueError`` where not even one fits."""
        if self.max_evaluations is None:
            return num_generations
        if self.max_evaluations < evaluations_each:
            raise ValueError(
                f"max_evaluations must be at least the {evaluations_each:g} whole trainings that a generation is "
                f"worth, got {self.max_evaluations}"
            )
        return min(num_generations, int(self.max_evaluations / evaluations_each + 1e-9))

    def reason_of_end(self, num_done: int, num_generations: int, asked: int) -> str | None:
        """Why a run whose generations are all done has fewer than it was asked for; None where it has not.

        Args:
            num_done: generations done.
            num_generations: as :meth:`num_generations` allows.
            asked: as many as were asked for.
        """
        if num_done < num_generations or num_generations == asked:
            return None
        return f"a further generation would exceed {self.max_evaluations} evaluations"


_MAX_FLOAT32 = float(np.finfo(np.float32).max)
# Of the report: 2 to 3 seconds for 640 members, 8 for 100,000.
REPORT_SECONDS = 5.0
# The compile time of the winner's program as a share of a generation's: 0.23 for MNIST, 0.41 for CartPole.
_WINNER_COMPILE = 0.5


class Overhead(NamedTuple):
    """The time of a run outside its generations, which ``max_seconds`` has to leave room for.

    Attributes:
        elapsed: gives the seconds since the run began.
        winner: the winner's evaluation without its compile, as a share of a dispatch of generations.
        report: seconds, 0 for none.
        num_ahead: how many dispatches of generations are still running when the run ends.
    """

    elapsed: Callable[[], float]
    winner: float = 0.0
    report: float = 0.0
    num_ahead: int = 0


_BEGINNING = {
    "best_loss": math.inf,
    "whole_loss": math.inf,
    "stale": 0,
    "seconds": 0.0,
    "compile": 0.0,
    "dispatch": 0.0,
}


class StopState:
    """Follows a run and says when a rule ends it.

    ``notes`` go into a checkpoint; after a resume they come back as the argument ``notes``. ``reason`` says why
    :meth:`ends` was last true, and is None where it was false.
    """

    def __init__(
        self, rules: Stop, objective: Objective, overhead: Overhead, notes: dict[str, Any] | None = None
    ) -> None:
        self._rules = rules
        # In the precision of values: the float32 nearest to 0.9 is less than 0.9.
        target = None if rules.target is None else float(np.float32(np.clip(rules.target, -_MAX_FLOAT32, _MAX_FLOAT32)))
        self._target = None if target is None else objective.sign * target
        self._overhead = overhead
        self.notes: dict[str, Any] = _BEGINNING | (notes or {})
        self.reason: str | None = None
        self._before = self.notes["seconds"]
        self._is_compiled = False
        self._dispatch = 0.0  # of the generations that one program gives, so far
        self._dispatches: list[float] = []

    def write(self, generation: Generation) -> None:
        """Take in one generation."""
        record, best_loss, whole_loss = generation.record, float(generation.record.best.loss), self.notes["whole_loss"]
        can_be_stale = True
        if record.rungs is not None:
            # The search may believe an unfinished training best, whose score or forecast no whole one ever reaches.
            whole_loss = min(whole_loss, float(record.loss[record.is_whole].min(initial=math.inf)))
            best_loss = max(best_loss, whole_loss)
            can_be_stale = whole_loss < math.inf
        is_stale = can_be_stale and best_loss >= self.notes["best_loss"]
        self._is_compiled = True
        self._dispatch += generation.seconds - generation.compile_seconds
        if generation.state is not None:
            self._dispatches = [*self._dispatches[-2:], self._dispatch]
            self._dispatch = 0.0
        self.notes = {
            "best_loss": min(best_loss, self.notes["best_loss"]),
            "whole_loss": whole_loss,
            "stale": self.notes["stale"] + 1 if is_stale else 0,
            "seconds": self._before + self._overhead.elapsed(),
            "compile": max(generation.compile_seconds, self.notes["compile"]),
            # The longest of the last three: one may be short by chance; one in which the machine slept is forgotten.
            "dispatch": max(self._dispatches, default=self.notes["dispatch"]),
        }

    def ends(self) -> bool:
        """Whether no further generation may begin."""
        self.reason = self._reason()
        return self.reason is not None

    def _reason(self) -> str | None:
        rules, notes = self._rules, self.notes
        if self._target is not None and notes["best_loss"] <= self._target:
            return f"the target {rules.target:g} is reached"
        if rules.patience is not None and notes["stale"] >= rules.patience:
            return f"{notes['stale']} generations without a better value"
        return self._is_late(rules.max_seconds) if rules.max_seconds is not None else None

    def _is_late(self, max_seconds: float) -> str | None:
        """Whether one more dispatch of generations would end too late; unknown before the first one."""
        overhead, compiling, dispatch = self._overhead, self.notes["compile"], self.notes["dispatch"]
        if not dispatch or self._dispatch:
            return None
        seconds = self._before + overhead.elapsed()
        more = dispatch + (0.0 if self._is_compiled else compiling)
        rest = (overhead.num_ahead + overhead.winner) * dispatch + _WINNER_COMPILE * compiling + overhead.report
        if seconds + more + rest <= max_seconds:
            return None
        return (
            f"{seconds:.1f} of {max_seconds:g} seconds have passed, and it was expected to take {more:.1f} more for "
            f"generations and {rest:.1f} for the winner's evaluation and the report"
        )
