"""Whether a long run grows: ``python tests/soak/memory.py`` runs 10,000 generations of 1,024 members.

The memory of the process (resident set) is read while the run goes on. It has settled by the first tenth of the
generations; the status is 1 where the last tenth needs more than 5 % beyond that.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent.parent


def watch(options: list[str], folder: Path, num_generations: int, size: int) -> list[tuple[float, float]]:
    """(share of the generations done, MiB) while the run goes on."""
    command = [sys.executable, str(ROOT / "experiments" / "run.py"), *options, "--out", str(folder)]
    process = subprocess.Popen(command, env=_environment(), stderr=subprocess.PIPE, text=True)
    events, read = folder / "events.jsonl", []
    while process.poll() is None:
        time.sleep(0.5)
        try:
            done = json.loads(_last_line(events))["generation"]
            status = Path(f"/proc/{process.pid}/status").read_text()
        except (OSError, ValueError, KeyError):
            continue
        resident = next((line for line in status.splitlines() if line.startswith("VmRSS")), None)
        if resident is not None:
            read.append((done / num_generations, int(resident.split()[1]) / 1024))
    if process.returncode:
        raise SystemExit(f"status {process.returncode}: {process.communicate()[1]}")
    return read


def _environment() -> dict[str, str]:

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _last_line(path: Path) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 2000))
        return file.read().decode().rstrip("\n").rsplit("\n", 1)[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=10_000)
    parser.add_argument("--pop", type=int, default=1024)
    parser.add_argument("--algorithm", default="random_search")
    parser.add_argument("--dispatch", type=int, default=5, help="generations a program, and a checkpoint")
    arguments = parser.parse_args()
    num_generations, size = arguments.generations, arguments.pop
    options = ["--task", "guess", "--algorithm", arguments.algorithm, "--pop", str(size), "--fresh", "1"]
    options += ["--generations", str(num_generations), "--processes", "1", "--quiet", "--no-report"]
    options += ["--dispatch", str(arguments.dispatch)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        began = time.monotonic()
        read = np.array(watch(options, folder, num_generations, size))
        seconds = time.monotonic() - began
        history = (folder / "history.csv").stat().st_size
    tenths = [read[(read[:, 0] >= t / 10) & (read[:, 0] < (t + 1) / 10 + (t == 9)), 1] for t in range(10)]
    medians = [round(float(np.median(tenth)), 1) if tenth.size else None for tenth in tenths]
    settled, last = medians[1] or medians[0], medians[-1]
    print(
        json.dumps(
            {
                "options": " ".join(options),
                "members": num_generations * size,
                "seconds": round(seconds),
                "history.csv, MiB": round(history / 2**20),
                "resident set by tenth of the generations, MiB (median)": medians,
                "greatest, MiB": round(float(read[:, 1].max()), 1),
                "python": platform.python_version(),
            },
            indent=2,
        )
    )
    return int(last > 1.05 * settled)


if __name__ == "__main__":
    sys.exit(main())
