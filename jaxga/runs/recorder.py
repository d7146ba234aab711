"""What a run writes while it goes on: history, events, checkpoints."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from jaxga.loop import Generation
from jaxga.runs.checkpoint import Checkpoints
from jaxga.runs.folder import Start
from jaxga.runs.records import Events, HistoryFile, Log
from jaxga.runs.session import Search
from jaxga.runs.stopping import StopState


class Recorder:
    """Writes one generation after another: its rows, its event, and then a checkpoint with the sizes of both files.

    A checkpoint is written while the next generation is computed. The next generation's record waits for it.

    Args:
        path: the run's folder.
        name: the run's name.
        search: what is run.
        start: where the run goes on; what the files hold beyond that is cut off.
        stop: its notes go into the checkpoints.

    Raises ``OSError`` where something cannot be written.
    """

    def __init__(self, path: Path, name: str, search: Search, start: Start, stop: StopState) -> None:
        task = search.task
        self._num_done = int(start.state.generation)
        self._checkpoints = Checkpoints(path / "checkpoints", after=self._num_done if start.notes else None)
        self._logs = {
            file: Log(path / file, start.notes.get(file, {"size": 0})["size"])
            for file in ("history.csv", "events.jsonl")
        }
        about = (task.space, task.objective, search.num_replicates, search.num_parts)
        self._history = HistoryFile(self._logs["history.csv"], name, *about)
        self.events = Events(self._logs["events.jsonl"], task.objective)
        self._stop = stop
        self._start = start

    def begin(self, event: str) -> None:
        """Record that the run begins. A new one gets a checkpoint first, so that no row is without one."""
        self.events.add(event, generation=self._num_done)
        if not self._start.notes:
            self._checkpoints.save(self._num_done, self._start.state, self._notes(), wait=True)

    def write(self, generation: Generation) -> None:
        """Write one generation."""
        self._history.write(generation)
        self.events.write(generation)
        # Of several generations in one program only the last one's state leaves the device.
        if generation.state is not None:
            found = generation.record.best
            best = {"best_genome": np.asarray(found.genome).tolist(), "best_loss": float(found.loss)}
            best |= {"trained": generation.record.trained}
            notes = self._notes() | best | {"chunk_size": generation.chunk_size}
            self._checkpoints.save(int(generation.record.generation) + 1, generation.state, notes)

    def _notes(self) -> dict[str, Any]:
        return {name: log.notes for name, log in self._logs.items()} | {"stop": self._stop.notes}

    def finish(self) -> None:
        """Wait until the last checkpoint is written."""
        self._checkpoints.close()

    def close(self) -> None:
        """Close the files; after a run that failed, nothing writes to its folder any more."""
        with contextlib.suppress(OSError):  # the first error is the one to tell
            self.finish()
        for log in self._logs.values():
            log.close()
