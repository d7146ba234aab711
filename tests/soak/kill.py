"""Kill a run with SIGKILL again and again, resume it each time, and compare it with one that was never killed.

``python tests/soak/kill.py --kills 36`` ends with status 1 where a byte of history.csv, the winner or the final
state (the population and all else that the algorithm knows) differs. A third of the kills strike during the first
compile, a third as soon as a checkpoint begins to be written, a third at any moment.
"""

import argparse
import collections
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
RUN = [sys.executable, str(ROOT / "experiments" / "run.py")]


def soak(num_kills: int, options: list[str], seed: int, scratch: Path, log=print) -> dict[str, object]:
    """Kill ``num_kills`` times; gives counts of kills by moment, resumes, fresh starts, differences."""
    draw = random.Random(seed)
    reference = scratch / "reference"
    _finish(_start(["--out", str(reference), *options], scratch / "cache"))
    expected = outcome(reference)
    began = time.monotonic()
    _finish(_start(["--out", str(scratch / "again"), *options], scratch / "cache"))
    longest = time.monotonic() - began
    assert outcome(scratch / "again") == expected, "two runs that were not killed differ"
    kills: collections.Counter[str] = collections.Counter()
    counts = {"runs": 0, "resumes": 0, "differences": 0, "lost": 0}
    while kills.total() < num_kills:
        folder = scratch / f"run{counts['runs']}"
        counts["runs"] += 1
        # A folder in which no configuration was written yet is started again; all else is resumed.
        for attempt in range(200):
            has_config = (folder / "config.json").exists()
            command = ["--resume", str(folder)] if has_config else ["--out", str(folder), *options]
            counts["resumes"] += has_config
            how = ("compile", "checkpoint", "any")[kills.total() % 3] if attempt < 12 else "none"
            # Only an empty cache makes a compile long enough to hit.
            cache = scratch / (f"empty{kills.total()}" if how == "compile" else "cache")
            process = _start(command, cache)
            moment = _strike(process, folder, how, draw, longest) if kills.total() < num_kills else None
            if moment is None:
                _finish(process)
                break
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


def _start(arguments: list[str], cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*RUN, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen[str]) -> None:
    errors = process.communicate(timeout=600)[1]
    if process.returncode:
        raise SystemExit(f"status {process.returncode}: {errors}")


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
    return [path for path in entries if not path.name.isdecimal() or not (path / "commit_success.txt").exists()]


def _wait(process: subprocess.Popen[str], until, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None and not until():
        time.sleep(0.0005)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("options", nargs="*", default=[], help="of run.py, after --")
    arguments = parser.parse_args()
    options = arguments.options or ["--task", "guess", "--pop", "8", "--generations", "40", "--seed", "1"]
    with tempfile.TemporaryDirectory() as scratch:
        result = soak(arguments.kills, options, arguments.seed, Path(scratch))
    print(json.dumps(result, indent=2))
    return 1 if result["differences"] or result["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
