"""All that a run writes while it goes on: history, events, checkpoints; and where it goes on from."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from jaxga import Generation, Task
from jaxga.runs.checkpoint import CheckpointError, Checkpoints
from jaxga.runs.folder import Start
from jaxga.runs.records import Events, HistoryFile, Log
from jaxga.runs.stopping import Watch


class Recorder:
    """Writes one generation after another: its rows, its event, and then a checkpoint that says how much that was.

    A checkpoint is written while the next generation is computed; where that is the faster, it waits.

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
        self.num_done = int(start.state.generation)
        self._checkpoints: Checkpoints | None = None
        with contextlib.suppress(ImportError):  # without Orbax a run is recorded, but cannot go on
            self._checkpoints = Checkpoints(path / "checkpoints", after=self.num_done if start.notes else None)
        self._logs = {
            file: Log(path / file, start.notes.get(file, {"size": 0})["size"])
            for file in ("history.csv", "events.jsonl")
        }
        self._history = HistoryFile(self._logs["history.csv"], name, task.space, task.objective, num_replicates)
        self.events = Events(self._logs["events.jsonl"], task.objective)
        self._watch = watch
        self._start = start

    @property
    def has_checkpoints(self) -> bool:
        """Whether Orbax is there."""
        return self._checkpoints is not None

    def begin(self, event: str) -> None:
        """Record that the run begins; a new one with a checkpoint, so that no row is ever without one."""
        self.events.add(event, generation=self.num_done)
        if self._checkpoints is not None and not self._start.notes:
            self._checkpoints.save(self.num_done, self._start.state, self._notes(), wait=True)

    def write(self, generation: Generation) -> None:
        """One generation."""
        self._history.write(generation)
        self.events.write(generation)
        self.num_done = int(generation.record.generation) + 1
        # Of several generations in one program only the last one's state comes out.
        if self._checkpoints is not None and generation.state is not None:
            best = generation.record.best
            found = {"best_genome": np.asarray(best.genome).tolist(), "best_loss": float(best.loss)}
            self._checkpoints.save(self.num_done, generation.state, self._notes() | found)

    def _notes(self) -> dict[str, Any]:
        return {name: log.notes for name, log in self._logs.items()} | {"watch": self._watch.notes}

    def finish(self) -> None:
        """Wait until the last checkpoint is written."""
        if self._checkpoints is not None:
            self._checkpoints.close()
            self._checkpoints = None

    def close(self) -> None:
        """Close the files; after a run that failed, nothing writes to its folder any more."""
        with contextlib.suppress(CheckpointError):  # the first error is the one to tell
            self.finish()
        for log in self._logs.values():
            log.close()
