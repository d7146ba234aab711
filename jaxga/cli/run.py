"""Evolve a task's hyperparameters: ``jaxga run --task mnist --pop 64``."""

import contextlib
import signal
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from jaxga import runtime
from jaxga.base import Evaluation
from jaxga.cli import screen
from jaxga.cli.arguments import MISTAKES, fail, parse
from jaxga.cli.options import Options, with_flags
from jaxga.cli.plan import print_plan
from jaxga.cli.resume import program_words, resume_command, resumed_options, shown_program
from jaxga.cli.start import join, plan_processes, process_seconds, use_compilation_cache
from jaxga.cli.task_factories import find_factory, given_arguments, make_task, registered, short_name, user_code
from jaxga.loop import AllMembersFailed, Generations, as_key
from jaxga.report.outputs import preload, write_outputs
from jaxga.runs.config import WARM_START, check_identity, check_programs, identity, new_config, resumed_config
from jaxga.runs.folder import RunFolder, Start, check_new, restart
from jaxga.runs.interrupt import INTERRUPTED, Interrupt
from jaxga.runs.model import kept_model, save_model
from jaxga.runs.progress import ProgressLine, plain_console
from jaxga.runs.recorder import Recorder
from jaxga.runs.session import Reached, Search, add_seconds, follow, scores_by_name, search_config, write_result
from jaxga.runs.stopping import ENOUGH, GO_ON, REPORT_SECONDS, StopState
from jaxga.runs.tracking import TRACKERS, Tracker
from jaxga.runs.warm_start import WarmStart
from jaxga.schedules import WHOLE
from jaxga.task import RunDefaults, defaults_of
from jaxga.trainable import Trainable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for a user's mistake, 128 + its number after a signal)."""
    began = time.perf_counter() - (process_seconds() if arguments is None else 0.0)
    program = program_words("run")
    given = list(sys.argv[len(program) :] if arguments is None else arguments)
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.showwarning = _show_warning
        try:
            options = _parse(given)
            if options is None:  # --help has printed
                return 0
            is_first, path, words = not options.process_id, None, [*program, *given]
            # A registered task says whether it is worth several processes. The user's own module may compute with JAX
            # when it is imported, which the processes have to be joined before.
            is_registered = options.task in registered()
            known = defaults_of(find_factory(options.task)) if is_registered else RunDefaults()
            processes = plan_processes(options, known)
            if options.coordinator == "auto" and not options.dry_run:
                join(options, words, processes.number)  # it says which process this is
                is_first = jax.process_index() == 0
            if is_first and not options.dry_run:
                path = stack.enter_context(RunFolder(_folder(options), is_new=options.resume is None))
            if options.dry_run and options.resume is None:
                check_new(_folder(options))
            use_compilation_cache()
            if not options.dry_run and options.coordinator != "auto":
                join(options, words, processes.number)
            found = find_factory(options.task)
            task_arguments = given_arguments(options.task, found, options.set or [], options.task_options)
            job = _prepare(options, found, task_arguments, [*shown_program("run"), *given])
        except MISTAKES as error:
            return fail(error)
        console = plain_console(quiet=options.quiet or not is_first)
        chunk_size = job.generations.chunk_size
        print_plan(console, job.options, job.search, job.warm_start, job.start, processes, chunk_size)
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


def _show_warning(message: Warning | str, *place: object) -> None:
    """One line, without the place in the code."""
    print(f"warning: {message}", file=sys.stderr, flush=True)


def _parse(given: list[str]) -> Options | None:
    """The options, with those of the run to go on with; ``ValueError`` where they are not understood."""
    parsed = parse(Options, given)
    if parsed is None:
        return None
    options = parsed.options
    if options.resume is not None:
        options = resumed_options(options, parsed.named)
    options.check()
    return options


def _folder(options: Options) -> Path:
    default = Path("runs") / f"{short_name(options.task)}-{datetime.now():%Y%m%d-%H%M%S}"
    return options.resume or options.out or default


class Job(NamedTuple):
    """A run before its first generation, when everything that a user can have wrong has been looked at.

    Attributes:
        options: with the task's defaults.
        command: the words of the command line.
        task_arguments: what the task's factory was called with.
        search: what is searched, and how.
        warm_start: what the run begins with, None for nothing.
        start: where a resume goes on.
        generations: the run itself; nothing of it is computed yet.
        notes: lines to show.
    """

    options: Options
    command: list[str]
    task_arguments: dict[str, Any]
    search: Search
    warm_start: WarmStart | None
    start: Start
    generations: Generations
    notes: tuple[str, ...]


def _prepare(options: Options, found: Any, task_arguments: dict[str, Any], command: list[str]) -> Job:
    """Everything up to the first compile, in every process.

    Raises ``ValueError``, ``OSError`` or ``ImportError`` where an option, a file or a package is not as it must be.
    """
    with with_flags({parameter: option for parameter, (option, _) in options.task_options.items()}):
        task = make_task(options.task, found, task_arguments)
    num_parts = task.num_parts if options.schedule != WHOLE and isinstance(task, Trainable) else 1
    options = options.with_defaults(defaults_of(found), num_parts)
    layout = options.layout(task)
    algorithm, warm_start = options.make_algorithm(task.space, layout), None
    if options.resume is not None:
        warm_start = WarmStart.load(options.resume / WARM_START)
    elif options.warm_start is not None:
        warm_start = WarmStart.read(options.warm_start, task.space, task.objective)
    if warm_start is not None:
        algorithm = warm_start.applied_to(algorithm)
    assert options.replicates is not None  # with defaults
    assert options.fresh is not None
    search = Search(
        task=task,
        algorithm=algorithm,
        key=as_key(options.seed),
        num_generations=1,
        num_replicates=options.replicates,
        seeds=options.seeds,
        num_fresh=options.fresh,
        chunk_size=options.chunk_size,
        mesh=runtime.population_mesh(),
        generations_per_dispatch=options.dispatch,
        layout=layout,
    )
    search = search._replace(num_generations=options.num_generations(search.trainings_each))
    start, notes = Start(search.initial_state(), {}, ()), []
    if options.resume is not None:
        notes = check_identity(options.resume, identity(options.identity(), task, warm_start), task)
        start = restart(options.resume, start.state)
        runtime.agree(True)  # no process writes before all have read
    with user_code(f"--task {options.task}"):
        generations = search.generations(start)
    if options.resume is not None:
        notes += check_programs(options.resume, task, algorithm)
    return Job(options, command, task_arguments, search, warm_start, start, generations, (*notes, *start.warnings))


def _evolve(console: Console, path: Path | None, job: Job, began: float) -> int:
    """The run itself, in every process; ``path`` is process 0's, which alone prints and writes."""
    search, options = job.search, job.options
    report_seconds = 0.0 if options.no_report else REPORT_SECONDS
    overhead = search.overhead(lambda: time.perf_counter() - began, report_seconds, job.generations.chunk_size)
    stop = StopState(options.stop, search.task.objective, overhead, job.start.notes.get("stop"))
    go_on = resume_command(shown_program("run"), options, path) if path is not None else ""
    show = partial(screen.say, console) if console.is_terminal and not console.quiet else None
    with Interrupt(go_on, path is not None, show) as interrupt, contextlib.ExitStack() as stack:
        writers = Writers(console, path, job, stop, stack) if path is not None else None
        consumers = [stop.write, *(writers.consumers if writers is not None else ())]
        seconds = {"start": time.perf_counter() - began}
        with writers.progress if writers is not None else contextlib.nullcontext():
            reached = follow(
                search,
                job.start,
                job.generations,
                consumers,
                lambda: interrupt.decision or (ENOUGH if stop.ends() else GO_ON),
            )
        if writers is not None:
            writers.recorder.finish()
        interrupt.saved()
        decision = runtime.agree(interrupt.decision)
        if reached.best_genome is None or decision not in (GO_ON, INTERRUPTED):
            if writers is not None:
                writers.leave(reached, decision, go_on)
            return decision
        seconds |= {"compile": reached.compile_seconds, "generations": reached.seconds}
        mark = time.perf_counter()
        if writers is not None and not options.no_report:
            threading.Thread(target=preload, daemon=True).start()  # while the winner's program compiles
        fresh = search.evaluate_winner(reached.best_genome, job.generations.chunk_size)
        seconds["winner on fresh seeds"] = time.perf_counter() - mark
        if writers is not None:
            num_asked = options.sizes[2]
            reason = stop.reason or options.stop.reason_of_end(reached.num_done, search.num_generations, num_asked)
            writers.finish(reached, fresh, seconds, reason, go_on if decision == INTERRUPTED else None)
        return decision


class Writers:
    """Everything that process 0 prints and writes of a run."""

    def __init__(self, console: Console, path: Path, job: Job, stop: StopState, stack: contextlib.ExitStack) -> None:
        options, search = job.options, job.search
        self._console, self._path, self._job = console, path, job
        if options.resume is None:
            about = identity(options.identity(), search.task, job.warm_start)
            config = new_config(
                path,
                short_name(options.task),
                options.as_dict(),
                about,
                search.task,
                job.warm_start,
                job.command,
                task_arguments={name: str(value) for name, value in job.task_arguments.items()},
                **search_config(search),
            )
        else:
            config = resumed_config(path, options.as_dict(), job.command)
        self.recorder = Recorder(path, config["run"], search, job.start, stop)
        stack.callback(self.recorder.close)
        self.recorder.begin("resume" if options.resume else "start")
        num_done = int(job.start.state.generation)
        trainings_each = None if search.layout is None else search.trainings_each
        self.progress = ProgressLine(console, search.task.objective, search.num_generations, num_done, trainings_each)
        about = (path, config["run"], config["identity"], search.task.objective, search.task.space)
        self._trackers: list[Tracker] = [make(*about) for name, (_, make) in TRACKERS.items() if getattr(options, name)]
        self.consumers = [
            self.recorder.write,
            self.progress.write,
            *(tracker.write for tracker in self._trackers),
        ]

    def leave(self, reached: Reached, status: int, go_on: str) -> None:
        """The end of a run that was told to leave: everything is saved, and there is no time for more."""
        self.recorder.events.add("interrupted", generation=reached.num_done, reason=signal.Signals(status - 128).name)
        self._print_go_on(go_on)

    def finish(
        self, reached: Reached, fresh: Evaluation, seconds: dict[str, float], reason: str | None, go_on: str | None
    ) -> None:
        """The result, the model, the report, and what the screen shows of them; ``go_on`` only after Ctrl-C."""
        mark, console, path, search = time.perf_counter(), self._console, self._path, self._job.search
        options, objective = self._job.options, search.task.objective
        status = "interrupted" if go_on else "finished"
        self.recorder.events.add(status, generation=reached.num_done, reason=reason)
        model = kept_model(search.trained_winner(reached.state, fresh), objective, options.model)
        if model is not None:
            save_model(path, model)
        result = write_result(path, search, reached, fresh, status=status, reason=reason, seconds=seconds)
        best, value = result["best"], result["best_value"]
        settings, has_test = result.get("best_by_part", [best]), hasattr(search.task, "test")
        screen.print_winner(console, objective, settings, value, fresh, has_test, reached.trained)
        if go_on or reason:
            console.print()
            ending = f"after generation {reached.num_done}: {reason or 'Ctrl-C'}"
            screen.say(console, ending, head="Ended early", style="bold")
        scores = scores_by_name(objective, fresh)
        figures = {"best_value": value, **{f"fresh/{name}": float(np.mean(score)) for name, score in scores.items()}}
        for tracker in self._trackers:
            tracker.finish(best, figures)
        with console.status("writing the report ..."):
            if not options.no_report:
                write_outputs(path)
        add_seconds(path, result, "report", time.perf_counter() - mark)
        screen.print_times(console, seconds)
        screen.print_files(console, path)
        if go_on:
            self._print_go_on(go_on)

    def _print_go_on(self, command: str) -> None:
        self._console.print(f"\ngo on with: {command}", soft_wrap=True, markup=False)
