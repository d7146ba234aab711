"""When a run ends before its last generation: stop rules, and signals."""

import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

from jaxga.base import Objective
from jaxga.loop import Generation


class Rules(NamedTuple):
    """What ends a run early; None for no such rule.

    Attributes:
        target: end after the first generation whose best value so far is at least as good.
        patience: end after so many generations in a row that did not better the best value.
        max_seconds: start no generation after which the command is expected to take longer than so many seconds,
            everything counted from its start to its report, and the generations before a resume.
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


# Of the report: 2 to 3 seconds for 640 members, 8 for 100,000.
REPORT_SECONDS = 5.0
# The compile of the winner's program, as a share of that of a generation: 0.23 for MNIST, 0.41 for CartPole.
_WINNER_COMPILE = 0.5


class Command(NamedTuple):
    """What ``max_seconds`` has to know of a command besides its generations.

    Attributes:
        elapsed: gives the seconds since the command began.
        winner: the winner's evaluation without its compile, as a share of a dispatch of generations.
        report: seconds, 0 for none.
        num_ahead: how many dispatches of generations run on when the run ends.
    """

    elapsed: Callable[[], float]
    winner: float = 0.0
    report: float = 0.0
    num_ahead: int = 0


_BEGINNING = {"best_loss": math.inf, "stale": 0, "seconds": 0.0, "compile": 0.0, "dispatch": 0.0}


class Watch:
    """Follows a run and says when a rule ends it; ``notes`` go into a checkpoint and come back as ``notes=``.

    ``reason`` is why :meth:`ends` last said that it ends, None where it did not.
    """

    def __init__(
        self, rules: Rules, objective: Objective, command: Command, notes: dict[str, Any] | None = None
    ) -> None:
        self._rules = rules
        self._sign = objective.sign
        self._command = command
        self.notes: dict[str, Any] = _BEGINNING | (notes or {})
        self.reason: str | None = None
        self._before = self.notes["seconds"]
        self._is_compiled = False
        self._dispatch = 0.0  # of the generations that one program gives, so far
        self._dispatches: list[float] = []

    def write(self, generation: Generation) -> None:
        """Take in one generation."""
        best_loss = float(generation.record.best.loss)
        is_better = best_loss < self.notes["best_loss"]
        self._is_compiled = True
        self._dispatch += generation.seconds - generation.compile_seconds
        if generation.state is not None:
            self._dispatches = [*self._dispatches[-2:], self._dispatch]
            self._dispatch = 0.0
        self.notes = {
            "best_loss": min(best_loss, self.notes["best_loss"]),
            "stale": 0 if is_better else self.notes["stale"] + 1,
            "seconds": self._before + self._command.elapsed(),
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
        if rules.target is not None and notes["best_loss"] <= self._sign * rules.target:
            return f"the target {rules.target:g} is reached"
        if rules.patience is not None and notes["stale"] >= rules.patience:
            return f"{notes['stale']} generations without a better value"
        return self._is_late(rules.max_seconds) if rules.max_seconds is not None else None

    def _is_late(self, max_seconds: float) -> str | None:
        """Whether one more dispatch of generations would end too late; unknown before the first one."""
        command, compiling, dispatch = self._command, self.notes["compile"], self.notes["dispatch"]
        if not dispatch or self._dispatch:
            return None
        seconds = self._before + command.elapsed()
        more = dispatch + (0.0 if self._is_compiled else compiling)
        rest = (command.num_ahead + command.winner) * dispatch + _WINNER_COMPILE * compiling + command.report
        if seconds + more + rest <= max_seconds:
            return None
        return (
            f"{seconds:.1f} of {max_seconds:g} seconds have passed, and it was expected to take {more:.1f} more for "
            f"generations and {rest:.1f} for the winner's evaluation and the report"
        )


# What a run is told before each generation: go on, end with a report, or end with this exit status.
GO_ON, ENOUGH, INTERRUPTED = 0, 1, 128 + signal.SIGINT
# Seconds in which the generation in hand may end and be saved. Kubernetes and SLURM send SIGKILL 30 s after SIGTERM,
# Docker 10 s.
_GRACE = 5.0
# Other processes wait longer than process 0: as long as it is there, it decides.
_PATIENCE = 2.0
# ``timeout -s INT`` sends a signal twice, to the process and to its group; two presses of a person take longer.
_ONE_PRESS = 0.1


class Interrupt:
    """Takes signals while this is open; ``decision`` says what they ask for.

    ========================== ==========================================================================
    SIGINT (Ctrl-C)            end after this generation, with the winner's figures and a report
    SIGINT again               leave at once
    SIGTERM, SIGHUP            save the generation in hand if it ends within 5 seconds, and leave
    SIGUSR1                    the same without a limit: a batch system's early warning
    any, once all is saved     leave at once
    ========================== ==========================================================================

    A Python signal handler waits until a compiled program returns, so the signals are taken by a thread that
    reads them from a socket. The exit status is 128 + the signal's number. SIGHUP stays ignored under ``nohup``.

    Args:
        go_on: the command that goes on with the run, shown where the thread ends the process.
        is_first: whether this is process 0, which decides for all and tells the user.
        show: prints a line above a progress bar; None where there is none, and the standard error takes it.
    """

    def __init__(self, go_on: str, is_first: bool = True, show: Callable[[str], object] | None = None) -> None:
        self.decision = GO_ON
        self._go_on = go_on
        self._is_first = is_first
        self._show = show
        self._is_saved = False
        self._first_press = math.inf
        self._deadline = math.inf

    def saved(self) -> None:
        """From here on a signal has nothing to wait for."""
        self._is_saved = True

    def __enter__(self) -> "Interrupt":
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        taken = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            taken.append(signal.SIGHUP)
        self._handlers = {number: signal.signal(number, lambda number, frame: None) for number in taken}
        self._wakeup = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def _listen(self) -> None:
        while True:
            left = self._deadline - time.monotonic()
            self._receiver.settimeout(None if left == math.inf else max(left, 1e-3))
            try:
                numbers = self._receiver.recv(64)
            except TimeoutError:
                self._leave(self.decision, "the generation did not end in time, the last checkpoint stands; ")
            if not numbers:
                return self._receiver.close()
            for number in numbers:
                if number in self._handlers:
                    self._take(signal.Signals(number), time.monotonic())

    def _take(self, number: signal.Signals, now: float) -> None:
        is_press = number == signal.SIGINT
        if self._is_saved or (is_press and now > self._first_press + _ONE_PRESS):
            self._leave(128 + number)
        if is_press and self.decision == GO_ON:
            self.decision = INTERRUPTED
            self._tell("Ctrl-C: this generation is finished and saved; once more leaves at once")
        elif not is_press and self.decision in (GO_ON, INTERRUPTED):
            self.decision = 128 + number
            limit = f" if it ends within {_GRACE:g} s" if number != signal.SIGUSR1 else ""
            self._tell(f"{number.name}: this generation is saved{limit}, then the run leaves")
        if is_press:
            self._first_press = min(self._first_press, now)
        elif number != signal.SIGUSR1:
            self._deadline = min(self._deadline, now + _GRACE + (0.0 if self._is_first else _PATIENCE))

    def _leave(self, status: int, why: str = "") -> NoReturn:
        with suppress(OSError):
            if os.isatty(1):
                os.write(1, b"\x1b[?25h")  # the progress bar hides the cursor
        self._say(f"{why}go on with: {self._go_on}")
        os._exit(status)

    def _tell(self, line: str) -> None:
        """While the run goes on."""
        if self._show is not None:
            self._show(line)
        else:
            self._say(line)

    def _say(self, line: str) -> None:
        if self._is_first:
            with suppress(OSError):  # the terminal may be gone
                os.write(2, f"\n{line}\n".encode())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._sender.close()
