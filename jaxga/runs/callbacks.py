"""A user's own functions, called after each generation."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxga.loop import Generation

# Called with each generation; True asks to end the run.
Callback = Callable[[Generation], bool | None]


class CallbackError(ValueError):
    """A callback raised an error, or returned neither a bool nor None."""


class Callbacks:
    """Calls each of ``callbacks`` with each generation; ``reason`` says which asked to end the run, None for none.

    Raises ``ValueError`` where one is not callable.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        if not isinstance(callbacks, Sequence) or isinstance(callbacks, str):
            raise ValueError(f"callbacks must be a list of functions of a Generation, got {callbacks!r}")
        self._callbacks = list(callbacks)
        for callback in self._callbacks:
            if not callable(callback):
                raise ValueError(f"a callback must be a function of a Generation, got {callback!r}")
        self.reason: str | None = None

    def write(self, generation: Generation) -> None:
        """Call them all, in their order."""
        for callback in self._callbacks:
            name = getattr(callback, "__qualname__", type(callback).__name__)
            where = f"callback {name} after generation {int(generation.record.generation) + 1}"
            try:
                answer: Any = callback(generation)
            except Exception as error:  # the user's own, of any kind
                raise CallbackError(f"{where} failed: {type(error).__name__}: {error}") from error
            if answer is not None and not isinstance(answer, bool | np.bool_):
                raise CallbackError(f"{where} must return True, False or None, got {answer!r}")
            if answer:
                self.reason = f"callback {name} asked to end"
