"""``config.json``: everything that is needed to repeat a run, or to go on with it."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from jaxga.base import Algorithm, Task
from jaxga.runs import records
from jaxga.runs.checkpoint import digest
from jaxga.runs.fingerprint import fingerprint
from jaxga.runs.saved import read_config
from jaxga.runs.warm_start import WarmStart

CONFIG, WARM_START = "config.json", "warm_start.json"
# Options that say only when a run ends: a resumed run may have others, because it is the same sequence of generations.
LENGTH = ("generations", "target", "patience", "max_seconds", "max_evaluations")


def save_config(path: Path, config: dict[str, Any]) -> None:
    """Write ``config.json`` with the SHA-256 of its content."""
    records.write_json(path / CONFIG, config | {"sha256": _sha256(config)})


def check_config(path: Path, config: dict[str, Any]) -> None:
    """``ValueError`` where ``config.json`` is not as the run wrote it; names the fields that differ, where known."""
    if config.get("sha256") == _sha256(config):
        return
    data, versions = config.get("data"), config.get("versions")
    told = config["options"] | {
        "search space": config.get("space"),
        "data": data.get("sha256") if isinstance(data, dict) else data,
        "jaxga": versions.get("jaxga") if isinstance(versions, dict) else versions,
        "warm_start": config["identity"].get("warm_start"),  # a digest here, a file's name in the options
    }
    differing = [
        f"{name} is {told.get(name)} there and {value} in its identity"
        for name, value in config["identity"].items()
        if told.get(name) != value
    ]
    raise ValueError(
        f"cannot resume {path}: {CONFIG} was changed or damaged after the run wrote it "
        f"({', '.join(differing) or 'its identity does not tell where'}); nothing was changed"
    )


def _sha256(config: dict[str, Any]) -> str:
    content = {name: value for name, value in config.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def identity(options: Mapping[str, Any], task: Task, warm_start: WarmStart | None) -> dict[str, Any]:
    """Everything that a run's figures are a function of, as plain values.

    Args:
        options: those of the run that change its figures.
        task: what is searched.
        warm_start: what the run began with.
    """
    return {
        **options,
        "warm_start": warm_start and warm_start.sha256,
        "search space": task.space.to_dict(),
        "data": describe_data(task)["sha256"],
        "jaxga": records.environment()["versions"].get("jaxga"),
    }


def describe_data(task: Task) -> dict[str, Any]:
    """Where a task's data come from, in its own words, and the SHA-256 of its arrays.

    A task without arrays may give the digest of its data itself, as ``data_sha256``; else it is None.
    """
    has_arrays = bool(jax.tree.leaves(task))
    sha256 = digest(task) if has_arrays else getattr(task, "data_sha256", None)
    return {"source": getattr(task, "data_source", ""), "sha256": sha256}


def check_length(path: Path, num_generations: int | None) -> None:
    """``ValueError`` where the run in ``path`` has more generations than ``num_generations``, None for as many."""
    stored = read_config(path)["options"]["generations"]
    if num_generations is not None and num_generations < stored:
        raise ValueError(f"generations may only be raised on resume: {path} has {stored}, got {num_generations}")


def describe_task(objective: Mapping[str, Any], constants: Mapping[str, Any]) -> dict[str, Any]:
    """The objective and the fixed constants of a task, which stay the same when a run is resumed or replayed."""
    fixed = json.loads(json.dumps(constants))  # as they are read back
    return {"objective": dict(objective)} | {f"fixed {name}": value for name, value in fixed.items()}


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names whose values differ, or that only one of the two has."""
    return [name for name in {**then, **now} if then.get(name) != now.get(name)]


def check_identity(path: Path, now: dict[str, Any], task: Task) -> list[str]:
    """Warnings, one line each, where the run in ``path`` would go on with other rounding.

    Raises ``ValueError`` for another search, another objective, other constants of the task, other data or another
    version of jaxga, whose operators may draw other numbers. Other versions of JAX and another kind of device give the
    same search up to rounding. They are only reported, so that a long run survives an upgrade.
    """
    config = read_config(path)
    then = config["identity"] | describe_task(config["objective"], config.get("constants", {}))
    now = now | describe_task(dataclasses.asdict(task.objective), records.constants(task))
    if names := differing(then, now):
        texts = [f"{name} {then.get(name)} (now {now.get(name)})" for name in names]
        raise ValueError(f"cannot resume {path}: that run has {', '.join(texts)}")
    notes = [
        f"{name} was {old}, is now {new}: the same search, but not to the last bit"
        for name, old, new in _other_environment(config)
    ]
    old, new = config.get("git_commit"), records.environment()["git_commit"]
    return notes + [f"git commit was {old}, is now {new}"] * (old != new)


def check_programs(path: Path, task: Task, algorithm: Algorithm | None = None) -> list[str]:
    """Warnings, one line each, where the task or the algorithm is not what the run in ``path`` began with.

    Without an algorithm, only the task is compared.
    Other versions of a package make other programs of the same functions, so nothing is said where there are such.
    """
    config = read_config(path)
    if "programs" not in config or _other_environment(config):
        return []
    return [
        f"the {name} computes something else than when this run began: earlier values may not be comparable"
        for name, program in fingerprint(task, algorithm).items()
        if program != config["programs"][name]
    ]


def _other_environment(config: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """``(name, then, now)`` of the versions and kinds of device that are not those of a run."""
    environment = records.environment()
    pairs = [(name, config["versions"].get(name), version) for name, version in environment["versions"].items()]
    pairs += [("devices", sorted(set(config["devices"])), sorted(set(environment["devices"])))]
    return [(name, old, new) for name, old, new in pairs if old != new]


def new_config(
    path: Path,
    name: str,
    options: dict[str, Any],
    identity: dict[str, Any],
    task: Task,
    warm_start: WarmStart | None,
    command: list[str] | None,
    **more: Any,
) -> dict[str, Any]:
    """Write ``config.json``, and what the run begins with, of a new run; returns its content.

    Args:
        path: the run's folder.
        name: of the task; the run's name is this and a digest of its identity.
        options: all of them, as plain values.
        identity: from :func:`identity`.
        task: what is searched.
        warm_start: what the run begins with.
        command: the command line, None for a run started in code.
        more: further entries.
    """
    if warm_start is not None:
        warm_start.save(path / WARM_START)
    config = {
        "run": f"{name}-{hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]}",
        "created": _now(),
        "command": command,
        "options": options,
        "identity": identity,
        "data": describe_data(task),
        **records.environment(),
        "space": task.space.to_dict(),
        "objective": dataclasses.asdict(task.objective),
        "constants": records.constants(task),
        **more,
    }
    save_config(path, config)
    return config


def resumed_config(path: Path, options: dict[str, Any], command: list[str] | None) -> dict[str, Any]:
    """Write into ``config.json`` that the run is resumed, with what may change on resume; returns its content."""
    config = read_config(path)
    config["options"] |= {name: options[name] for name in LENGTH}
    config.setdefault("resumed", []).append({"time": _now(), "command": command})
    save_config(path, config)
    return config


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
