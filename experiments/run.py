"""Evolve a task's hyperparameters: ``python experiments/run.py --task mnist --pop 64``."""

import contextlib
import dataclasses
import itertools
import os
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jax
import typer
from rich.console import Console
from typer.exceptions import TyperException

from experiments import records, screen
from experiments.options import Options
from jaxga import AllMembersFailed, Task, run
from jaxga.run import evaluate_fresh


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for what the user can mend)."""
    began = time.perf_counter()
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(Options)
    try:
        options = app(arguments, standalone_mode=False)
    except TyperException as error:
        return _fail(error.format_message())
    if not isinstance(options, Options):  # --help has printed
        return 0
    console = Console(quiet=options.quiet, highlight=False)
    try:
        options = options.resolve()
        use_compilation_cache()
        task, data = options.entry.build(options)
        options = _with_chunk(options)
        algorithm = options.make_algorithm(task.space)
        if options.dry_run:
            _print_plan(console, options, task, data)
            return 0
        folder = records.new_folder(options.out or Path("runs") / f"{options.task}-{datetime.now():%Y%m%d-%H%M%S}")
    except (ValueError, OSError, ImportError) as error:
        return _fail(str(error))

    _print_plan(console, options, task, data)
    records.write_config(folder, options=options.as_dict(), space=task.space, data=data)
    assert options.generations and options.replicates and options.fresh  # resolved
    history = records.HistoryFile(folder, task.space, task.objective, options.replicates)
    seconds = {"start": time.perf_counter() - began, "compile": 0.0, "generations": 0.0}
    generations = run(
        task,
        algorithm,
        key=options.seed,
        num_generations=options.generations,
        num_replicates=options.replicates,
        chunk_size=options.chunk,
        generations_per_dispatch=options.dispatch,
    )
    generation = None
    try:
        with contextlib.closing(history), screen.ProgressLine(console, task.objective, options.generations) as line:
            for generation in generations:
                history.write(generation.record)
                line.write(generation)
                seconds["compile"] += generation.compile_seconds
                seconds["generations"] += generation.seconds - generation.compile_seconds
    except AllMembersFailed as error:
        return _fail(str(error))
    assert generation is not None

    info, mark = generation.record.info, time.perf_counter()
    fresh = evaluate_fresh(task, info.best_genome, key=options.seed, num_seeds=options.fresh, chunk_size=options.chunk)
    seconds["winner on fresh seeds"] = time.perf_counter() - mark
    mark = time.perf_counter()
    _draw(folder, history.path, task, options)
    seconds["plots"] = time.perf_counter() - mark

    value = task.objective.sign * float(info.best_loss)
    screen.print_winner(
        console, task.objective, task.space.setting(info.best_genome), value, fresh, has_test=hasattr(task, "test")
    )
    screen.print_times(console, seconds)
    screen.print_files(console, folder)
    return 0


def use_compilation_cache() -> None:
    """Keep compiled programs between runs, in the user's cache folder or ``JAX_COMPILATION_CACHE_DIR``."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(base / "jaxga" / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def _with_chunk(options: Options) -> Options:
    on_cpu = jax.default_backend() == "cpu"
    return dataclasses.replace(options, chunk=options.chunk or (options.entry.chunk if on_cpu else None))


def _print_plan(console: Console, options: Options, task: Task, data: dict[str, Any]) -> None:
    plan = screen.table("jaxga", "what", "this run")
    plan.show_header = False
    if data:
        plan.add_row("data", f"[bold]{data['name']}[/bold]: {data['source']}")
    plan.add_row("task", f"{options.task}: {task.objective.direction}imise the {task.objective.name}")
    label = "search space"
    for dimension, items in itertools.groupby(task.space.items, key=lambda item: item[1]):
        plan.add_row(label, f"{', '.join(name for name, _ in items)}: {dimension!r}")
        label = ""
    breeding = [f"{options.pop} members x {options.generations} generations"]
    for name in ("parents", "mutations", "invaders", "replicates"):
        if getattr(options, name) is not None:
            breeding.append(f"{name} {getattr(options, name)}")
    plan.add_row("algorithm", f"{options.algorithm}: {', '.join(breeding)}")
    plan.add_row("device", f"{jax.device_count()} x {jax.devices()[0].device_kind}, seed {options.seed}")
    console.print(plan)


def _draw(folder: Path, history: Path, task: Task, options: Options) -> None:
    import pandas as pd

    from experiments import plots

    table = pd.read_csv(history)
    columns = {name: table[name].to_numpy() for name in table}
    title = f"{options.task}, {options.algorithm}, {options.pop} members x {options.generations} generations"
    plots.convergence(folder / "convergence.png", columns, task.objective, title)
    plots.search_space(folder / "search_space.png", columns, task.space, task.objective, title)


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
