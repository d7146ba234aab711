"""``--resume DIR``: the options of the run in it, and the command that goes on with a run."""

import dataclasses
import shlex
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from jaxga.cli.options import USES, Options, flag, named_as_options
from jaxga.runs.config import LENGTH, check_config, check_length, read_config


def resumed_options(given: Options, named: Collection[str]) -> Options:
    """The options of the run in ``given.resume``, with what may be changed taken from ``given``.

    Args:
        given: this command line.
        named: the options that it names.

    Raises ``ValueError`` where one of them would make another run.
    """
    path = given.resume
    assert path is not None
    if given.out is not None:
        raise ValueError(f"--out does not go with --resume, which writes to {path}; got {given.out}")
    config = read_config(path)
    check_config(path, config)
    if config["command"] is None:
        raise ValueError(f"cannot resume {path}: that run was started in code; go on there with resume=True")
    plain: dict[str, Any] = config["options"]
    if unknown := sorted(set(plain) - set(USES)):
        raise ValueError(f"cannot resume {path}: that run has options that this version has not: {unknown}")
    stored = Options.from_dict(plain)
    differing = [
        f"{flag(name)} {getattr(stored, name)} (now {getattr(given, name)})"
        for name in sorted(named)
        if name not in LENGTH and not USES[name].outside and getattr(stored, name) != getattr(given, name)
    ]
    if differing:
        raise ValueError(f"cannot resume {path}: that run has {', '.join(differing)}; start a new one with --out")
    with named_as_options():
        check_length(path, given.generations)
    kept = {name: getattr(stored, name) for name in USES if not USES[name].outside and name not in named}
    kept |= {"data_dir": given.data_dir or stored.data_dir, "out": path}
    # Another one of these may round differently, so that only the command line changes it.
    kept |= {name: getattr(stored, name) for name in ("chunk", "processes") if name not in named}
    return dataclasses.replace(given, **kept)


def resume_command(program: list[str], options: Options, path: Path) -> str:
    """The command that goes on with this run as it was called, as a shell takes it.

    Args:
        program: the words that started this command, as ``["python", "experiments/run.py"]``.
        options: of the run.
        path: its folder.
    """
    words = [*program, "--resume", str(path)]
    for name, use in USES.items():
        value = getattr(options, name)
        if use.outside and name not in ("out", "resume", "data_dir") and value != getattr(Options(), name):
            words += [flag(name), *([] if value is True else [str(value)])]
    return shlex.join(words)


def program_words(command: str) -> list[str]:
    """The words of ``sys.argv`` that started a command: a script ``COMMAND.py``, or ``jaxga`` and the command."""
    return sys.argv[:1] if Path(sys.argv[0]).name == f"{command}.py" else [sys.argv[0], command]


def shown_program(command: str) -> list[str]:
    """The same as a user types it: ``python experiments/run.py`` or ``jaxga run``."""
    program = program_words(command)
    return ["python", *program] if len(program) == 1 else ["jaxga", command]
