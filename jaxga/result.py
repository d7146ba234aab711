"""What a search found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxga.base import PyTree
from jaxga.evolution import State
from jaxga.runs.history import History
from jaxga.text import show, show_trained


@dataclass(frozen=True)
class Result:
    """What a search found.

    Attributes:
        best: the setting believed best, in its own units; of population-based training that of the last part.
        best_value: its value in the objective's own sign, as the search saw it. For a noisy objective this is
            optimistic, because the setting was chosen for it. Where no training ended, :attr:`trained` says so.
        fresh_values: f32[N], its values under N seeds that the search did not use.
        history: every member evaluated.
        state: the run's last state, to go on from; None where the run ended inside a dispatch of several generations.
        model: the trained model of the best fresh seed, or of all with a first axis of length N; of population-based
            training that of the last training in the search with the winner's settings. None where the task gives none.
        reason: why the run ended early, None where it did not.
        path: the run's folder, None where there is none.
        best_by_part: of population-based training the settings of the winner's training, part by part; else None.
    """

    best: dict[str, Any]
    best_value: float
    fresh_values: np.ndarray
    history: History
    state: State | None
    model: PyTree | None = None
    reason: str | None = None
    path: Path | None = None
    best_by_part: list[dict[str, Any]] | None = None

    @property
    def fresh_value(self) -> float:
        """The mean of ``fresh_values``: what the best setting is worth."""
        return float(np.mean(self.fresh_values, dtype=np.float64)) if self.fresh_values.size else float("nan")

    @property
    def trained(self) -> float:
        """The greatest share of a training after which there is a value: below 1 where a schedule ended no training."""
        return self.history.trained

    @property
    def population(self) -> list[dict[str, Any]]:
        """The final population: the P best members of all generations, best first, as rows of the history.

        Under a schedule of those that were trained to the end, as many as finish in a generation.
        """
        whole = self.history.whole
        rows = list(whole.rows())
        size = max(map(len, whole.generations))
        loss = whole.objective.sign * whole.columns["value"]  # a failed member's NaN sorts last
        return [rows[i] for i in np.argsort(loss, kind="stable")[:size]]

    def plot(self, kind: Literal["convergence", "search_space"] = "convergence") -> Any:
        """A matplotlib figure: the best value so far, or the members over the search space."""
        from jaxga.report.plots import convergence_figure, search_space_figure

        figures = {"convergence": convergence_figure, "search_space": search_space_figure}
        if kind not in figures:
            raise ValueError(f"plot must be one of {list(figures)}, got {kind!r}")
        return figures[kind](self.history.whole)

    def __repr__(self) -> str:
        setting = ", ".join(f"{name}={show(value)}" for name, value in self.best.items())
        return (
            f"Result({self.history.objective.name} {show_trained(self.best_value, self.trained)} at {setting}; "
            f"fresh {show(self.fresh_value)}; {len(self.history)} {self.history.unit})"
        )

    def _repr_html_(self) -> str:
        from jaxga.report.summary import result_html

        return result_html(self.best, self.best_value, self.fresh_values, self.history)
