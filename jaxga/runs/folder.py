"""A run's folder: one process at a time, what its configuration is, and how to go on from what is in it."""

import dataclasses
import fcntl
import hashlib
import json
import os
import shlex
import sys
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from jaxga import SearchSpace, Task
from jaxga.cli.options import Options
from jaxga.evolution import State
from jaxga.runs import records
from jaxga.runs.checkpoint import Restored, restore
from jaxga.runs.saved import read_config
from jaxga.runs.warm_start import WarmStart

CONFIG, WARM_START = "config.json", "warm_start.json"
# What a run that was killed before its configuration was written leaves: nothing that is worth keeping.
_LEFTOVERS = {".lock", f".{CONFIG}", WARM_START, f".{WARM_START}"}
# Options that change no figure of any generation: how long the run is, where it runs and what it tells whom.
# Everything else makes another run. Settings of the stop rules stand beside --generations: they end the same
# sequence of generations earlier or later.
LENGTH = ("generations", "target", "patience", "max_seconds", "max_evaluations")
OUTSIDE = (
    "out",
    "resume",
    "quiet",
    "dry_run",
    "processes",
    "coordinator",
    "num_processes",
    "process_id",
    "data_dir",  # the data's own SHA-256 is compared
    "no_report",
    "tensorboard",
    "wandb",
    "mlflow",
)


class Lock:
    """Holds a folder for this process, until it ends in whatever way.

    Raises ``ValueError`` where another process holds it, or it cannot be written.
    """

    def __init__(self, folder: Path, option: str) -> None:
        try:
            self._file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise ValueError(f"{option} {folder} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 20).decode()
            os.close(self._file)
            raise ValueError(f"{option} {folder} is in use by another run (process {holder})") from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.close(self._file)


class Held:
    """A run's folder, which nobody else writes to while this is open; ``with`` gives its path.

    A new one in which nothing was recorded is removed at the end.

    Args:
        task: names the folder where ``out`` does not.
        out: the folder of a new run, None for ``runs/TASK-DATE``.
        resume: the folder of the run to go on with.

    Raises ``ValueError`` where a new folder has something in it, it cannot be written, or another process has it.
    """

    def __init__(self, task: str, out: Path | None, resume: Path | None) -> None:
        self._is_new = resume is None
        self._path = resume or out or Path("runs") / f"{task}-{datetime.now():%Y%m%d-%H%M%S}"
        if self._is_new:
            self._check_empty()
        self._lock = Lock(self._path, "--out" if self._is_new else "--resume")
        if self._is_new:
            self._check_empty()  # another run may have ended here just before
            for name in _LEFTOVERS - {".lock"}:
                (self._path / name).unlink(missing_ok=True)

    def _check_empty(self) -> None:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            names = {path.name for path in self._path.iterdir()}
        except OSError as error:
            raise ValueError(f"--out {self._path} cannot be written: {error.strerror}") from None
        if names - _LEFTOVERS:
            raise ValueError(f"--out {self._path} is not empty: name a new folder, or go on with --resume {self._path}")

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *exception: object) -> None:
        if self._is_new:
            with suppress(OSError):
                if [path.name for path in self._path.iterdir()] == [".lock"]:
                    (self._path / ".lock").unlink()
                    self._path.rmdir()
        self._lock.release()


def save_config(path: Path, config: dict[str, Any]) -> None:
    """Write ``config.json`` with the SHA-256 of its content."""
    records.write_json(path / CONFIG, config | {"sha256": _sha256(config)})


def check_config(path: Path, config: dict[str, Any]) -> None:
    """``ValueError`` where ``config.json`` is not as a run wrote it; names the fields that can be told."""
    if config.get("sha256") == _sha256(config):
        return
    data, versions = config.get("data"), config.get("versions")
    told = config["options"] | {
        "search space": config.get("space"),
        "data": data.get("sha256") if isinstance(data, dict) else data,
        "jaxga": versions.get("jaxga") if isinstance(versions, dict) else versions,
        "warm_start": config["identity"].get("warm_start"),  # there a digest, and a file's name in the options
    }
    differing = [
        f"{name} is {told.get(name)} there and {value} in its identity"
        for name, value in config["identity"].items()
        if told.get(name) != value
    ]
    raise ValueError(
        f"--resume {path}: {CONFIG} was changed or damaged after the run wrote it "
        f"({', '.join(differing) or 'not in what its identity can tell'}); nothing was changed"
    )


def _sha256(config: dict[str, Any]) -> str:
    content = {name: value for name, value in config.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def resumed_options(given: Options, named: Collection[str]) -> Options:
    """The options of the run in ``given.resume``, with what may be changed taken from ``given``.

    Args:
        given: this command line.
        named: the options that it names.

    Raises ``ValueError`` where one of them would make another run.
    """
    assert given.resume is not None
    if given.out is not None:
        raise ValueError(f"--out does not go with --resume, which writes to {given.resume}; got {given.out}")
    config = read_config(given.resume)
    check_config(given.resume, config)
    plain: dict[str, Any] = config["options"]
    unknown = sorted(set(plain) - {field.name for field in dataclasses.fields(Options)})
    if unknown:
        raise ValueError(f"--resume {given.resume}: that run has options that this version has not: {unknown}")
    stored = Options.from_dict(plain)
    differing = [
        f"--{name.replace('_', '-')} {getattr(stored, name)} (now {getattr(given, name)})"
        for name in sorted(named)
        if name not in LENGTH + OUTSIDE and getattr(stored, name) != getattr(given, name)
    ]
    if differing:
        raise ValueError(f"--resume {given.resume}: that run has {', '.join(differing)}; start a new one with --out")
    assert stored.generations is not None
    if given.generations is not None and given.generations < stored.generations:
        raise ValueError(
            f"--generations may only be raised on resume: {given.resume} has {stored.generations}, "
            f"got {given.generations}"
        )
    kept = {name: getattr(stored, name) for name in vars(stored) if name not in OUTSIDE and name not in named}
    kept |= {"data_dir": given.data_dir or stored.data_dir, "out": given.resume}
    return dataclasses.replace(given, **kept)


def resume_command(options: Options, path: Path) -> str:
    """The command that goes on with this run as it was called, as a shell takes it."""
    program = sys.argv[0]
    words = ["python", program] if program.endswith(".py") else [Path(program).name]
    words += ["--resume", str(path)]
    for name in OUTSIDE:
        value = getattr(options, name)
        if name not in ("out", "resume", "data_dir") and value != getattr(Options(), name):  # data_dir is kept
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(words)


def identity(options: Options, space: SearchSpace, data: dict[str, Any], known: WarmStart | None) -> dict[str, Any]:
    """Everything that a run's figures are a function of."""
    named = {name: value for name, value in options.as_dict().items() if name not in LENGTH + OUTSIDE}
    named["warm_start"] = known and known.sha256
    return named | {
        "search space": space.to_dict(),
        "data": data.get("sha256"),
        "jaxga": records.environment()["versions"].get("jaxga"),
    }


def run_name(options: Options, identity: dict[str, Any]) -> str:
    """The run's name: two runs of one configuration have the same."""
    return f"{options.task}-{hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]}"


def check_identity(path: Path, now: dict[str, Any]) -> list[str]:
    """Warnings, one line each, where the run in ``path`` would go on with other rounding.

    Another search, other data or another version of jaxga (whose operators may draw otherwise) is refused by a
    ``ValueError``. Another version of what computes, or another kind of device, gives the same search up
    to rounding: a long run must survive an upgrade, so that is said and not refused.
    """
    config = read_config(path)
    then = config["identity"]
    differing = [f"{k} {then.get(k)} (now {now.get(k)})" for k in {**then, **now} if then.get(k) != now.get(k)]
    if differing:
        raise ValueError(f"--resume {path}: that run has {', '.join(differing)}")
    environment = records.environment()
    pairs = [(name, config["versions"].get(name), version) for name, version in environment["versions"].items()]
    pairs += [("devices", sorted(set(config["devices"])), sorted(set(environment["devices"])))]
    pairs += [("git commit", config.get("git_commit"), environment["git_commit"])]
    return [
        f"{name} was {old}, is now {new}: the same search, but not to the last bit"
        for name, old, new in pairs
        if old != new
    ]


def write_config(
    path: Path,
    options: Options,
    task: Task,
    data: dict[str, Any],
    known: WarmStart | None,
) -> dict[str, Any]:
    """``config.json``: everything needed to repeat the run, or to go on with it; gives its content."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    command = [Path(sys.argv[0]).name, *sys.argv[1:]]
    if options.resume is None:
        about = identity(options, task.space, data, known)
        if known is not None:
            known.save(path / WARM_START)
        config = {"run": run_name(options, about), "created": now, "command": command}
        config |= {"options": options.as_dict(), "identity": about, "data": data, **records.environment()}
        config |= {"space": task.space.to_dict(), "objective": dataclasses.asdict(task.objective)}
        config["constants"] = records.constants(task)
    else:
        config = read_config(path)
        config["options"] |= {name: options.as_dict()[name] for name in LENGTH}
        config.setdefault("resumed", []).append({"time": now, "command": command})
    save_config(path, config)
    return config


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
            raise ValueError(f"--resume {path}: {name} is a directory; nothing was changed")

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
            f"--resume {path}: generations were recorded there, and there is no checkpoint to go on from ({why}); "
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
