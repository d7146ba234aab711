"""Kill a run with SIGKILL again and again, resume it each time, and compare it with one that was never killed.

Ends with status 1 where a byte of history.csv, the winner or the final state (the population and all else that the
algorithm knows) differs, or a process outlives the killed one. A third of the kills strike during the first compile,
a third as soon as a checkpoint begins to be written, a third at any moment. All runs have the same number of processes,
so that matrix products round the same way.

    python tests/soak/kill.py --kills 36
    python tests/soak/kill.py --kills 20 -- --task guess --pop 8 --generations 40 --processes 2
    python tests/soak/kill.py --kills 20 -- --task mnist --data-dir DIR --pop 4 --steps 20 --generations 6 --processes 2
    python tests/soak/kill.py -- --task cartpole --pop 4 --steps 2048 --generations 6 --replicates 1 --processes 2
"""

import argparse
import collections
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
RUN = [sys.executable, str(ROOT / "experiments" / "run.py")]


def soak(
    num_kills: int, options: list[str], seed: int, scratch: Path, log=print, max_seconds: float = math.inf
) -> dict[str, object]:
    """Kill ``num_kills`` times, or for ``max_seconds``; gives counts of kills by moment, resumes, differences."""
    draw = random.Random(seed)
    end = time.monotonic() + max_seconds
    reference = scratch / "reference"
    finish(start(["--out", str(reference), *options], scratch / "cache"))
    expected = outcome(reference)
    began = time.monotonic()
    finish(start(["--out", str(scratch / "again"), *options], scratch / "cache"))
    longest = time.monotonic() - began
    assert outcome(scratch / "again") == expected, "two runs that were not killed differ"
    kills: collections.Counter[str] = collections.Counter()
    counts = {"runs": 0, "resumes": 0, "differences": 0, "lost": 0, "orphans": 0}

    def is_enough() -> bool:
        return kills.total() >= num_kills or time.monotonic() > end

    while not is_enough():
        folder = scratch / f"run{counts['runs']}"
        counts["runs"] += 1
        # A folder in which no configuration was written yet is begun again; all else is resumed.
        for attempt in range(200):
            has_config = (folder / "config.json").exists()
            command = resume_of(folder, options) if has_config else ["--out", str(folder), *options]
            counts["resumes"] += has_config
            how = ("compile", "checkpoint", "any")[kills.total() % 3] if attempt < 12 else "none"
            # Only an empty cache makes a compile long enough to hit.
            cache = scratch / (f"empty{kills.total()}" if how == "compile" else "cache")
            process = start(command, cache)
            moment = _strike(process, folder, how, draw, longest) if not is_enough() else None
            if moment is None:
                finish(process)
                break
            counts["orphans"] += end_orphans(folder)
            kills[moment] += 1
            log(f"kill {kills.total()}: {moment}", flush=True)
        else:
            counts["lost"] += 1
        differing = [name for name, value in outcome(folder).items() if value != expected[name]]
        counts["differences"] += bool(differing)
        log(f"run {counts['runs']}: {', '.join(differing) + ' differ' if differing else 'the same'}", flush=True)
    return {"kills": kills.total(), "kills by moment": dict(kills), **counts}


def outcome(folder: Path) -> dict[str, object]:
    """What has to be the same."""
    result = json.loads((folder / "result.json").read_text())
    timed = ("seconds", "status", "reason")
    return {
        "history.csv": (folder / "history.csv").read_bytes(),
        **{name: value for name, value in result.items() if name not in timed},
    }


def start(arguments: list[str], cache: Path, **options) -> subprocess.Popen[str]:
    """The command line with these arguments and that cache of compiled programs."""
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([*RUN, *arguments], env=environment, text=True, **pipes, **options)


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for its end; ``SystemExit`` with what it said where that is no success."""
    errors = process.communicate(timeout=900)[1]
    if process.returncode:
        raise SystemExit(f"status {process.returncode}: {errors}")


def resume_of(folder: Path, options: list[str]) -> list[str]:
    """Arguments that go on with a run; those of ``options`` that a folder does not keep are named again."""
    kept = [i for i, option in enumerate(options) if option == "--processes"]
    flags = [option for option in options if option in ("--no-report", "--quiet")]
    return ["--resume", str(folder), *(word for i in kept for word in options[i : i + 2]), *flags]


def processes_of(folder: Path) -> list[int]:
    """The processes with this folder on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def end_orphans(folder: Path, seconds: float = 15.0) -> int:
    """How many processes of a run are there so many seconds after its process 0; they are killed."""
    end = time.monotonic() + seconds
    while (orphans := processes_of(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    for process in orphans:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
    return len(orphans)


def _strike(process: subprocess.Popen[str], folder: Path, how: str, draw: random.Random, longest: float) -> str | None:
    """Kill the process at such a moment; None where it ended before."""
    if how == "none":
        return None
    if how == "compile":
        # In the middle of what follows the writing of the configuration.
        _wait(process, lambda: (folder / "config.json").exists(), longest)
        time.sleep(draw.uniform(0.3, 2.5))
    elif how == "checkpoint":
        after = draw.uniform(0, 1.0)
        _wait(process, lambda: any(_unfinished(folder)), longest)
        _wait(process, lambda: False, after)
        _wait(process, lambda: any(_unfinished(folder)), longest)
    else:
        _wait(process, lambda: False, draw.uniform(0.5, longest))
    if process.poll() is not None:
        return None
    process.kill()
    process.communicate()
    events = folder / "events.jsonl"
    if any(_unfinished(folder)):
        return "during a checkpoint"
    if not events.exists() or '"generation", "gen' not in events.read_text():
        return "before the first generation" if how != "compile" else "during the first compile"
    return "between" if not (folder / "result.json").exists() else "at the end"


def _unfinished(folder: Path) -> list[Path]:
    try:
        entries = list((folder / "checkpoints").iterdir())
    except OSError:
        return []
    return [path for path in entries if path.name.startswith(".")]


def _wait(process: subprocess.Popen[str], until, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None and not until():
        time.sleep(0.0005)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="how many, 30 by default")
    parser.add_argument("--minutes", type=float, default=60.0, help="no kill after so many; 60 by default")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("options", nargs="*", default=[], help="of run.py, after --")
    arguments = parser.parse_args()
    options = arguments.options or ["--task", "guess", "--pop", "8", "--generations", "40", "--seed", "1"]
    with tempfile.TemporaryDirectory() as scratch:
        result = soak(arguments.kills, options, arguments.seed, Path(scratch), max_seconds=60 * arguments.minutes)
    print(json.dumps({"options": options, **result}, indent=2))
    return 1 if result["differences"] or result["lost"] or result["orphans"] else 0


if __name__ == "__main__":
    sys.exit(main())
