"""What a run writes while it goes on: config.json and history.csv."""

import csv
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxga.base import Objective
from jaxga.history import to_columns
from jaxga.run import Generation
from jaxga.space import SearchSpace

_PACKAGES = ("jaxga", "jax", "jaxlib", "flax", "optax", "numpy", "gymnax", "evosax")


def new_folder(path: Path) -> Path:
    """Create ``path``, or take it where it is an empty folder.

    Raises ``ValueError`` where something is in it already or it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise ValueError(f"--out {path} is not empty: name a new folder")
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"--out {path} cannot be written: {error.strerror}") from None
    return path


def environment() -> dict[str, Any]:
    """Versions, device and commit: what a figure was measured with."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "versions": versions,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(_cores()),
        "devices": [device.device_kind for device in jax.devices()],
        "git_commit": _git_commit(),
    }


def _cores() -> Any:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _git_commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def write_config(folder: Path, *, options: dict[str, Any], space: SearchSpace, data: dict[str, Any]) -> None:
    """``config.json``: everything needed to repeat the run."""
    config = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "options": options,
        "space": {name: repr(dimension) for name, dimension in space.items},
        "data": data,
        **environment(),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


class HistoryFile:
    """``history.csv``: one row a member, written through after every generation.

    A metric that is a curve is a JSON list in its cell.
    """

    def __init__(self, folder: Path, space: SearchSpace, objective: Objective, num_replicates: int) -> None:
        self.path = folder / "history.csv"
        self._about = (space, objective, num_replicates)
        self._file = open(self.path, "x", newline="", encoding="utf-8")  # noqa: SIM115 - closed on exit
        self._writer = csv.writer(self._file)
        self._has_header = False

    def write(self, generation: Generation) -> None:
        columns = to_columns(generation.record, *self._about)
        if not self._has_header:
            self._writer.writerow(columns)
            self._has_header = True
        cells = [_cells(column) for column in columns.values()]
        self._writer.writerows(zip(*cells, strict=True))
        self._file.flush()

    def __enter__(self) -> "HistoryFile":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def _cells(column: np.ndarray) -> Any:
    # A numpy float32 prints its shortest exact form, a Python float all the digits of a double.
    return column if column.ndim == 1 else ["[" + ", ".join(map(str, row)) + "]" for row in column]
