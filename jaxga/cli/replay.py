"""Train a run's winner again: ``jaxga replay DIR --seeds N``."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from typer import Argument, Option

from jaxga import runtime
from jaxga.base import Task
from jaxga.checks import check_count
from jaxga.chunks import ChunkSize
from jaxga.cli import screen
from jaxga.cli.arguments import MISTAKES, fail, parse
from jaxga.cli.options import Options as RunOptions
from jaxga.cli.start import use_compilation_cache
from jaxga.cli.task_factories import find_factory, given_arguments, make_task
from jaxga.loop import as_key, evaluate_fresh
from jaxga.runs.config import check_programs, describe_data, describe_task, differing
from jaxga.runs.progress import plain_console
from jaxga.runs.records import constants, write_json
from jaxga.runs.saved import SavedRun, load
from jaxga.runs.session import scores_by_name


@dataclass(frozen=True)
class Options:
    """Train the winner of a run again, from nothing and under fresh seeds.

    Where its setting changed from part to part (population-based training), each part has its own.

    The first seeds are those under which the run itself evaluated its winner. The values are written to replay.json.
    """

    folder: Annotated[Path, Argument(metavar="DIR", help="The run's folder.")]
    seeds: Annotated[int, Option(metavar="N", help="How many fresh seeds.")] = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for a mistake of the user)."""
    try:
        parsed = parse(Options, sys.argv[1:] if arguments is None else arguments)
        if parsed is not None:
            _replay(parsed.options)
    except MISTAKES as error:
        return fail(error)
    return 0


def _replay(options: Options) -> None:
    check_count("--seeds", options.seeds, 1)
    run = load(options.folder)
    use_compilation_cache()
    console = plain_console()
    task, chunk_size = _task(run)
    for note in check_programs(run.path, task):
        screen.say(console, note, head="note", style="yellow")
    settings = run.result.get("best_by_part", [run.best])
    genomes = np.stack([task.space.encode(setting) for setting in settings])
    found = evaluate_fresh(
        task,
        genomes if "best_by_part" in run.result else genomes[0],
        key=as_key(run.config["options"]["seed"]),
        num_seeds=options.seeds,
        chunk_size=chunk_size,
        mesh=runtime.population_mesh(),
    )
    scores = scores_by_name(task.objective, found)
    values = {name: np.asarray(score).tolist() for name, score in scores.items()}
    write_json(options.folder / "replay.json", {"settings": settings, "seeds": options.seeds, "values": values})
    has_test, trained = hasattr(task, "test"), run.result.get("trained", 1.0)
    screen.print_winner(console, task.objective, settings, run.best_value, found, has_test, trained)
    print(f"\nwritten: {options.folder / 'replay.json'}")


def _task(run: SavedRun) -> tuple[Task, ChunkSize]:
    """The run's task as its command line says it, and the chunk size; ``ValueError`` where it is not the same now."""
    if run.config["command"] is None:
        raise ValueError(f"cannot replay {run.path}: that run was started in code; use num_fresh there")
    options = RunOptions.from_dict(run.config["options"])
    found = find_factory(options.task)
    arguments = given_arguments(options.task, found, options.set or [], options.task_options)
    task = make_task(options.task, found, arguments)
    now = {"search space": task.space.to_dict(), "data": describe_data(task)["sha256"]}
    then = {name: run.config["identity"].get(name) for name in now}
    now |= describe_task(asdict(task.objective), constants(task))
    then |= describe_task(run.config["objective"], run.config.get("constants", {}))
    if names := differing(then, now):
        raise ValueError(f"cannot replay {run.path}: its task has another {' and '.join(names)} now")
    return task, options.chunk_size
