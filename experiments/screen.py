"""What a person sees in the terminal: the plan, the progress, the outcome."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from jaxga.base import Evaluation, Objective
from jaxga.run import Generation


def show(value: Any) -> str:
    """A setting or figure with four significant digits, as a person writes it."""
    if isinstance(value, float | np.floating):
        return "-" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def table(title: str, *columns: str) -> Table:
    """An empty table in the house style."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for i, column in enumerate(columns):
        made.add_column(column, style="cyan" if i == 0 else None, overflow="fold")
    return made


class ProgressLine:
    """Best so far, mean, speed and time left; a bar in a terminal, one line a generation elsewhere."""

    def __init__(self, console: Console, objective: Objective, num_generations: int, num_done: int = 0) -> None:
        self._console = console
        self._objective = objective
        self._total = num_generations
        self._run_seconds = 0.0
        self._num_timed = 0
        self._progress = Progress(
            TextColumn("[bold]generation"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._bar = self._progress.add_task("compiling the generation ...", total=num_generations, completed=num_done)

    def __enter__(self) -> "ProgressLine":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def write(self, generation: Generation) -> None:
        record, size = generation.record, generation.record.loss.size
        self._run_seconds += generation.seconds - generation.compile_seconds
        self._num_timed += 1
        per_second = self._num_timed / max(self._run_seconds, 1e-9)
        finite = record.loss[np.isfinite(record.loss)]
        mean = self._objective.sign * float(finite.mean()) if finite.size else math.nan
        best = self._objective.sign * float(record.info.best_loss)
        failed = f"  {int(record.num_failed)} failed" if record.num_failed else ""
        speed = f"{show(per_second)} generations/s" if per_second >= 1 else f"{show(1 / per_second)} s a generation"
        line = f"best {show(best)}  mean {show(mean)}{failed}  {speed}  {show(per_second * size)} members/s"
        done = int(record.generation) + 1
        self._progress.update(self._bar, completed=done, description=line)
        if not self._console.is_terminal:
            left = (self._total - done) / per_second
            self._console.print(f"generation {done}/{self._total}  {line}  {left:.0f} s left", soft_wrap=True)


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
    what = f"{num_seeds} fresh seeds" + (", test data" if has_test else "")
    scalars = {name: metric for name, metric in fresh.metrics.items() if np.ndim(metric) == 1}
    for name, values in {objective.name: fresh.value, **scalars}.items():
        spread = show(float(np.std(values, ddof=1))) if num_seeds > 1 else "-"
        figures.add_row(name.replace("_", " "), show(float(np.mean(values))), spread, what)
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
    console.print(f"[bold]Written[/bold] {folder}: {', '.join(names)}", soft_wrap=True, highlight=False)
