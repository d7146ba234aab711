"""Evolve a task's hyperparameters: ``python experiments/run.py --task mnist --pop 64``."""

import contextlib
import dataclasses
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import typer
from rich.console import Console
from typer.exceptions import Exit, TyperException

from experiments import folder, records, screen
from experiments.options import Options
from experiments.outputs import write_outputs
from experiments.recorder import Recorder
from experiments.start import join, use_compilation_cache
from experiments.stopping import Interrupt, Watch
from experiments.tracking import TRACKERS
from experiments.warm import Known, read_known
from jaxga import Algorithm, AllMembersFailed, Generation, Task, evolution, run, runtime
from jaxga.checkpoint import digest
from jaxga.run import as_key, evaluate_fresh


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for what the user can mend, 130 after Ctrl-C)."""
    began = time.perf_counter()
    path: Path | None = None
    lock: folder.Lock | None = None
    try:
        options, named = _parse(arguments)
    except ValueError as error:
        return _fail(str(error))
    if options is None:  # --help has printed
        return 0
    try:
        if options.resume is not None:
            options = folder.resumed_options(options, named)
        options = options.resolve()
        is_first = not options.process_id
        console = Console(quiet=options.quiet or not is_first, highlight=False)
        if is_first and not options.dry_run:
            if options.resume is not None:
                path = options.resume
                lock = folder.Lock(path, "--resume")
            else:
                path = options.out or Path("runs") / f"{options.task}-{datetime.now():%Y%m%d-%H%M%S}"
                lock = folder.new(path)
        use_compilation_cache()
        if not options.dry_run:
            join(options, [sys.argv[0], *(sys.argv[1:] if arguments is None else arguments)], options.entry.is_heavy)
        task, data = options.entry.build(options)
        algorithm = options.make_algorithm(task.space)
        known = None
        if options.resume is not None:
            known = Known.read(options.resume / folder.WARM_START)
        elif options.warm_start is not None:
            known = read_known(options.warm_start, task.space, task.objective)
        if known is not None:
            algorithm = known.given_to(algorithm)
        on_cpu = jax.default_backend() == "cpu"
        options = dataclasses.replace(options, chunk=options.chunk or (options.entry.chunk if on_cpu else None))
        warnings = []
        if options.resume is not None:
            warnings = folder.check_identity(options.resume, folder.identity(options, task.space, data, known))
    except (ValueError, OSError, ImportError) as error:
        if lock is not None and path is not None and options.resume is None:
            folder.discard(path)
        if lock is not None:
            lock.release()
        return _fail(str(error))
    _print_plan(console, options, task, data)
    for warning in warnings:
        console.print(f"[yellow]note[/yellow] {warning}", soft_wrap=True)
    if options.dry_run:
        return 0
    try:
        return _evolve(console, path, options, task, algorithm, data, known, began)
    except (AllMembersFailed, ValueError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.strerror or error}; the run ends here, what {path} has of it stays readable")
    finally:
        if lock is not None:
            lock.release()


def _parse(arguments: Sequence[str] | None) -> tuple[Options | None, set[str]]:
    """The options, and which of them the command line names; ``ValueError`` where it is not understood."""
    app = typer.Typer(add_completion=False)
    app.command()(Options)
    command = typer.main.get_command(app)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with command.make_context(Path(sys.argv[0]).name, given) as context:
            named = {n for n in context.params if getattr(context.get_parameter_source(n), "name", "") == "COMMANDLINE"}
            return command.invoke(context), named
    except Exit:
        return None, set()
    except TyperException as error:
        raise ValueError(error.format_message()) from None


def _evolve(
    console: Console,
    path: Path | None,
    options: Options,
    task: Task,
    algorithm: Algorithm,
    data: dict[str, Any],
    known: Known | None,
    began: float,
) -> int:
    """The run itself, in every process; ``path`` is process 0's, which alone prints and writes."""
    assert options.replicates is not None  # resolved
    assert options.fresh is not None
    mesh = runtime.population_mesh()
    start = folder.Start(None, {}, ())
    if options.resume is not None:
        like = jax.eval_shape(partial(evolution.init, algorithm), as_key(options.seed))
        start = folder.restart(options.resume, like)
        runtime.agree(True)  # nobody writes before all have read
    for warning in start.warnings:
        console.print(f"[yellow]note[/yellow] {warning}", soft_wrap=True)
    done = 0 if start.state is None else int(start.state.generation)
    watch = Watch(options.rules, task.objective, start.notes.get("watch"))
    seconds = {"start": time.perf_counter() - began, "compile": 0.0, "generations": 0.0}
    best_genome, best_loss = start.notes.get("best_genome"), start.notes.get("best_loss")
    last_state, reason = start.state, None
    with contextlib.ExitStack() as stack:
        sinks: list[Callable[[Generation], None]] = [watch.write]
        recorder, trackers = None, []
        if path is not None:
            config = folder.write_config(path, options, task, data, known)
            recorder = Recorder(path, config["run"], task, options.replicates, start, watch)
            stack.callback(recorder.close)
            if not recorder.has_checkpoints:
                console.print("no checkpoints: orbax-checkpoint is not installed (pip install 'jaxga[checkpoint]')")
            recorder.events.add("resume" if options.resume else "start", generation=done)
            progress = screen.ProgressLine(console, task.objective, options.num_generations, done)
            sinks += [recorder.write, stack.enter_context(progress).write]
            about = (path, config["run"], config["identity"], task.objective, task.space)
            trackers = [make(*about) for name, (_, make) in TRACKERS.items() if getattr(options, name)]
            sinks += [tracker.write for tracker in trackers]
        interrupt = stack.enter_context(
            Interrupt("Ctrl-C: this generation is finished and saved; once more leaves at once")
        )
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
        while not runtime.agree(interrupt.asked or watch.reason() is not None):
            generation = next(generations, None)
            if generation is None:
                break
            for sink in sinks:
                sink(generation)
            best_genome, best_loss = generation.record.info.best_genome, float(generation.record.info.best_loss)
            last_state = generation.state
            seconds["compile"] += generation.compile_seconds
            seconds["generations"] += generation.seconds - generation.compile_seconds
            done = int(generation.record.generation) + 1
        status = "interrupted" if interrupt.asked else "finished"
        if recorder is not None:
            recorder.finish()
        if best_loss is None:  # Ctrl-C before the first generation
            return 130

        reason, mark = watch.reason(), time.perf_counter()
        fresh = evaluate_fresh(
            task,
            np.asarray(best_genome),
            key=options.seed,
            num_seeds=options.fresh,
            chunk_size=options.chunk,
            mesh=mesh,
        )
        seconds["winner on fresh seeds"] = time.perf_counter() - mark
        if path is None or recorder is None:
            return 130 if interrupt.asked else 0
        mark = time.perf_counter()
        value = task.objective.sign * best_loss
        best = task.space.setting(best_genome)
        recorder.events.add(status, generation=done, reason=reason)
        scores = {task.objective.name: fresh.value, **fresh.metrics}
        result = {
            "status": status,
            "reason": reason,
            "generations": done,
            "evaluations": done * algorithm.population_size * options.replicates,
            "best": best,
            "best_value": value,
            "fresh": {name: np.asarray(score).tolist() for name, score in scores.items()},
            "state_sha256": None if last_state is None else digest(last_state),
            "seconds": seconds,
        }
        records.write_json(path / "result.json", result)
        figures = {"best_value": value, **{f"fresh/{name}": float(np.mean(score)) for name, score in scores.items()}}
        for tracker in trackers:
            tracker.finish(best, figures)
        left_out = [] if options.no_report else write_outputs(path)
        seconds["report"] = time.perf_counter() - mark
        screen.print_winner(console, task.objective, best, value, fresh, has_test=hasattr(task, "test"))
        screen.print_times(console, seconds)
        if status == "interrupted" or reason:
            console.print(f"\n[bold]Ended early[/bold] after generation {done}: {reason or 'Ctrl-C'}")
        for line in left_out:
            console.print(line, soft_wrap=True)
        screen.print_files(console, path)
        return 130 if interrupt.asked else 0


def _print_plan(console: Console, options: Options, task: Task, data: dict[str, Any]) -> None:
    plan = screen.table("jaxga", "what", "this run")
    plan.show_header = False
    if data:
        plan.add_row("[bold]data[/bold]", f"[bold]{data['name']}: {data['source']}[/bold]")
    plan.add_row("task", f"{options.task}: {task.objective.direction}imise the {task.objective.name}")
    label = "search space"
    for dimension, items in itertools.groupby(task.space.items, key=lambda item: item[1]):
        plan.add_row(label, f"{', '.join(name for name, _ in items)}: {dimension!r}")
        label = ""
    breeding = [f"{options.pop} members x {options.generations} generations"]
    named = ("parents", "mutations", "invaders", "surrogate", "replicates")
    breeding += [f"{name} {getattr(options, name)}" for name in named if getattr(options, name) is not None]
    plan.add_row("algorithm", f"{options.algorithm}: {', '.join(breeding)}")
    processes = f", {jax.process_count()} processes" if jax.process_count() > 1 else ""
    plan.add_row("device", f"{jax.device_count()} x {jax.devices()[0].device_kind}{processes}, seed {options.seed}")
    console.print(plan)


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    exit_status = main()
    if exit_status:
        runtime.leave(exit_status)
