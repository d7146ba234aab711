"""Which rows a benchmark has, and how each is measured: in a fresh process, with a process for each core or one."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

from experiments.speed import engine, machine, searches, training
from experiments.speed.options import SECTIONS, BenchmarkOptions
from jaxga.runtime import num_cores, runs_on_cpu
from jaxga.text import check_choice

_LONGEST = 3600  # seconds for a row
_SHORT = {"mnist": 10, "cartpole": 1024}  # steps of a training that measures memory


class Job(NamedTuple):
    """One process, or a few that are joined, that measures one row or more.

    Attributes:
        section: of ``SECTIONS``, or ``machine``.
        kind: what is measured.
        label: the same in words.
        pop: members per generation.
        num_processes: on this machine.
        argument: a method, a chunk size, or a task, as the kind needs it.
    """

    section: str
    kind: str
    label: str
    pop: int = 0
    num_processes: int = 1
    argument: Any = None


def sections(options: BenchmarkOptions) -> list[str]:
    """The sections that were asked for; ``ValueError`` for an unknown one."""
    if options.only == "all":
        return list(SECTIONS)
    wanted = options.only.split(",")
    for name in wanted:
        check_choice("--only", name, SECTIONS)
    return wanted


def jobs(options: BenchmarkOptions, section: str) -> Iterator[Job]:
    """The jobs of a section on this backend; its sweep, which may end early, comes last."""
    on_cpu = runs_on_cpu() if options.backend == "auto" else options.backend == "cpu"
    cores = num_cores() if on_cpu else 1
    doubled = [2**i for i in range(1, 15) if 2**i <= options.max_pop]
    if section == "engine":
        yield from (Job(section, "algorithm", name, argument=name) for name in engine.METHODS)
        for name in engine.PEERS:
            if engine.missing(name) is None:
                yield Job(section, "peer", name, options.pop, argument=name)
    elif section in ("mnist", "cartpole"):
        yield from _comparisons(options, section, cores)
        how = "chunks, a process a core" if cores > 1 else "chunks"
        yield from (Job(section, "sweep", how, pop, cores, "auto") for pop in doubled)
    elif section == "many":
        for name in engine.METHODS[1:]:
            yield Job(section, "many", f"{name}, optimize_many", argument=name)
            yield Job(section, "minimize", f"{name}, minimize after minimize", argument=name)
        if find_spec("hyperoptax"):
            yield Job(section, "hyperoptax", "hyperoptax BayesianSearch, search after search")
    elif section == "scaling":
        for num in [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= cores]:
            yield Job(section, "weak", f"{num} process{'es' if num > 1 else ''}", options.pop * num, num, "auto")
    else:
        for task, steps in _SHORT.items():
            for pop in [pop for pop in (64, 1024, 16_384) if pop <= options.max_pop]:
                yield Job(section, "memory", f"{task}, {steps:,} steps", pop, cores, task)


def _comparisons(options: BenchmarkOptions, section: str, cores: int) -> Iterator[Job]:
    peer = {"mnist": "torch", "cartpole": "stable_baselines3"}[section]
    if find_spec(peer):
        label = {"torch": "PyTorch loop, one core", "stable_baselines3": "Stable-Baselines3, one core"}[peer]
        yield Job(section, peer, label, options.pop)
    yield Job(section, "sequential", "one after another, one process", options.pop)
    yield Job(section, "generation", "vmap over all, one process", options.pop, 1, None)
    yield Job(section, "generation", "chunks, one process", options.pop, 1, "auto")
    if cores > 1:
        yield Job(section, "generation", "one after another, a process a core", options.pop, cores, 1)
        yield Job(section, "generation", "chunks, a process a core", options.pop, cores, "auto")


def measure(options: BenchmarkOptions, job: Job) -> list[dict[str, Any]]:
    """The rows of a job, measured in this process (and those that it starts)."""
    task, chunk, steps, num_timed = job.section, job.argument, None, options.generations
    if job.kind == "weak":
        task = "mnist"
        machine.use_cores(job.num_processes)  # so that each process has one, also where there are more
    elif job.kind == "memory":
        task, chunk, num_timed = job.argument, "auto", 0
        steps = min(_SHORT[task], options.steps_of(task))
    match job.kind:
        case "limits":
            return [machine.limits()]
        case "algorithm":
            return list(engine.measure(options, job.argument))
        case "peer":
            return list(engine.measure_peer(options, job.argument))
        case "torch":
            return list(training.torch_loop(options))
        case "stable_baselines3":
            return list(training.stable_baselines(options))
        case "sequential":
            return list(training.one_after_another(options, task))
        case "many":
            return list(searches.in_one_program(options, job.argument))
        case "minimize":
            return list(searches.one_after_another(options, job.argument))
        case "hyperoptax":
            return list(searches.hyperoptax(options))
        case _:
            return list(training.generation(options, task, job.pop, chunk, steps, num_timed))


def measure_apart(options: BenchmarkOptions, job: Job) -> list[dict[str, Any]]:
    """The rows of a job, measured in a fresh process without programs compiled before.

    A job of kind ``generation`` runs twice: ``compile_cached`` is the second time's, from the compilation cache.
    Raises ``ChildProcessError`` with the last line of what the process said where it fails.
    """
    with tempfile.TemporaryDirectory() as cache:
        rows = _child(job, cache)
        if job.kind == "generation":
            rows[0]["compile_cached"] = _child(job, cache)[0]["compile"]
    return [{"section": job.section, "label": job.label, **row} for row in rows]


def _child(job: Job, cache: str) -> list[dict[str, Any]]:
    command = [sys.executable, *sys.argv, "--row", json.dumps(job), "--processes", str(job.num_processes)]
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_LONGEST, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1]
        raise ChildProcessError(f"{job.section}, {job.label}, {job.pop} members: {last.removeprefix('error: ')}")
    return json.loads(done.stdout.strip().splitlines()[-1])
