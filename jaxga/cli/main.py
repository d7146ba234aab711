"""The ``jaxga`` command: ``jaxga run``, ``jaxga report``, ``jaxga replay``, ``jaxga export``."""

import importlib
import signal
import sys
from functools import partial

from jaxga.distribution import installed_versions

_COMMANDS = {
    "run": "Evolve a task's hyperparameters.",
    "report": "Write a run's report, figures and history.parquet anew.",
    "replay": "Train a run's winner again under fresh seeds.",
    "export": "Write every member of a run as a trial of an Optuna study.",
}


def main() -> None:
    """Run the command that the first word names; exit status 2 where it names none."""
    # Importing JAX takes seconds; Ctrl-C during them ends the command without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h"):
        print("usage: jaxga COMMAND [OPTIONS]\n")
        print("\n".join(f"  {command:<8}{about}" for command, about in _COMMANDS.items()))
        print("\njaxga COMMAND --help shows the options of a command.")
        return
    if name == "--version":
        print(*installed_versions(["jaxga"]).values())
        return
    if name not in _COMMANDS:
        print(f"error: jaxga: the command must be one of {', '.join(_COMMANDS)}, got {name!r}", file=sys.stderr)
        sys.exit(2)
    from jaxga.cli.start import run_command

    command = importlib.import_module(f"jaxga.cli.{name}").main
    run_command(command if name == "run" else partial(command, sys.argv[2:]))
