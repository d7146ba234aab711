"""Small runs through the command line, and what tests compare of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from jaxga.cli.run import main

ROOT = Path(__file__).parent.parent
SMALL = ["--task", "guess", "--algorithm", "random_search", "--pop", "6", "--processes", "1", "--no-report", "--quiet"]
DRAWN = [option for option in SMALL if option != "--no-report"]


def outcome(folder):
    """``history.csv`` and ``result.json``, without what may differ between two runs of one configuration."""
    result = json.loads((folder / "result.json").read_text())
    kept = {name: value for name, value in result.items() if name not in ("seconds", "status", "reason")}
    return (folder / "history.csv").read_bytes(), kept


def events(folder, kind="generation"):
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


def resume(folder, *arguments):
    """Go on with a run in this process; gives the exit status."""
    return main(["--resume", str(folder), "--quiet", "--no-report", "--processes", "1", *arguments])


def start(*arguments, **options):
    """Start a run in another process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "experiments" / "run.py"), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes, **options)
