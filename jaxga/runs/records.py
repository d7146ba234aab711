"""The files that a running search appends to: ``history.csv`` and ``events.jsonl``; and where it was computed."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxga.base import Objective, Species, Task
from jaxga.distribution import installed_versions
from jaxga.runs.draft import draft
from jaxga.runs.history import to_columns, to_csv
from jaxga.space import SearchSpace

if TYPE_CHECKING:
    from jaxga.loop import Generation

_PACKAGES = ("jaxga", "jax", "jaxlib", "flax", "optax", "numpy", "gymnax", "evosax")


def environment() -> dict[str, Any]:
    """Versions, devices and commit with which a run is computed, as plain values for JSON."""
    return {
        "python": platform.python_version(),
        "versions": installed_versions(_PACKAGES),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(_cores()),
        "devices": [device.device_kind for device in jax.devices()],
        "git_commit": _git_commit(),
    }


def constants(task: Task) -> dict[str, Any]:
    """What a task does not search, by name.

    These are its fields that are numbers or strings, the names of those that have a name (an environment), and the
    entries of a named tuple ``fixed``, where it has one.
    """
    found: dict[str, Any] = {}
    for field in dataclasses.fields(task) if dataclasses.is_dataclass(task) else ():
        value = getattr(task, field.name)
        # A searched name is a maximum, as mnist's hidden_size. The other two have places of their own.
        if field.name in (*task.space.names, "objective", "data_source"):
            continue
        if isinstance(value, int | float | str):
            found[field.name] = value
        elif isinstance(getattr(value, "name", None), str):
            found[field.name] = value.name
        elif field.name == "fixed":
            found |= {k: v for k, v in value._asdict().items() if k not in task.space.names and v is not None}
    return found


def _cores() -> Any:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


@cache
def _git_commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    with draft(path) as made:
        made.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


class Log:
    """A file that is only appended to, and that never ends in half a record.

    Args:
        path: the file; made where it is missing.
        size: how many bytes of the file are kept; what follows them is cut off.

    Raises ``OSError`` naming the file where it cannot be written, or was replaced by another file.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        self.size = size
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        self._sha = hashlib.sha256()
        os.ftruncate(self._file, size)
        while block := os.read(self._file, 1 << 20):
            self._sha.update(block)

    def append(self, text: str) -> None:
        """Write a record; where that fails, the file is cut back to its last complete record."""
        data = text.encode()
        try:
            here = os.stat(self.path)
            if not os.path.samestat(here, os.fstat(self._file)):
                raise FileNotFoundError(errno.ENOENT, "the file was replaced")
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):  # the first error is reported
                os.ftruncate(self._file, self.size)
            raise OSError(error.errno, f"{self.path} cannot be written: {error.strerror}") from None
        self.size += len(data)
        self._sha.update(data)

    @property
    def notes(self) -> dict[str, Any]:
        """Its size and SHA-256, which a checkpoint keeps."""
        return {"size": self.size, "sha256": self._sha.hexdigest()}

    def close(self) -> None:
        os.close(self._file)


def starts_as(path: Path, notes: dict[str, Any]) -> bool:
    """Whether a file still begins with the bytes that its :attr:`Log.notes` describe."""
    sha, left = hashlib.sha256(), notes["size"]
    try:
        with open(path, "rb") as file:
            while left and (block := file.read(min(left, 1 << 20))):
                sha.update(block)
                left -= len(block)
    except OSError:
        return False
    return left == 0 and sha.hexdigest() == notes["sha256"]


class HistoryFile:
    """``history.csv``: one row a member, written after every generation.

    The file is a function of the configuration alone, so that two runs of one configuration are equal byte for byte.

    Args:
        log: where to append.
        run: the run's name, the first column.
        space, objective, num_replicates: of the run.
        num_parts: under a schedule, of a whole training.
    """

    def __init__(
        self, log: Log, run: str, space: SearchSpace, objective: Objective, num_replicates: int, num_parts: int = 1
    ) -> None:
        self._log = log
        self._run = run
        self._about = (space, objective, num_replicates, num_parts)

    def write(self, generation: Generation) -> None:
        columns = to_columns(generation.record, *self._about)
        run = np.full(len(columns["member"]), self._run)
        if not len(run):
            return
        self._log.append(to_csv({"run": run, **columns}, with_header=not self._log.size))


class Events:
    """``events.jsonl``: the start, every generation with its seconds, and the end, one JSON object a line."""

    def __init__(self, log: Log, objective: Objective) -> None:
        self._log = log
        self._sign = objective.sign

    def add(self, event: str, **about: Any) -> None:
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._log.append(json.dumps({"time": when, "event": event, **about}) + "\n")

    def write(self, generation: Generation) -> None:
        record = generation.record
        species = np.asarray(record.offspring.species)
        if record.rungs is not None:  # without the rows of empty lanes
            species = species[record.rungs.number >= 0]
        value = self._sign * np.where(np.isfinite(record.loss), record.loss, np.nan).astype(float)
        self.add(
            "generation",
            generation=int(record.generation),
            seconds=round(generation.seconds, 6),
            compile_seconds=round(generation.compile_seconds, 6),
            best=_finite(self._sign * float(record.best.loss)),
            mean=_finite(np.nanmean(value)) if np.isfinite(value).any() else None,
            failed=int(record.num_failed),
            species={s.name.lower(): int((species == s).sum()) for s in Species},
        )


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None  # JSON has no infinity


def read_events(path: Path) -> list[dict[str, Any]]:
    """The objects of ``events.jsonl``, of a run that was killed those of its complete lines; empty without the file.

    Raises ``ValueError`` where a complete line is no JSON object.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return []
    try:
        found = [json.loads(line) for line in lines if line.endswith("\n")]
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as a run's events: {error}") from None
    if wrong := [event for event in found if not isinstance(event, dict) or "event" not in event]:
        raise ValueError(f"{path} cannot be read as a run's events: a line is {wrong[0]!r}")
    return found
