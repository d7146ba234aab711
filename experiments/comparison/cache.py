"""The peers' runs: made in a single-threaded process of their own and kept in a file, one JSON object a line."""

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from experiments.comparison.peers import PEERS
from experiments.comparison.problems import fingerprint
from experiments.comparison.runs import Run, problem_task, run_peer

SINGLE_THREADED = {
    "NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class Job(NamedTuple):
    """One run of one peer, and what has to be unchanged for a kept one to count."""

    method: str
    settings: str
    problem: str
    fingerprint: str
    population_size: int
    num_generations: int
    seed: int


class Cache:
    """Runs by job; a line that a stopped process left half written, or that is of another program, is passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: dict[Job, Run] = {}
        self.failures: dict[Job, str] = {}
        self.read()

    def read(self) -> None:
        """Take in what the file has, also what another process has added since."""
        for line in self.path.read_text(errors="replace").splitlines() if self.path.exists() else []:
            try:
                row = json.loads(line)
                self.runs[Job(**row["job"])] = Run(**row["run"])
            except (ValueError, KeyError, TypeError):
                continue

    def complete(self, jobs: list[Job], minutes: float | None, report: Callable[[int, int, Job], Any]) -> None:
        """Run what is missing, in this order, until ``minutes`` are over."""
        missing = [job for job in jobs if job not in self.runs]
        if not missing:
            return
        began = time.perf_counter()
        with ProcessPoolExecutor(1, get_context("spawn")) as pool, self.path.open("a") as file:
            for i, job in enumerate(missing):
                if minutes is not None and time.perf_counter() - began > 60.0 * minutes:
                    return
                report(i + 1, len(missing), job)
                arguments = (job.method, job.problem, job.population_size, job.num_generations, job.seed)
                try:
                    run = pool.submit(run_peer, *arguments).result()
                except Exception as error:  # another package's, of any kind: noted in the report, the rest goes on
                    self.failures[job] = f"{type(error).__name__}: {error}"
                    continue
                self.runs[job] = run
                file.write(json.dumps({"job": job._asdict(), "run": run._asdict()}) + "\n")
                file.flush()


def make_jobs(method: str, problem: str, size: int, num_generations: int, num_seeds: int) -> list[Job]:
    """The jobs of one peer on one problem at one budget; none where it cannot afford it."""
    peer, task = PEERS[method], problem_task(problem)
    if not peer.affords(task.space.size, size * num_generations):
        return []
    mark = fingerprint(task)
    return [Job(method, peer.settings, problem, mark, size, num_generations, seed) for seed in range(num_seeds)]


def be_single_threaded() -> None:
    """For this process, if JAX has not started yet, and for those that it starts."""
    os.environ.update(SINGLE_THREADED)
