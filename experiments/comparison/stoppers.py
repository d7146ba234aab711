"""Peers that end trainings early: on the host, one training after another, at equal parts."""

import contextlib
import importlib.util
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.comparison.configured import Dehb
from experiments.comparison.peers import Optuna
from jaxga.runtime import compiler_options


class Spent(Exception):
    """All parts that a search may train are trained."""


class Trainings:
    """Trainings of one task, until so many parts are used.

    Args:
        task: a Trainable.
        key: of the search; its trainings have keys of their own.
        marks: numbers of parts, rising; the last one is all there are.

    Attributes:
        recommended: f32[D] for each of ``marks`` that was reached, the best setting by then: of the whole trainings,
            or while there is none of all scores.
    """

    def __init__(self, task: Any, key: Array, marks: list[int]) -> None:
        self.task, self._key, self._marks = task, key, marks
        self.recommended: list[np.ndarray] = []
        self._num_used = self._num_trainings = 0
        self._best = (1, np.inf, np.zeros(task.space.size, np.float32))

    def parts(self, setting: dict[str, Any]) -> Iterator[float]:
        """The loss after each part of a new training; raises ``Spent`` where no part is left."""
        genome = self.task.space.encode(setting)
        key = jax.random.fold_in(self._key, self._num_trainings)
        self._num_trainings += 1
        carry = None
        for part in range(self.task.num_parts):
            if len(self.recommended) == len(self._marks):
                raise Spent
            carry, value = _train(self.task, key, genome, jnp.int32(part), carry)
            loss = self.task.objective.sign * float(value)
            self._num_used += 1
            is_unfinished = int(part + 1 < self.task.num_parts)
            if np.isfinite(loss) and (is_unfinished, loss) < self._best[:2]:
                self._best = (is_unfinished, loss, genome)
            if self._num_used == self._marks[len(self.recommended)]:
                self.recommended.append(self._best[2])
            yield loss


@partial(jax.jit, compiler_options=compiler_options())
def _train(task: Any, key: Array, genome: Array, part: Array, carry: Any) -> tuple[Any, Array]:
    setting = task.space.decode(genome)
    carry = task.advanced(key, task.begun(key, setting) if carry is None else carry, setting, part)
    return carry, jnp.float32(task.scored(key, carry, setting).value)


class Stopper(NamedTuple):
    """A search of another package: what has to be installed, and ``search(trainings, seed)``, until ``Spent``."""

    package: str
    search: Callable[[Trainings, int], None]

    def missing(self) -> str | None:
        """What is not installed, in words."""
        return None if importlib.util.find_spec(self.package) else f"{self.package} is not installed"


def recommended(stopper: Stopper, task: Any, key: Array, seed: int, marks: list[int]) -> np.ndarray:
    """f32[G, D]: the settings that the search recommends after each of G numbers of parts."""
    trainings = Trainings(task, key, marks)
    with contextlib.suppress(Spent):
        stopper.search(trainings, seed)
    return np.stack(trainings.recommended)


def _optuna(pruner: str, **options: Any) -> Callable[[Trainings, int], None]:
    def search(trainings: Trainings, seed: int) -> None:
        import optuna
        from optuna.trial import TrialState

        task = trainings.task
        most = {"max_resource": task.num_parts} if pruner == "HyperbandPruner" else {}
        asked = Optuna(lambda size, seed: optuna.samplers.TPESampler(seed=seed), task.space, 1, seed)
        asked.study.pruner = getattr(optuna.pruners, pruner)(**options, **most)
        while True:
            (setting,), (trial,) = asked.ask(), asked.trials
            state, loss = TrialState.COMPLETE, np.nan
            for part, loss in enumerate(trainings.parts(setting), 1):
                if not np.isfinite(loss):
                    state = TrialState.FAIL
                    break
                trial.report(loss, part)
                if part < task.num_parts and trial.should_prune():
                    state = TrialState.PRUNED
                    break
            asked.study.tell(trial, loss if state == TrialState.COMPLETE else None, state)

    return search


def _dehb(trainings: Trainings, seed: int) -> None:
    task = trainings.task
    asked = Dehb(task.space, 1, 1, seed, fidelities=(1, task.num_parts))
    while True:
        (setting,) = asked.ask()
        num_parts = max(1, round(asked.asked[0]["fidelity"]))
        *_, loss = itertools.islice(trainings.parts(setting), num_parts)
        asked.tell(np.array([loss if np.isfinite(loss) else 1e9]))


STOPPERS = {
    "optuna_tpe:hyperband": Stopper("optuna", _optuna("HyperbandPruner", min_resource=1)),
    "optuna_tpe:median": Stopper("optuna", _optuna("MedianPruner")),
    "dehb": Stopper("dehb", _dehb),
}
