"""The progress of a run: one live line in a terminal and in a notebook."""

import importlib.util
import math
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from jaxga.base import Objective
from jaxga.loop import Generation
from jaxga.text import show


def is_live(console: Console) -> bool:
    """Whether the console can rewrite what it has shown: a terminal, and a notebook where ipywidgets is installed."""
    return console.is_terminal or (console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None)


def plain_console(*, quiet: bool = False) -> Console:
    """A console that prints text as it is: a user's names may have brackets and colons."""
    return Console(quiet=quiet, highlight=False, markup=False, emoji=False)


class ProgressLine:
    """Shows the best so far, the mean, the speed and the time left of a run.

    In a terminal, and in a notebook that has ipywidgets, the line stands beneath a bar, and both disappear at the end.
    Elsewhere each generation prints one line.

    Args:
        console: where to print.
        objective: of the run.
        num_generations: in all.
        num_done: of these, how many were done before.
        trainings_each: under a schedule, the number of whole trainings that a generation is worth.
    """

    def __init__(
        self,
        console: Console,
        objective: Objective,
        num_generations: int,
        num_done: int = 0,
        trainings_each: float | None = None,
    ) -> None:
        self._console = console
        self._objective = objective
        self._total = num_generations
        self._trainings_each = trainings_each
        self._pace = _Pace()
        self._bar = _Bar(console, num_generations, num_done)

    def __enter__(self) -> "ProgressLine":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def write(self, generation: Generation) -> None:
        record = generation.record
        finite = record.loss[np.isfinite(record.loss)]
        mean = self._objective.sign * float(finite.mean()) if finite.size else math.nan
        best = self._objective.sign * float(record.best.loss)
        self._pace.write(generation)
        figures = [f"best {show(best)}" if record.trained == 1 else "no training has ended"]
        if self._trainings_each is None:  # the scores of a schedule are after different parts of a training
            figures += [f"mean {show(mean)}"]
        figures += [f"{int(record.num_failed)} failed"] if record.num_failed else []
        size, unit = record.loss.size, "members"
        if self._trainings_each is not None:
            size, unit = self._trainings_each, "trainings"
        line = "  ".join([*figures, *self._pace.figures(size, unit)])
        done = int(record.generation) + 1
        left = self._pace.left(self._total - done)
        self._bar.show(done, left, line)
        if not is_live(self._console):
            self._console.print(f"generation {done}/{self._total}  {line}  {left}".rstrip(), soft_wrap=True)


class _Pace:
    """How fast generations follow one another, in a unit that stays the same for the whole run.

    Of several generations in one program only all together have a time: their speed is known with the last of them.
    """

    def __init__(self) -> None:
        self._seconds = self._pending_seconds = 0.0
        self._num = self._num_pending = 0
        self._is_fast = False

    def write(self, generation: Generation) -> None:
        self._pending_seconds += generation.seconds - generation.compile_seconds
        self._num_pending += 1
        if generation.state is None:
            return
        is_first = not self._num
        self._seconds, self._pending_seconds = self._seconds + self._pending_seconds, 0.0
        self._num, self._num_pending = self._num + self._num_pending, 0
        if is_first:
            self._is_fast = self._each <= 1

    @property
    def _each(self) -> float:
        return max(self._seconds, 1e-9) / self._num

    def figures(self, size: float, unit: str) -> list[str]:
        """The speed of generations, and of their ``size`` members or trainings."""
        if not self._num:
            return []
        speed = f"{show(1 / self._each)} generations/s" if self._is_fast else f"{show(self._each)} s a generation"
        return [speed, f"{show(size / self._each)} {unit}/s"]

    def left(self, num_generations: int) -> str:
        """What so many generations will take."""
        return f"{timedelta(seconds=round(num_generations * self._each))} left" if self._num else ""


class _Bar(Progress):
    """A bar with the generations done and the time left, and a line beneath; gone when it stops."""

    def __init__(self, console: Console, num_generations: int, num_done: int) -> None:
        self._line = "compiling the generation ..."
        left = TextColumn("{task.description}", markup=False)
        columns = (TextColumn("generation", style="bold"), BarColumn(), MofNCompleteColumn(), left)
        super().__init__(*columns, console=console, transient=True, disable=not is_live(console))
        self._task = self.add_task("", total=num_generations, completed=num_done)

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield Text(self._line)

    def show(self, num_done: int, left: str, line: str) -> None:
        self._line = line
        self.update(self._task, completed=num_done, description=left)
