"""A run in a few words: its title, and a result as a small HTML table."""

import html
from typing import Any

import numpy as np

from jaxga.report.findings import deviation, fresh_seeds
from jaxga.runs.history import History
from jaxga.runs.saved import SavedRun
from jaxga.text import show, show_trained

_WIDTH, _HEIGHT = 240, 48


def title(run: SavedRun, history: History) -> str:
    """One line that says what was run."""
    options = run.config["options"]
    env = run.config.get("task_arguments", {}).get("env", "")
    done, num = int(history.scored.numbers[-1]) + 1, len(history.generations[0])
    size = f"{num} member{'s' * (num > 1)}"
    if schedule := run.config.get("schedule"):
        size = f"{schedule['name']}, {schedule['lanes']} lanes"
    task = f"{options.get('task', 'task')} {env}".strip()
    return f"{task}, {options.get('algorithm', 'algorithm')}, {size} x {done} generation{'s' * (done > 1)}"


def result_html(best: dict[str, Any], best_value: float, fresh_values: np.ndarray, history: History) -> str:
    """A result as HTML for a notebook: the best setting, its value, and a line of the best so far.

    Args:
        best: the winner, a setting in its own units.
        best_value: the search's estimate of its value.
        fresh_values: f32[N], its values under N seeds that the search did not use; N may be 0.
        history: of the run.
    """
    name = history.objective.name
    facts = {**best, f"{name}, in the search": show_trained(best_value, history.trained)}
    if len(fresh_values):
        spread = f" ± {deviation(fresh_values)}" if len(fresh_values) > 1 else ""
        facts[f"{name}, {fresh_seeds(fresh_values)}"] = f"{show(float(np.mean(fresh_values)))}{spread}"
    facts[history.unit] = f"{len(history):,}"
    cells = "".join(
        f"<tr><th style='text-align: left'>{html.escape(str(k))}</th><td>{html.escape(show(v))}</td></tr>"
        for k, v in facts.items()
    )
    return f"<table>{cells}</table>{_sparkline(history.estimates, f'{name} of the best setting by generation')}"


def _sparkline(values: np.ndarray, title: str) -> str:
    """A line of the finite values as SVG; empty for fewer than two."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return ""
    x = np.linspace(2, _WIDTH - 2, len(values))
    y = _HEIGHT - 2 - (_HEIGHT - 4) * (values - values.min()) / (np.ptp(values) or 1.0)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return (
        f"<svg width='{_WIDTH}' height='{_HEIGHT}' role='img'><title>{html.escape(title)}</title>"
        f"<polyline points='{points}' fill='none' stroke='#D55E00' stroke-width='2'/></svg>"
    )
