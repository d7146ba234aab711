"""Signals that end a run: Ctrl-C, SIGTERM, SIGHUP, SIGUSR1."""

import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import NoReturn

from jaxga.runs.stopping import GO_ON

# The decision after Ctrl-C: end with a report, and with this exit status.
INTERRUPTED = 128 + signal.SIGINT
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
