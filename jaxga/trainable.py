"""Tasks whose training can be cut into parts."""

import copy
from abc import ABC, abstractmethod
from typing import ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import Evaluation, PyTree

# Streams of a member's key: 0 is for the start, i + 1 for part i, the last one for the score.
_SCORE_STREAM = 2**32 - 1


class Trainable(ABC):
    """A task that is trained in equal parts; to be inherited by a task's dataclass, which gets ``evaluate`` by it.

    A part draws from its own key alone, and what follows a schedule over the training (a learning rate that falls)
    reads ``part``. So a training that is cut, kept and gone on with is the same as one in one go.

    Attributes:
        num_parts: static, at least 1: of how many parts a whole training consists.
        first_rung: the share of a training, in (0, 1), after which a schedule scores a member first; None for one part.
        structure: the names of hyperparameters that shape what is trained, such as a number of units: in
            population-based training an heir keeps those of the member whose training it takes over.

    >>> import optax
    >>> from dataclasses import dataclass
    >>> from jaxga import LogUniform, Objective, SearchSpace
    >>> @jax.tree_util.register_dataclass
    ... @dataclass(frozen=True)
    ... class Descent(Trainable):
    ...     space, objective, num_parts = SearchSpace(lr=LogUniform(1e-3, 1.0)), Objective("loss"), 4
    ...     def init(self, key, setting):
    ...         return jax.random.normal(key, (3,))
    ...     def advance(self, key, carry, setting, part):
    ...         return carry - setting["lr"] * 2.0 * carry
    ...     def score(self, key, carry, setting):
    ...         return Evaluation(jnp.sum(carry**2), {}, carry)
    >>> bool(Descent().evaluate(jax.random.key(0), {"lr": 0.5}).value == 0.0)
    True
    """

    num_parts: int
    first_rung: ClassVar[float | None] = None
    structure: tuple[str, ...] = ()

    @abstractmethod
    def init(self, key: Array, setting: dict[str, Array]) -> PyTree:
        """What a training carries from part to part: weights, the optimiser's state, environments; arrays."""

    @abstractmethod
    def advance(self, key: Array, carry: PyTree, setting: dict[str, Array], part: Array) -> PyTree:
        """The carry after one more part, of the same shapes and types; ``part`` i32[] counts from 0 and is traced."""

    @abstractmethod
    def score(self, key: Array, carry: PyTree, setting: dict[str, Array]) -> Evaluation:
        """What the training is worth as it stands, after any of its parts."""

    def begun(self, key: Array, setting: dict[str, Array]) -> PyTree:
        """The carry before the first part of the training with this key."""
        return self.init(jax.random.fold_in(key, 0), setting)

    def advanced(self, key: Array, carry: PyTree, setting: dict[str, Array], part: Array) -> PyTree:
        """The carry after part ``part`` i32[] of the training with this key."""
        return self.advance(jax.random.fold_in(key, part + 1), carry, setting, part)

    def trained(self, key: Array, setting: dict[str, Array]) -> PyTree:
        """The carry after all parts."""

        def advance(carry: PyTree, part: Array) -> tuple[PyTree, None]:
            return self.advanced(key, carry, setting, part), None

        return jax.lax.scan(advance, self.begun(key, setting), jnp.arange(self.num_parts, dtype=jnp.int32))[0]

    def scored(self, key: Array, carry: PyTree, setting: dict[str, Array]) -> Evaluation:
        """The score of a training under the key that it was begun with."""
        return Evaluation(*self.score(jax.random.fold_in(key, _SCORE_STREAM), carry, setting))

    def along(self, settings: dict[str, Array]) -> Self:
        """The same task, whose trainings have the setting of each part: of arrays with a first axis ``num_parts``."""
        task, along = type(self), copy.copy(self)

        def at(part: Array | int) -> dict[str, Array]:
            return jax.tree.map(lambda values: values[part], settings)

        def begun(key: Array, setting: dict[str, Array]) -> PyTree:
            del setting
            return task.begun(self, key, at(0))

        def advanced(key: Array, carry: PyTree, setting: dict[str, Array], part: Array) -> PyTree:
            del setting
            return task.advanced(self, key, carry, at(part), part)

        # On the object, so that `evaluate`, and a `test` of the task's own, find them by whatever way they train.
        for method in (begun, advanced):
            object.__setattr__(along, method.__name__, method)
        return along

    def evaluate(self, key: Array, setting: dict[str, Array]) -> Evaluation:
        """All parts, and the score."""
        return self.scored(key, self.trained(key, setting), setting)
