"""A run in other tools' words: ``python experiments/export.py DIR --optuna sqlite:///FILE``."""

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.folder import read_config
from experiments.study import study, trials
from jaxga import Objective
from jaxga.saved import read_history, space_from


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Every member of a run as a trial of an Optuna study.")
    parser.add_argument("dir", type=Path, metavar="DIR", help="the run's folder")
    parser.add_argument("--optuna", required=True, metavar="URL", help="the storage, e.g. sqlite:///run.db")
    parser.add_argument("--name", help="the study's name; default: the run's")
    given = parser.parse_args(arguments)
    try:
        config = read_config(given.dir)
        space, objective = space_from(config["space"]), Objective(**config["objective"])
        blocks = read_history(given.dir / "history.csv", space)
        first = next(blocks, None)
        if first is None:
            raise ValueError(f"{given.dir} has no recorded generation")
        name = given.name or config["run"]
        made = study(name, space, objective, {}, storage=given.optuna)
        for block in itertools.chain([first], blocks):
            made.add_trials(trials(space, block))
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(f"study {name}: {len(made.get_trials(deepcopy=False))} trials in {given.optuna}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
