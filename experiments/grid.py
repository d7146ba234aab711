"""What a search needs to be as good as a grid: ``python experiments/grid.py [--quick]``.

Writes README.md, searches.csv, grids.csv and ratios.png. What was computed is kept in DIR/kept: a stopped run goes on.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from typer import Option

# The code of this checkout, even where another one is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.classical.report import MODELS, TOLERANCE, Grid, write
from experiments.classical.searches import NUM_FOLDS, POPULATION_SIZE, evaluate, grid_settings, make_space, search
from experiments.comparison.cache import be_single_threaded
from jaxga.cli.arguments import MISTAKES, fail, parse
from jaxga.runtime import num_cores

METHODS = ("ga", "invasive_ga", "random_search")
DATASETS = ("digits", "breast_cancer")
NUM_LEVELS = 5
MAX_EVALUATIONS = 160  # of a search: the default run of these tasks


@dataclass(frozen=True)
class Options:
    """Measure how many evaluations and seconds a search of scikit-learn's models takes to be as good as a grid."""

    quick: Annotated[bool, Option("--quick", help="A test of the program: kNN on wine, a small grid.")] = False
    out: Annotated[Path | None, Option(metavar="DIR", show_default="runs/classical, or runs/classical-quick")] = None
    seeds: Annotated[int, Option(min=1, help="Searches of each method.")] = 5
    processes: Annotated[int | None, Option(min=1, show_default="one a core")] = None


def run(options: Options) -> Path:
    """Measure, and write what was found; returns the page."""
    from joblib import Memory, Parallel, delayed

    folder = options.out or Path("runs") / ("classical-quick" if options.quick else "classical")
    (folder / "kept").mkdir(parents=True, exist_ok=True)
    kept = Memory(folder / "kept", verbose=0)
    evaluation, one_search = kept.cache(evaluate), kept.cache(search)
    models, datasets, methods = tuple(MODELS), DATASETS, METHODS
    if options.quick:
        models, datasets, methods = ("knn",), ("wine",), ("ga", "random_search")
    parallel = Parallel(options.processes or num_cores())
    grids = []
    for dataset in datasets:
        for model in models:
            settings = grid_settings(make_space(model), 2 if options.quick else NUM_LEVELS)
            found: Any = parallel(delayed(evaluation)(model, dataset, setting) for setting in settings)
            errors, seconds = zip(*found, strict=True)
            best = int(np.argmin(errors))
            grids.append(Grid(model, dataset, len(settings), sum(seconds), errors[best], settings[best]))
            print(f"grid: {grids[-1]}", flush=True)
    jobs = [
        (grid.model, grid.dataset, method, seed, min(grid.evaluations, MAX_EVALUATIONS), grid.best)
        for seed in range(options.seeds)
        for grid in grids
        for method in methods
    ]
    searches: Any = parallel(delayed(one_search)(*job) for job in jobs)
    command = f"python experiments/grid.py{' --quick' * options.quick} --seeds {options.seeds}"
    return write(folder, grids, searches, command, _about(options.seeds), options.quick)


def _about(num_seeds: int) -> str:
    return f"""\
Grid: {NUM_LEVELS} evenly spaced values of each number (in the scale of its gene) and all choices, each setting once.
Value: the error (1 - accuracy) in a cross-validation of {NUM_FOLDS} folds that never change; of the digits every third
row. Searches: {num_seeds} of each method, {POPULATION_SIZE} members a generation, at most {MAX_EVALUATIONS} evaluations
or as many as the grid has. "Equal": how many searches met an error of at most the grid's; "as good": of at most
{TOLERANCE} more. Evaluations and time: those of the whole grid divided by those of a search until it is as good;
median [least, greatest] over the seeds, "-" where it was not as good. A grid is known to be done only at its end; a
search does not know either when it is as good, so that these ratios are its best case. Time: seconds of one core for
the fits and, in a search, for the algorithm itself; compiling it is left out. Cited: Wicaksono's study (another data
set) says that a genetic algorithm reduces the time by 425 % (SVM), 397 % (kNN), 651 % (AdaBoost) and 17 % (forests)
where it is as good; read here as a grid that takes 1 + 4.25 times as long, and so on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for what the user can mend)."""
    try:
        parsed = parse(Options, sys.argv[1:] if arguments is None else arguments)
        if parsed is not None:
            print(f"written: {run(parsed.options)}")
    except MISTAKES as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    be_single_threaded()  # JAX reads this when it first computes, the other processes when they start
    sys.exit(main())
