"""Damage every file of a run's folder in every way, and go on with the run.

Each file and directory below the folder of a finished run and of one that is half done is changed by a bit, cut,
emptied, deleted, or replaced by a directory or a file; then ``--resume`` has to end in one of two ways: refused in
exactly one line with nothing changed, or gone on with to the very bits of a run that nothing was done to. All else
is a failure, and the script ends with status 1.

    python tests/soak/damage.py
    python tests/soak/damage.py --flips 10 --minutes 120
"""

import argparse
import collections
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from kill import outcome

from jaxga.cli.run import main as run

GENERATIONS, HALF = 6, 3
OPTIONS = ["--task", "guess", "--algorithm", "ga", "--pop", "6", "--quiet", "--no-report", "--processes", "1"]


def flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def cut(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(max(1, len(content)))])


def delete(path: Path, draw: random.Random) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def make_a_directory(path: Path, draw: random.Random) -> None:
    delete(path, draw)
    path.mkdir()


def make_a_file(path: Path, draw: random.Random) -> None:
    delete(path, draw)
    path.write_bytes(b"")


Harm = Callable[[Path, random.Random], None]
OF_A_FILE: dict[str, Harm] = {
    "a bit changed": flip,
    "cut": cut,
    "emptied": make_a_file,
    "deleted": delete,
    "replaced by a directory": make_a_directory,
}
OF_A_DIRECTORY: dict[str, Harm] = {"emptied": make_a_directory, "deleted": delete, "replaced by a file": make_a_file}


def soak(flips: int, seed: int, end: float, scratch: Path, log=print) -> dict[str, object]:
    """All damages in a random order until ``end``; gives counts by outcome and the failures."""
    draw = random.Random(seed)
    source = scratch / "settings.json"
    source.write_text(json.dumps([{f"n{i}": 3 * i + j for i in range(10)} for j in range(3)]))
    begin = [*OPTIONS, "--warm-start", str(source)]
    for name, generations in (("finished", GENERATIONS), ("half done", HALF)):
        assert run([*begin, "--generations", str(generations), "--out", str(scratch / name)]) == 0
    (scratch / "half done" / "result.json").unlink()
    expected = outcome(scratch / "finished")
    jobs = [
        (name, path.relative_to(scratch / name), what, harm)
        for name in ("finished", "half done")
        for path in sorted((scratch / name).rglob("*"))
        for what, harm in (OF_A_DIRECTORY if path.is_dir() else OF_A_FILE).items()
        for _ in range(flips if harm in (flip, cut) else 1)
    ]
    draw.shuffle(jobs)
    counts: collections.Counter[str] = collections.Counter()
    failures = []
    for name, path, what, harm in jobs:
        if time.monotonic() > end:
            break
        folder = scratch / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(scratch / name, folder)
        harm(folder / path, draw)
        found = judge(folder, expected, scratch)
        counts[found if found in ("refused", "the same") else "failures"] += 1
        if found not in ("refused", "the same"):
            failures.append(f"{name}, {path} {what}: {found}")
            log(failures[-1], flush=True)
    return {"damages": counts.total(), "of": len(jobs), **counts, "first failures": failures[:20]}


def judge(folder: Path, expected: dict[str, object], scratch: Path) -> str:
    """Go on with the run; "refused", "the same", or what was wrong."""
    before = contents(folder)
    with stderr_to(scratch / "stderr") as read:
        try:
            status = run(["--resume", str(folder), "--generations", str(GENERATIONS), *OPTIONS[-4:]])
        except BaseException as error:
            return f"raised {error!r}"
        errors = read()
    if status == 0:
        differing = [name for name, value in outcome(folder).items() if value != expected[name]]
        return f"{', '.join(differing)} differ" if differing else "the same"
    if status != 2 or errors.count("\n") != 1:
        return f"status {status}, and it said {errors!r}"
    after = contents(folder)
    changed = sorted(name for name in {**before, **after} if before.get(name, "") != after.get(name, ""))
    return f"refused ({errors.strip()}), and {changed} changed" if changed else "refused"


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path with its bytes, None for a directory; the lock, which names a process, left out."""
    paths = [path for path in folder.rglob("*") if path.name != ".lock"]
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in paths}


@contextmanager
def stderr_to(path: Path) -> Iterator[Callable[[], str]]:
    """What this process writes there, from C++ too, into a file; gives what reads it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(path, "wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield lambda: sys.stderr.flush() or path.read_text(errors="replace")
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=1, help="changed bits and cuts of each file, 1 by default")
    parser.add_argument("--minutes", type=float, default=60.0, help="no new damage after so many; 60 by default")
    parser.add_argument("--seed", type=int, default=0, help="of the order and the places")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = soak(given.flips, given.seed, time.monotonic() + 60 * given.minutes, Path(scratch))
    print(json.dumps(result, indent=2))
    return 1 if result["first failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
