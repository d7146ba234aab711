"""All that a run writes while it goes on: history, events, checkpoints; and where it goes on from."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from experiments.folder import Start
from experiments.records import Events, HistoryFile, Log
from experiments.stopping import Watch
from jaxga import Generation, Task
from jaxga.checkpoint import Checkpoints


class Recorder:
    """Writes one generation after another: its rows, its event, and then a checkpoint that says how much that was.

    Where a generation is shorter than the writing of a checkpoint, some generations go without; a resume computes
    them again, to the same bits.

    Args:
        path: the run's folder.
        name: the run's name.
        task: what is searched.
        num_replicates: trainings a member.
        start: where the run goes on; what the folder has beyond that is cut off.
        watch: its notes go into the checkpoints.

    Raises ``OSError`` where something cannot be written.
    """

    def __init__(self, path: Path, name: str, task: Task, num_replicates: int, start: Start, watch: Watch) -> None:
        self._logs = {
            file: Log(path / file, start.notes.get(file, {"size": 0})["size"])
            for file in ("history.csv", "events.jsonl")
        }
        self._history = HistoryFile(self._logs["history.csv"], name, task.space, task.objective, num_replicates)
        self.events = Events(self._logs["events.jsonl"], task.objective)
        self._watch = watch
        self.num_done = 0 if start.state is None else int(start.state.generation)
        self._checkpoints: Checkpoints | None = None
        self._last: Generation | None = None
        with contextlib.suppress(ImportError):  # without Orbax a run is recorded, but cannot go on
            self._checkpoints = Checkpoints(path / "checkpoints", after=self.num_done)
        self._saved = self.num_done

    @property
    def has_checkpoints(self) -> bool:
        """Whether Orbax is there."""
        return self._checkpoints is not None

    def write(self, generation: Generation) -> None:
        """One generation."""
        self._history.write(generation)
        self.events.write(generation)
        self.num_done = int(generation.record.generation) + 1
        self._last = generation
        self._save(generation, wait=False)

    def _save(self, generation: Generation, wait: bool) -> None:
        if self._checkpoints is None or generation.state is None or self._saved == self.num_done:
            return
        info = generation.record.info
        notes: dict[str, Any] = {name: log.notes for name, log in self._logs.items()}
        notes |= {
            "watch": self._watch.notes,
            "best_genome": np.asarray(info.best_genome).tolist(),
            "best_loss": float(info.best_loss),
        }
        if self._checkpoints.save(self.num_done, generation.state, notes, wait=wait):
            self._saved = self.num_done

    def finish(self) -> None:
        """Save the last generation, and wait until that is done."""
        if self._last is not None:
            self._save(self._last, wait=True)
        if self._checkpoints is not None:
            self._checkpoints.close()

    def close(self) -> None:
        """Close the files."""
        for log in self._logs.values():
            log.close()
