"""A run's folder: which process may write to it, and which checkpoint a run in it goes on from."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from jaxga.evolution import State
from jaxga.runs import records
from jaxga.runs.checkpoint import Restored, restore
from jaxga.runs.config import CONFIG, WARM_START

# What a run leaves that was killed before its configuration was written: nothing worth keeping.
_LEFTOVERS = {".lock", f".{CONFIG}", WARM_START, f".{WARM_START}"}


class Lock:
    """Holds a folder for this process until the process ends.

    Raises ``ValueError`` where another process holds it, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise ValueError(f"the folder {folder} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 20).decode()
            os.close(self._file)
            raise ValueError(f"the folder {folder} is in use by another run (process {holder})") from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.close(self._file)


class RunFolder:
    """A run's folder, which no other process writes to while this is open; ``with`` gives its path.

    A new folder in which nothing was recorded is removed at the end.

    Args:
        path: the folder.
        is_new: whether a run begins in it; it is then made where it is missing, and has to be empty.

    Raises ``ValueError`` where a new folder has something in it, it cannot be written, or another process has it.
    """

    def __init__(self, path: Path, *, is_new: bool) -> None:
        self._path, self._is_new = path, is_new
        if is_new:
            self._check_empty()
        self._lock = Lock(path)
        if is_new:
            self._check_empty()  # another run may have ended here between the check and the lock
            for name in _LEFTOVERS - {".lock"}:
                (path / name).unlink(missing_ok=True)

    def _check_empty(self) -> None:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"the folder {self._path} cannot be written: {error.strerror}") from None
        check_new(self._path)

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *exception: object) -> None:
        if self._is_new:
            with suppress(OSError):
                if [path.name for path in self._path.iterdir()] == [".lock"]:
                    (self._path / ".lock").unlink()
                    self._path.rmdir()
        self._lock.release()


def check_new(path: Path) -> None:
    """Raise ``ValueError`` where ``path`` exists and a run cannot begin there; changes nothing."""
    try:
        names = {path.name for path in path.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise ValueError(f"the folder {path} cannot be written: {error.strerror}") from None
    if names - _LEFTOVERS:
        raise ValueError(f"the folder {path} is not empty: name a new one, or resume the run in it")


def has_run(path: Path) -> bool:
    """Whether a run was begun in ``path``."""
    return (path / CONFIG).exists()


class Start(NamedTuple):
    """Where a run begins or goes on; ``notes`` are the checkpoint's, empty where it goes on from none."""

    state: State
    notes: dict[str, Any]
    warnings: tuple[str, ...]


def restart(path: Path, begin: State) -> Start:
    """The newest usable checkpoint of the run in ``path``, or ``begin`` where nothing was recorded; changes nothing.

    The state before the first generation is a checkpoint too, saved before the first row: where anything was
    recorded, a kill cannot have left a folder without one.

    Raises ``ValueError`` where something was recorded and no checkpoint can be used.
    """
    for name in ("history.csv", "events.jsonl", "result.json"):
        if (path / name).is_dir():
            raise ValueError(f"cannot resume {path}: {name} is a directory; nothing was changed")

    def refuse(notes: dict[str, Any]) -> str | None:
        for name in ("history.csv", "events.jsonl"):
            if not records.starts_as(path / name, notes[name]):
                return f"{name} is not what it was when that was saved"
        return None

    checkpoints = path / "checkpoints"
    found: Restored = restore(checkpoints, like=begin, refuse=refuse)
    if found.state is not None:
        return Start(found.state, found.notes, found.unusable)
    if _has_record(path):
        why = "; ".join(found.unusable) or f"{checkpoints} has none"
        raise ValueError(
            f"cannot resume {path}: generations were recorded there, and there is no checkpoint to go on from ({why}); "
            "nothing was changed"
        )
    return Start(begin, {}, found.unusable)


def _has_record(path: Path) -> bool:
    """Whether a generation was recorded, by any of the files: a start from nothing would lose it."""
    history, events = path / "history.csv", path / "events.jsonl"
    return (
        any((path / "checkpoints").glob("[1-9]*"))
        or (path / "result.json").exists()
        or (history.exists() and history.stat().st_size > 0)
        or (events.exists() and (not events.is_file() or b'"event": "generation"' in events.read_bytes()))
    )
