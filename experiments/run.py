"""Evolve a task's hyperparameters: ``python experiments/run.py --task mnist --pop 64``, which is ``jaxga run``."""

import signal
import sys
from pathlib import Path

# Importing JAX takes seconds; Ctrl-C during them ends the command without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)
# The package of this checkout, even where another one is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from jaxga.cli.run import main
from jaxga.cli.start import run_command

if __name__ == "__main__":
    run_command(main)
