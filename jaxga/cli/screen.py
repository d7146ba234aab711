"""What the command line shows of a run: its plan, its outcome, its files."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxga.base import Evaluation, Objective
from jaxga.report.lineage import by_part
from jaxga.runs.session import scores_by_name
from jaxga.text import show, unfinished


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


def print_winner(
    console: Console,
    objective: Objective,
    settings: Sequence[dict[str, Any]],
    value: float,
    fresh: Evaluation,
    has_test: bool,
    trained: float = 1.0,
) -> None:
    """The winner's setting, or those of the parts of its training, its value in the search, and under fresh seeds."""
    winner = table("Winner", "hyperparameter", "value")
    for name, value_by_part in by_part(settings).items():
        winner.add_row(name, value_by_part)
    num_seeds = len(fresh.value)
    figures = table("Figures", "figure", "mean", "spread", "of")
    figures.add_row(
        f"{objective.name}, search", show(value), "", unfinished(trained) or "optimistic on average: chosen as the best"
    )
    num_failed = int((~np.isfinite(fresh.value)).sum())
    what = f"{num_seeds} fresh seed{'s' if num_seeds > 1 else ''}"
    what += f", {num_failed} failed" if num_failed else ""
    for name, values in scores_by_name(objective, fresh).items():
        if np.ndim(values) != 1:
            continue
        spread = show(float(np.std(values, ddof=1))) if num_seeds > 1 else "-"
        # A task's test gives the other figures as well.
        data = ", test data" if has_test and name.startswith("test_") else ""
        figures.add_row(name.replace("_", " "), show(float(np.mean(values))), spread, what + data)
    console.print()
    console.print(winner)
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
