"""Export a run to other tools: ``jaxga export DIR --optuna sqlite:///FILE``."""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from jaxga.cli.arguments import MISTAKES, fail, parse
from jaxga.runs.history import has_own_value
from jaxga.runs.saved import SavedRun


@dataclass(frozen=True)
class Options:
    """Write the members of a run as trials of an Optuna study.

    Under a schedule these are the members that were trained to the end, each under one setting.
    """

    folder: Annotated[Path, Argument(metavar="DIR", help="The run's folder.")]
    optuna: Annotated[str, Option(metavar="URL", help="The storage, as sqlite:///run.db.")]
    name: Annotated[str | None, Option(show_default="the run's", help="The study's name.")] = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for a mistake of the user)."""
    try:
        parsed = parse(Options, sys.argv[1:] if arguments is None else arguments)
        if parsed is not None:
            _export(parsed.options)
    except MISTAKES as error:
        return fail(error)
    return 0


def _export(options: Options) -> None:
    from jaxga.report.study import create_study, storage_errors, trials

    run = SavedRun.read(options.folder)
    blocks = run.blocks()
    first = next(blocks)  # raises before a study is made where nothing was recorded
    name = options.name or run.config["run"]
    with storage_errors(f"--optuna {options.optuna}"):
        made = create_study(name, run.objective, options.optuna)
        for block in itertools.chain([first], blocks):
            kept = has_own_value(block)
            made.add_trials(trials(run.space, {name: column[kept] for name, column in block.items()}))
        num_trials = len(made.get_trials(deepcopy=False))
    print(f"study {name}: {num_trials} trials in {options.optuna}")
    settings = run.result.get("best_by_part", [])
    if any(setting != settings[0] for setting in settings):
        print("its winner is no trial: its setting changed in its training (best_by_part in result.json)")
