"""When a run ends before its last generation: stop rules, and Ctrl-C."""

import math
import os
import signal
import socket
import threading
from types import TracebackType
from typing import Any, NamedTuple

from jaxga.base import Objective
from jaxga.run import Generation


class Rules(NamedTuple):
    """What ends a run early; None for no such rule.

    Attributes:
        target: end after the first generation whose best value so far is at least as good.
        patience: end after so many generations in a row that did not better the best value.
        max_seconds: end after the generation in which so many seconds of run time passed, those before a resume
            and those of compiling counted.
        max_evaluations: start no generation that would go beyond so many trainings (members x replicates).
    """

    target: float | None = None
    patience: int | None = None
    max_seconds: float | None = None
    max_evaluations: int | None = None

    def num_generations(self, num_generations: int, evaluations_each: int) -> int:
        """How many generations ``max_evaluations`` leaves; ``ValueError`` where it is none."""
        if self.max_evaluations is None:
            return num_generations
        if self.max_evaluations < evaluations_each:
            raise ValueError(
                f"--max-evaluations must be at least one generation's {evaluations_each}, got {self.max_evaluations}"
            )
        return min(num_generations, self.max_evaluations // evaluations_each)


class Watch:
    """Follows a run and says when a rule ends it; ``notes`` go into a checkpoint and come back as ``notes=``."""

    def __init__(self, rules: Rules, objective: Objective, notes: dict[str, Any] | None = None) -> None:
        self._rules = rules
        self._sign = objective.sign
        self.notes: dict[str, Any] = notes or {"best_loss": math.inf, "stale": 0, "seconds": 0.0}

    def write(self, generation: Generation) -> None:
        """Take in one generation."""
        best_loss = float(generation.record.info.best_loss)
        is_better = best_loss < self.notes["best_loss"]
        self.notes = {
            "best_loss": min(best_loss, self.notes["best_loss"]),
            "stale": 0 if is_better else self.notes["stale"] + 1,
            "seconds": self.notes["seconds"] + generation.seconds,
        }

    def reason(self) -> str | None:
        """Why the run ends here, or None."""
        rules, notes = self._rules, self.notes
        if rules.target is not None and notes["best_loss"] <= self._sign * rules.target:
            return f"the target {rules.target:g} is reached"
        if rules.patience is not None and notes["stale"] >= rules.patience:
            return f"{notes['stale']} generations without a better value"
        if rules.max_seconds is not None and notes["seconds"] >= rules.max_seconds:
            return f"{notes['seconds']:.1f} of {rules.max_seconds:g} seconds have passed"
        return None


class Interrupt:
    """Ctrl-C while this is open: ``asked`` becomes true; a second one ends the process at once with status 130.

    A Python signal handler waits until a compiled program returns, so the signals are counted by a thread that
    reads them from a socket.
    """

    def __init__(self, message: str) -> None:
        self.asked = False
        self._message = message

    def __enter__(self) -> "Interrupt":
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._handler = signal.signal(signal.SIGINT, lambda number, frame: None)
        self._wakeup = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def _listen(self) -> None:
        while numbers := self._receiver.recv(64):
            for number in numbers:
                if number != signal.SIGINT:
                    continue
                if self.asked:
                    os._exit(130)
                self.asked = True
                os.write(2, f"\n{self._message}\n".encode())
        self._receiver.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        signal.signal(signal.SIGINT, self._handler)
        self._sender.close()
