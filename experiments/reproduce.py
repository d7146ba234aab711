"""Make the original work's figures anew: ``python experiments/reproduce.py [FIGURE ...] [--quick]``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

# The code of this checkout, even where another one is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.comparison.cache import be_single_threaded
from experiments.reproduction.figures import FIGURES
from experiments.reproduction.page import write_figure, write_page
from experiments.reproduction.searches import complete
from experiments.reproduction.section import Data
from jaxga.cli.arguments import MISTAKES, fail, parse
from jaxga.runtime import num_cores
from jaxga.text import check_choice


@dataclass(frozen=True)
class Options:
    """Make the figures of the slides "Evolving Hyperparameters: Learning Enhanced Model Training" anew.

    Writes DIR/reproduction.md, and into DIR/reproduction a picture (PNG, SVG) and its numbers (CSV) for each figure.
    The searches are kept in DIR/reproduction/searches, so that a run that was stopped goes on.
    """

    figures: Annotated[
        list[str] | None, Argument(metavar="[FIGURE ...]", help=f"Of {', '.join(FIGURES)}; all by default.")
    ] = None
    quick: Annotated[
        bool, Option("--quick", help="Tiny searches, to test the program: their figures mean nothing.")
    ] = False
    out: Annotated[
        Path | None, Option(metavar="DIR", show_default="runs/reproduction, with --quick runs/reproduction-quick")
    ] = None
    processes: Annotated[
        int | None, Option(min=1, show_default="one a core", help="Methods that are run side by side.")
    ] = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for what the user can mend)."""
    try:
        parsed = parse(Options, sys.argv[1:] if arguments is None else arguments)
        if parsed is not None:
            _run(parsed.options)
    except MISTAKES as error:
        return fail(error)
    return 0


def _run(options: Options) -> None:
    for name in options.figures or ():
        check_choice("FIGURE", name, FIGURES)
    folder = options.out or Path("runs") / ("reproduction-quick" if options.quick else "reproduction")
    searches = folder / "reproduction" / "searches"
    searches.mkdir(parents=True, exist_ok=True)
    names = [name for name in FIGURES if name in (options.figures or FIGURES)]
    wanted = [pair for name in names for pair in FIGURES[name].wanted(options.quick)]
    complete(searches, wanted, options.quick, options.processes or num_cores())
    for name in names:
        write_figure(folder, name, Data(searches, options.quick))
    print(f"written: {write_page(folder, options.quick)}")


if __name__ == "__main__":
    be_single_threaded()  # JAX reads this when it first computes, the other processes when they start
    sys.exit(main())
