"""Evolve a task's hyperparameters: ``jaxga run --task mnist --pop 64``."""

import contextlib
import dataclasses
import itertools
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from jaxga import Algorithm, AllMembersFailed, Evaluation, Generation, Task, evolution, run, runtime
from jaxga.cli import screen
from jaxga.cli.arguments import MISTAKES, fail, parse
from jaxga.cli.options import Options
from jaxga.cli.start import join, num_processes, process_seconds, use_compilation_cache
from jaxga.distribution import install_hint
from jaxga.evolution import State
from jaxga.loop import as_key, evaluate_fresh
from jaxga.report.outputs import write_outputs
from jaxga.runs import folder, records
from jaxga.runs.checkpoint import digest
from jaxga.runs.recorder import Recorder
from jaxga.runs.stopping import ENOUGH, GO_ON, INTERRUPTED, REPORT_SECONDS, Command, Interrupt, Watch
from jaxga.runs.tracking import TRACKERS, Tracker
from jaxga.runs.warm_start import WarmStart
from jaxga.text import show


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for what the user can mend, 128 + its number after a signal)."""
    began = time.perf_counter() - (process_seconds() if arguments is None else 0.0)
    given = list(sys.argv[1:] if arguments is None else arguments)
    with contextlib.ExitStack() as stack:
        try:
            options = _parse(given)
            if options is None:  # --help has printed
                return 0
            command, is_first, path = [sys.argv[0], *given], not options.process_id, None
            if options.coordinator == "auto" and not options.dry_run:
                join(options, command, options.entry.is_heavy)  # it says which process this is
                is_first = jax.process_index() == 0
            if is_first and not options.dry_run:
                path = stack.enter_context(folder.Held(options.task, options.out, options.resume))
            job = _prepare(options, command)
        except MISTAKES as error:
            return fail(error)
        console = Console(quiet=options.quiet or not is_first, highlight=False, markup=False)
        _print_plan(console, job)
        for note in job.notes:
            screen.say(console, note, head="note", style="yellow")
        if options.dry_run:
            return 0
        try:
            return _evolve(console, path, job, began)
        except AllMembersFailed as error:
            return fail(str(error))
        except OSError as error:
            return fail(f"{error.strerror or error}; the run ends here, what {path} has of it stays readable")
        except (MemoryError, RuntimeError) as error:
            return fail(error)


def _parse(given: list[str]) -> Options | None:
    """The options, those of the run to go on with among them; ``ValueError`` where they are not understood."""
    parsed = parse(Options, given)
    if parsed is None:
        return None
    options = parsed.options
    if options.resume is not None:
        options = folder.resumed_options(options, parsed.named)
    return options.resolve()


class Job(NamedTuple):
    """A run before its first generation: all that the command line can have wrong has been looked at.

    Attributes:
        options: resolved.
        task, data: what is trained, and the record of its data.
        algorithm: with what it begins from.
        known: that, where there is something.
        mesh: the devices of all processes.
        start: where a resume goes on.
        generations: the run itself, nothing of it computed yet.
        notes: lines to show.
    """

    options: Options
    task: Task
    data: dict[str, Any]
    algorithm: Algorithm
    known: WarmStart | None
    mesh: Mesh | None
    start: folder.Start
    generations: Iterator[Generation]
    notes: tuple[str, ...]


def _prepare(options: Options, command: list[str]) -> Job:
    """Everything up to the first compile, in every process.

    Raises ``ValueError``, ``OSError`` or ``ImportError`` where an option, a file or a package is not as it must be.
    """
    use_compilation_cache()
    if not options.dry_run and options.coordinator != "auto":
        join(options, command, options.entry.is_heavy)
    task, data = options.entry.build(options)
    algorithm, known = options.make_algorithm(task.space), None
    if options.resume is not None:
        known = WarmStart.load(options.resume / folder.WARM_START)
    elif options.warm_start is not None:
        known = WarmStart.read(options.warm_start, task.space, task.objective)
    if known is not None:
        algorithm = known.applied_to(algorithm)
    on_cpu = jax.default_backend() == "cpu"
    options = dataclasses.replace(options, chunk=options.chunk or (options.entry.chunk if on_cpu else None))
    start, notes = folder.Start(evolution.init(algorithm, as_key(options.seed)), {}, ()), []
    if options.resume is not None:
        notes = folder.check_identity(options.resume, folder.identity(options, task.space, data, known))
        start = folder.restart(options.resume, start.state)
        runtime.agree(True)  # nobody writes before all have read
    assert options.replicates is not None  # resolved
    mesh = runtime.population_mesh()
    generations = run(
        task,
        algorithm,
        key=options.seed,
        num_generations=options.num_generations,
        num_replicates=options.replicates,
        chunk_size=options.chunk,
        mesh=mesh,
        generations_per_dispatch=options.dispatch,
        state=start.state,
    )
    return Job(options, task, data, algorithm, known, mesh, start, generations, (*notes, *start.warnings))


def _evolve(console: Console, path: Path | None, job: Job, began: float) -> int:
    """The run itself, in every process; ``path`` is process 0's, which alone prints and writes."""
    watch = Watch(job.options.rules, job.task.objective, _command(job, began), job.start.notes.get("watch"))
    go_on = folder.resume_command(job.options, path) if path is not None else ""
    show = partial(screen.say, console) if console.is_terminal and not console.quiet else None
    with Interrupt(go_on, path is not None, show) as interrupt, contextlib.ExitStack() as stack:
        writers = Writers(console, path, job, watch, stack) if path is not None else None
        sinks = [watch.write, *(writers.sinks if writers is not None else ())]
        seconds = {"start": time.perf_counter() - began}
        with writers.progress if writers is not None else contextlib.nullcontext():
            search = _follow(job, sinks, lambda: interrupt.decision or (ENOUGH if watch.ends() else GO_ON))
        if writers is not None:
            writers.recorder.finish()
        interrupt.saved()
        decision = runtime.agree(interrupt.decision)
        if search.best_genome is None or decision not in (GO_ON, INTERRUPTED):
            if writers is not None:
                writers.leave(search, decision, go_on)
            return decision
        seconds |= {"compile": search.compile_seconds, "generations": search.seconds}
        mark = time.perf_counter()
        fresh = evaluate_fresh(
            job.task,
            np.asarray(search.best_genome),
            key=job.options.seed,
            num_seeds=job.options.fresh or 0,
            chunk_size=job.options.chunk,
            mesh=job.mesh,
        )
        seconds["winner on fresh seeds"] = time.perf_counter() - mark
        if writers is not None:
            writers.finish(search, fresh, seconds, watch.reason, go_on if decision == INTERRUPTED else None)
        return decision


def _command(job: Job, began: float) -> Command:
    options, num_devices = job.options, 1 if job.mesh is None else job.mesh.size

    def num_chunks(num_trainings: int) -> int:
        """One after another, on each device."""
        num_local = math.ceil(num_trainings / num_devices)
        return math.ceil(num_local / (options.chunk or num_local)) if num_local else 0

    num_trainings = job.algorithm.population_size * (options.replicates or 1)
    return Command(
        elapsed=lambda: time.perf_counter() - began,
        winner=num_chunks(options.fresh or 0) / num_chunks(num_trainings) / options.dispatch,
        report=0.0 if options.no_report else REPORT_SECONDS,
        num_ahead=0 if job.mesh is not None and jax.default_backend() == "cpu" else 1,  # see jaxga.loop
    )


class Search(NamedTuple):
    """Where the generations have led to; ``best_genome`` None where there was none."""

    num_done: int
    best_genome: Any
    best_loss: float
    state: State | None
    seconds: float
    compile_seconds: float


def _follow(job: Job, sinks: Sequence[Callable[[Generation], None]], decide: Callable[[], int]) -> Search:
    """One generation after another, each to all sinks, until there is no more or process 0 decides to end."""
    state, notes = job.start.state, job.start.notes
    search = Search(int(state.generation), notes.get("best_genome"), notes.get("best_loss", np.inf), state, 0.0, 0.0)
    while search.num_done < job.options.num_generations and runtime.agree(decide()) == GO_ON:
        generation = next(job.generations)
        for sink in sinks:
            sink(generation)
        record, compiling = generation.record, generation.compile_seconds
        search = Search(
            num_done=int(record.generation) + 1,
            best_genome=record.best.genome,
            best_loss=float(record.best.loss),
            state=generation.state,
            seconds=search.seconds + generation.seconds - compiling,
            compile_seconds=search.compile_seconds + compiling,
        )
    return search


class Writers:
    """Whatever process 0 prints and writes of a run."""

    def __init__(self, console: Console, path: Path, job: Job, watch: Watch, stack: contextlib.ExitStack) -> None:
        options, objective = job.options, job.task.objective
        assert options.replicates is not None
        self._console, self._path, self._job = console, path, job
        config = folder.write_config(path, options, job.task, job.data, job.known)
        self.recorder = Recorder(path, config["run"], job.task, options.replicates, job.start, watch)
        stack.callback(self.recorder.close)
        if not self.recorder.has_checkpoints:
            console.print(f"no checkpoints: orbax-checkpoint is not installed ({install_hint('checkpoint')})")
        done = self.recorder.num_done
        self.recorder.begin("resume" if options.resume else "start")
        self.progress = screen.ProgressLine(console, objective, options.num_generations, done)
        about = (path, config["run"], config["identity"], objective, job.task.space)
        self._trackers: list[Tracker] = [make(*about) for name, (_, make) in TRACKERS.items() if getattr(options, name)]
        self.sinks = [self.recorder.write, self.progress.write, *(tracker.write for tracker in self._trackers)]

    def leave(self, search: Search, status: int, go_on: str) -> None:
        """The end of a run that was told to leave: all is saved, and no time for more."""
        self.recorder.events.add("interrupted", generation=search.num_done, reason=signal.Signals(status - 128).name)
        self._print_go_on(go_on)

    def finish(
        self, search: Search, fresh: Evaluation, seconds: dict[str, float], reason: str | None, go_on: str | None
    ) -> None:
        """The result, the report, and what the screen shows of them; ``go_on`` only after Ctrl-C."""
        mark, task, console, path = time.perf_counter(), self._job.task, self._console, self._path
        options, size = self._job.options, self._job.algorithm.population_size
        status = "interrupted" if go_on else "finished"
        value, best = task.objective.sign * search.best_loss, task.space.setting(search.best_genome)
        self.recorder.events.add(status, generation=search.num_done, reason=reason)
        scores = {task.objective.name: fresh.value, **fresh.metrics}
        result = {
            "status": status,
            "reason": reason,
            "generations": search.num_done,
            "evaluations": search.num_done * size * (options.replicates or 1),
            "best": best,
            "best_value": value,
            "fresh": {name: np.asarray(score).tolist() for name, score in scores.items()},
            "state_sha256": None if search.state is None else digest(search.state),
            "seconds": seconds,
        }
        records.write_json(path / "result.json", result)
        screen.print_winner(console, task.objective, best, value, fresh, has_test=hasattr(task, "test"))
        if go_on or reason:
            console.print()
            ending = f"after generation {search.num_done}: {reason or 'Ctrl-C'}"
            screen.say(console, ending, head="Ended early", style="bold")
        figures = {"best_value": value, **{f"fresh/{name}": float(np.mean(score)) for name, score in scores.items()}}
        for tracker in self._trackers:
            tracker.finish(best, figures)
        with console.status("writing the report ..."):
            left_out = [] if options.no_report else write_outputs(path)
        seconds["report"] = time.perf_counter() - mark
        screen.print_times(console, seconds)
        for line in left_out:
            screen.say(console, line)
        screen.print_files(console, path)
        if go_on:
            self._print_go_on(go_on)

    def _print_go_on(self, command: str) -> None:
        self._console.print(f"\ngo on with: {command}", soft_wrap=True, markup=False)


def _print_plan(console: Console, job: Job) -> None:
    options, task, data = job.options, job.task, job.data
    plan = screen.table("jaxga", "what", "this run")
    plan.show_header = False
    if data:
        plan.add_row("data", f"{data['name']}: {data['source']}", style="bold")
    plan.add_row("task", f"{options.task}: {task.objective.direction}imise the {task.objective.name}")
    if environment := getattr(task, "environment", None):
        plan.add_row("environment", environment.name)
    label = "search space"
    for dimension, items in itertools.groupby(task.space.items, key=lambda item: item[1]):
        plan.add_row(label, f"{', '.join(name for name, _ in items)}: {dimension!r}")
        label = ""
    if fixed := records.constants(task):
        plan.add_row("held fixed", ", ".join(f"{name} {show(value)}" for name, value in fixed.items()))
    breeding = [f"{options.pop} members x {options.generations} generations"]
    named = ("parents", "mutations", "invaders", "surrogate", "selection", "crossover", "mutation", "survival")
    named += ("replicates",)
    breeding += [f"{name} {getattr(options, name)}" for name in named if getattr(options, name) is not None]
    plan.add_row("algorithm", f"{options.algorithm}: {', '.join(breeding)}")
    if job.known is not None:
        knows = "settings to begin with" if job.known.loss is None else "evaluations known from before"
        plan.add_row("warm start", f"{len(job.known.genomes)} {knows}")
    # A dry run starts no process: the others would have as many devices as this one.
    num = num_processes(options, options.entry.is_heavy) if options.dry_run else jax.process_count()
    num_devices = f"{num * jax.local_device_count()} x " if num else ""
    processes = f", {num or 'as many as the cluster has'} processes" if num != 1 else ""
    plan.add_row("device", f"{num_devices}{jax.devices()[0].device_kind}{processes}, seed {options.seed}")
    if options.resume is not None:
        done = int(job.start.state.generation)
        is_ended = done >= options.num_generations
        following = "only the winner and the report are left" if is_ended else f"from generation {done + 1}"
        plan.add_row("goes on", f"{following}; {done} of {options.num_generations} generations are done")
    console.print(plan)
