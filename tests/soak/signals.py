"""Send a run every signal that ends or stops one, at many moments, and go on with it.

Ends with status 1 where an exit status is not as docs/records.md says, a process outlives process 0, a traceback is
printed, or the run that goes on is not the same, byte for byte, as one that got no signal.

    python tests/soak/signals.py
    python tests/soak/signals.py --cycles 5 --minutes 120 --stopped 75
    python tests/soak/signals.py -- --task mnist --data-dir DIR --pop 4 --steps 20 --generations 6 --no-report
"""

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from kill import end_orphans, finish, outcome, processes_of, resume_of, start


class Case(NamedTuple):
    """Which signals, a moment apart; to the process, its group, or all processes; what the run then ends with."""

    signals: tuple[signal.Signals, ...]
    target: str
    status: int

    def __str__(self) -> str:
        return f"{' '.join(number.name for number in self.signals)} to the {self.target}"


ENDINGS = {
    (signal.SIGTERM,): 143,
    (signal.SIGHUP,): 129,
    (signal.SIGUSR1,): 138,
    (signal.SIGINT,): 130,
    (signal.SIGINT, signal.SIGINT): 130,
}
CASES = [Case(numbers, target, status) for numbers, status in ENDINGS.items() for target in ("process", "group")]
WITH_WORKERS = [Case((signal.SIGTERM,), "processes", 143), Case((signal.SIGSTOP, signal.SIGCONT), "worker", 0)]
STOP = Case((signal.SIGSTOP, signal.SIGCONT), "group", 0)


def soak(cycles: int, options: list[str], seed: int, stopped: float, end: float, scratch: Path, log=print) -> dict:
    """All cases for one and for two processes, ``cycles`` times or until ``end``; gives counts and failures."""
    draw = random.Random(seed)
    counts: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    for num_processes in (1, 2):
        reference = scratch / f"reference{num_processes}"
        finish(start(["--out", str(reference), *options, "--processes", str(num_processes)], scratch / "cache"))
    jobs = [(case, n) for n in (1, 2) for case in (*CASES, STOP, *(WITH_WORKERS if n == 2 else ()))] * cycles
    draw.shuffle(jobs)
    for number, (case, num_processes) in enumerate(jobs):
        if time.monotonic() > end:
            break
        folder = scratch / f"run{number}"
        has_cache = draw.random() < 0.7  # without one the signal strikes the compile
        process = start(
            ["--out", str(folder), *options, "--processes", str(num_processes)],
            scratch / ("cache" if has_cache else f"empty{number}"),
            start_new_session=True,
        )
        if case.signals[0] in (signal.SIGTERM, signal.SIGHUP) and draw.random() < 0.25:
            time.sleep(draw.uniform(0.2, 8.0))
            moment = "while it starts"
        else:
            moment = _wait(process, folder, draw, has_cache)
        name = f"{case}, {num_processes} processes, {moment}"
        is_early = process.poll() is None and _send(process, case, folder, stopped, draw)
        errors = process.communicate(timeout=600)[1]
        problems = _problems(process.returncode, errors, case, is_early, moment)
        if orphans := end_orphans(folder):
            problems.append(f"{orphans} processes were left")
        if not problems:
            more = [*options, "--processes", str(num_processes)]
            has_config = (folder / "config.json").exists()
            finish(start(resume_of(folder, more) if has_config else ["--out", str(folder), *more], scratch / "cache"))
            if outcome(folder) != outcome(scratch / f"reference{num_processes}"):
                problems.append("the run that went on differs")
        counts[f"{case}, {num_processes} processes"] += 1
        counts[moment if is_early else "ended before the signal"] += 1
        failures += [f"{name}: {problem}" for problem in problems]
        log(f"{name}: {'; '.join(problems) or 'as it should be'}", flush=True)
    return {"counts": dict(counts), "failures": failures}


def _wait(process: subprocess.Popen[str], folder: Path, draw: random.Random, has_cache: bool) -> str:
    """Until a moment of the run after its configuration was written; says which."""
    events, num_generations, end = folder / "events.jsonl", draw.randint(1, 20), time.monotonic() + 300
    while process.poll() is None and time.monotonic() < end:
        text = events.read_text() if events.exists() else ""
        if not has_cache and '"start"' in text:
            time.sleep(draw.uniform(0.1, 1.0))
            return "during the first compile"
        if text.count('"event": "generation"') >= num_generations:
            time.sleep(draw.uniform(0.0, 0.1))
            return "between the generations"
        time.sleep(0.01)
    return "never"


def _send(process: subprocess.Popen[str], case: Case, folder: Path, stopped: float, draw: random.Random) -> bool:
    """Whether the run was still there to take them."""
    workers = [other for other in processes_of(folder) if other != process.pid]
    takers = {
        "process": [process.pid],
        "group": [-process.pid],
        "processes": [process.pid, *workers],
        "worker": workers,
    }
    for number in case.signals:
        for taker in takers[case.target]:
            try:
                os.kill(taker, number)
            except ProcessLookupError:
                return False
        time.sleep(stopped if number == signal.SIGSTOP else draw.uniform(0.2, 0.5))
    return True


def _problems(status: int, errors: str, case: Case, is_early: bool, moment: str) -> list[str]:
    problems = []
    allowed = {case.status} if is_early else {case.status, 0}
    if moment == "while it starts":  # a process that has nothing to save is ended by the signal itself
        allowed.add(-case.signals[0])
    if status not in allowed:
        problems.append(f"status {status} for {case.status}")
    if any(word in errors for word in ("Traceback", "Check failure", "Fatal")):
        problems.append(f"it printed {errors.strip()[-500:]!r}")
    if case.target == "worker" and is_early and "process 1 of 2 is stopped" not in errors:
        problems.append("the stopped process was not named")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=1, help="how often every case comes, 1 by default")
    parser.add_argument("--minutes", type=float, default=60.0, help="no new case after so many; 60 by default")
    parser.add_argument(
        "--stopped", type=float, default=70.0, help="seconds between SIGSTOP and SIGCONT; 70 by default"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("options", nargs="*", default=[], help="of run.py, after --")
    given = parser.parse_args()
    options = given.options or ["--task", "guess", "--pop", "8", "--generations", "100", "--no-report"]
    end = time.monotonic() + 60 * given.minutes
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # started under nohup, the runs would ignore it
    with tempfile.TemporaryDirectory() as scratch:
        result = soak(given.cycles, options, given.seed, given.stopped, end, Path(scratch))
    print(json.dumps({"options": options, **result}, indent=2))
    return 1 if result["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
