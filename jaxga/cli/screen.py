"""What a person sees in the terminal: the plan, the progress, the outcome."""

import math
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from jaxga.base import Evaluation, Objective
from jaxga.loop import Generation
from jaxga.text import show


def table(title: str, *columns: str) -> Table:
    """An empty table in the house style."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for i, column in enumerate(columns):
        made.add_column(column, style="cyan" if i == 0 else None, overflow="fold")
    return made


def say(console: Console, line: str, head: str = "", style: str = "") -> None:
    """Print one line, the head of it in a style; a terminal breaks it between words, and no path in two."""
    text = f"{head} {line}" if head else line
    if console.is_terminal:
        text = textwrap.fill(
            text, console.width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
        )
    shown = Text(text)
    shown.stylize(style, 0, len(head))
    console.print(shown, soft_wrap=True)


class ProgressLine:
    """Best so far, mean, speed and time left; beneath a bar in a terminal, one line a generation elsewhere."""

    def __init__(self, console: Console, objective: Objective, num_generations: int, num_done: int = 0) -> None:
        self._console = console
        self._objective = objective
        self._total = num_generations
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
        figures = [f"best {show(best)}", f"mean {show(mean)}"]
        figures += [f"{int(record.num_failed)} failed"] if record.num_failed else []
        line = "  ".join([*figures, *self._pace.figures(record.loss.size)])
        done = int(record.generation) + 1
        left = self._pace.left(self._total - done)
        self._bar.show(done, left, line)
        if not self._console.is_terminal:
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

    def figures(self, population_size: int) -> list[str]:
        """The speed of generations and members."""
        if not self._num:
            return []
        speed = f"{show(1 / self._each)} generations/s" if self._is_fast else f"{show(self._each)} s a generation"
        return [speed, f"{show(population_size / self._each)} members/s"]

    def left(self, num_generations: int) -> str:
        """What so many generations will take."""
        return f"{timedelta(seconds=round(num_generations * self._each))} left" if self._num else ""


class _Bar(Progress):
    """A bar with the generations done and the time left, and a line beneath; gone when it stops."""

    def __init__(self, console: Console, num_generations: int, num_done: int) -> None:
        self._line = "compiling the generation ..."
        left = TextColumn("{task.description}", markup=False)
        columns = (TextColumn("generation", style="bold"), BarColumn(), MofNCompleteColumn(), left)
        super().__init__(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self.add_task("", total=num_generations, completed=num_done)

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield Text(self._line)

    def show(self, num_done: int, left: str, line: str) -> None:
        self._line = line
        self.update(self._task, completed=num_done, description=left)


def print_winner(
    console: Console, objective: Objective, setting: dict[str, Any], value: float, fresh: Evaluation, has_test: bool
) -> None:
    """The winner's setting, its value in the search, and its figures under fresh seeds."""
    settings = table("Winner", "hyperparameter", "value")
    for name, gene in setting.items():
        settings.add_row(name, show(gene))
    num_seeds = len(fresh.value)
    figures = table("Figures", "figure", "mean", "spread", "of")
    figures.add_row(f"{objective.name}, search", show(value), "", "optimistic: chosen as the best")
    what = f"{num_seeds} fresh seed{'s' if num_seeds > 1 else ''}"
    scalars = {name: metric for name, metric in fresh.metrics.items() if np.ndim(metric) == 1}
    for name, values in {objective.name: fresh.value, **scalars}.items():
        spread = show(float(np.std(values, ddof=1))) if num_seeds > 1 else "-"
        # A task's test gives the other figures as well.
        data = ", test data" if has_test and name.startswith("test_") else ""
        figures.add_row(name.replace("_", " "), show(float(np.mean(values))), spread, what + data)
    console.print()
    console.print(settings)
    console.print()
    console.print(figures)


def print_times(console: Console, seconds: dict[str, float]) -> None:
    """Where the time went."""
    total = sum(seconds.values())
    times = table("Time", "part", "seconds", "share")
    for part, spent in seconds.items():
        times.add_row(part, f"{spent:.1f}", f"{100 * spent / total:.0f} %")
    times.add_row("total", f"{total:.1f}", "")
    console.print()
    console.print(times)


def print_files(console: Console, folder: Path) -> None:
    """The files that were written."""
    console.print()
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    say(console, f"{folder}: {', '.join(names)}", head="Written", style="bold")
