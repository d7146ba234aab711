"""Evolve a task's hyperparameters: ``python experiments/run.py --task mnist --pop 64``."""

import contextlib
import dataclasses
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np
import typer
from rich.console import Console
from typer.exceptions import TyperException

from experiments import records, screen
from experiments.options import Options
from experiments.start import join, use_compilation_cache
from jaxga import Algorithm, AllMembersFailed, Generation, Task, run, runtime
from jaxga.run import evaluate_fresh


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for what the user can mend)."""
    began = time.perf_counter()
    app = typer.Typer(add_completion=False)
    app.command()(Options)
    try:
        options = app(arguments, standalone_mode=False)
    except TyperException as error:
        return _fail(error.format_message())
    if not isinstance(options, Options):  # --help has printed
        return 0
    try:
        options = options.resolve()
    except ValueError as error:
        return _fail(str(error))
    is_first = not options.process_id
    console = Console(quiet=options.quiet or not is_first, highlight=False)
    folder = None
    try:
        if is_first and not options.dry_run:
            name = f"{options.task}-{datetime.now():%Y%m%d-%H%M%S}"
            folder = records.new_folder(options.out or Path("runs") / name)
        use_compilation_cache()
        if not options.dry_run:
            join(options, [sys.argv[0], *(sys.argv[1:] if arguments is None else arguments)], options.entry.is_heavy)
        task, data = options.entry.build(options)
        algorithm = options.make_algorithm(task.space)
    except (ValueError, OSError, ImportError) as error:
        if folder is not None and not any(folder.iterdir()):
            folder.rmdir()
        return _fail(str(error))
    on_cpu = jax.default_backend() == "cpu"
    options = dataclasses.replace(options, chunk=options.chunk or (options.entry.chunk if on_cpu else None))
    _print_plan(console, options, task, data)
    if options.dry_run:
        return 0
    try:
        _evolve(console, folder, options, task, algorithm, data, began)
    except AllMembersFailed as error:
        return _fail(str(error))
    return 0


def _evolve(
    console: Console,
    folder: Path | None,
    options: Options,
    task: Task,
    algorithm: Algorithm,
    data: dict[str, Any],
    began: float,
) -> None:
    """The run itself, in every process; ``folder`` is process 0's, which alone prints and writes."""
    assert options.generations is not None  # resolved
    assert options.replicates is not None
    assert options.fresh is not None
    mesh = runtime.population_mesh()
    if folder is not None:
        records.write_config(folder, options=options.as_dict(), space=task.space, data=data)
    seconds = {"start": time.perf_counter() - began, "compile": 0.0, "generations": 0.0}
    generations = run(
        task,
        algorithm,
        key=options.seed,
        num_generations=options.generations,
        num_replicates=options.replicates,
        chunk_size=options.chunk,
        mesh=mesh,
        generations_per_dispatch=options.dispatch,
    )
    with contextlib.ExitStack() as stack:
        sinks: list[Callable[[Generation], None]] = []
        if folder is not None:
            history = records.HistoryFile(folder, task.space, task.objective, options.replicates)
            progress = screen.ProgressLine(console, task.objective, options.generations)
            sinks += [stack.enter_context(history).write, stack.enter_context(progress).write]
        generation = None
        for generation in generations:
            for sink in sinks:
                sink(generation)
            seconds["compile"] += generation.compile_seconds
            seconds["generations"] += generation.seconds - generation.compile_seconds

    assert generation is not None  # at least one
    info, mark = generation.record.info, time.perf_counter()
    best_genome = np.asarray(info.best_genome)
    fresh = evaluate_fresh(
        task, best_genome, key=options.seed, num_seeds=options.fresh, chunk_size=options.chunk, mesh=mesh
    )
    seconds["winner on fresh seeds"] = time.perf_counter() - mark
    if folder is None:
        return
    mark = time.perf_counter()
    _draw(folder, task, options)
    seconds["plots"] = time.perf_counter() - mark
    value = task.objective.sign * float(info.best_loss)
    screen.print_winner(
        console, task.objective, task.space.setting(best_genome), value, fresh, has_test=hasattr(task, "test")
    )
    screen.print_times(console, seconds)
    screen.print_files(console, folder)


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


def _draw(folder: Path, task: Task, options: Options) -> None:
    import pandas as pd

    from experiments import plots

    table = pd.read_csv(folder / "history.csv")
    columns = {name: table[name].to_numpy() for name in table}
    title = f"{options.task}, {options.algorithm}, {options.pop} members x {options.generations} generations"
    plots.convergence(folder / "convergence.png", columns, task.objective, title)
    plots.search_space(folder / "search_space.png", columns, task.space, task.objective, title)


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    exit_status = main()
    if exit_status:
        runtime.leave(exit_status)
