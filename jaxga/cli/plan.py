"""What would run, as one table: the task, the search space, the algorithm, the devices."""

import itertools
import math

import jax
from rich.console import Console

from jaxga.cli.options import Options
from jaxga.cli.screen import table
from jaxga.cli.start import Processes
from jaxga.loop import num_members
from jaxga.runs.folder import Start
from jaxga.runs.records import constants
from jaxga.runs.session import Search
from jaxga.runs.warm_start import WarmStart
from jaxga.schedules import AnyLayout, Cohort
from jaxga.text import show


def print_plan(
    console: Console,
    options: Options,
    search: Search,
    warm_start: WarmStart | None,
    start: Start,
    processes: Processes,
    chunk_size: int | None,
) -> None:
    """Print it."""
    task = search.task
    plan = table("jaxga", "what", "this run")
    plan.show_header = False
    if source := getattr(task, "data_source", ""):
        plan.add_row("data", source, style="bold")
    plan.add_row("task", f"{options.task}: {task.objective.direction}imise the {task.objective.name}")
    label = "search space"
    for dimension, items in itertools.groupby(task.space.described().items(), key=lambda item: item[1]):
        plan.add_row(label, f"{', '.join(name for name, _ in items)}: {dimension}")
        label = ""
    if fixed := constants(task):
        plan.add_row("held fixed", ", ".join(f"{name} {show(value)}" for name, value in fixed.items()))
    who = "members" if search.layout is None else "lanes"
    breeding = [f"{options.pop} {who} x {options.generations} generations"]
    breeding += [f"{name} {value}" for name, value in options.breeding.items()]
    plan.add_row("algorithm", f"{options.algorithm}: {', '.join(breeding)}, replicates {options.replicates}")
    if search.layout is not None:
        plan.add_row("schedule", _schedule(search, search.layout))
    if warm_start is not None:
        num = len(warm_start.genomes)
        noun, use = "evaluation", "known from before"
        if warm_start.loss is None:
            num, noun, use = min(num, search.algorithm.population_size), "setting", "to begin with"
        plan.add_row("warm start", f"{num} {noun}{'s' * (num > 1)} {use}")
    # A dry run starts no process: the others would have as many devices as this one.
    num = processes.number if options.dry_run else jax.process_count()
    num_devices = f"{num * jax.local_device_count()} x " if num else ""
    plan.add_row("device", f"{num_devices}{jax.devices()[0].device_kind}, seed {options.seed}")
    plan.add_row("processes", f"{num or 'as many as the cluster has'}: {processes.reason}")
    num_trainings = num_members(search.algorithm, search.layout) * search.num_replicates
    num_local = math.ceil(num_trainings / max(num * jax.local_device_count(), 1))
    most = min(chunk_size or num_local, num_local)
    plan.add_row("chunk", f"{most} of {num_trainings} trainings side by side on a device at most")
    if options.resume is not None:
        done = int(start.state.generation)
        is_ended = done >= search.num_generations
        following = "only the winner and the report are left" if is_ended else f"from generation {done + 1}"
        plan.add_row("goes on", f"{following}; {done} of {search.num_generations} generations are done")
    console.print(plan)


def _schedule(search: Search, layout: AnyLayout) -> str:
    """The schedule in words: who begins, where members are scored, and what all of it is worth."""
    schedule, ends = layout.schedule, ", ".join(map(str, layout.ends))
    words = [f"{schedule.name}: {layout.num_lanes} lanes, each trained one of {layout.num_parts} parts a generation"]
    if isinstance(layout, Cohort):
        number, since = layout.num_best, "" if layout.first == 1 else f" from part {layout.first} on"
        words += [f"after each part{since} the worst {number} take over the trainings of the best {number}"]
        words += [f"all begin anew after {layout.num_parts} parts, {layout.num_repeats} with the best settings so far"]
        if unfinished := search.num_generations % layout.num_parts:
            words += [f"the last {unfinished} generations do not finish a training"]
    else:
        words += [f"{layout.num_new} new members a generation, scored after {ends} parts"]
        if schedule.eta > 1:
            words += [f"the best 1/{schedule.eta} go on"]
    words += [f"{search.num_generations * search.trainings_each:g} trainings' worth in all"]
    return "; ".join(words)
