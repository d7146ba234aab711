"""How much the returns of PPO vary over seeds: ``python experiments/variability.py [ENVIRONMENT ...] [--quick]``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

# The code of this checkout, even where another one is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.comparison.cache import be_single_threaded
from experiments.noise import searches, trainings
from experiments.noise.page import write_page
from experiments.noise.searches import QUICK_SEARCHES, SEARCHES
from experiments.noise.setups import QUICK_SETUPS, SETUPS
from jaxga.cli.arguments import MISTAKES, fail, parse
from jaxga.cli.start import use_compilation_cache
from jaxga.text import check_choice


@dataclass(frozen=True)
class Options:
    """Measure how much the returns of PPO vary over seeds, and what that does to a search.

    Writes DIR/variability.md, and into DIR/variability a picture (PNG, SVG) and its numbers (CSV) for each question and
    the returns of each environment (CSV). The trainings are kept in DIR/variability, so that a run that was stopped
    goes on. It uses one core.
    """

    environments: Annotated[
        list[str] | None, Argument(metavar="[ENVIRONMENT ...]", help=f"Of {', '.join(SETUPS)}; all by default.")
    ] = None
    quick: Annotated[
        bool, Option("--quick", help="A few tiny trainings, to test the program: their figures mean nothing.")
    ] = False
    searches: Annotated[
        bool, Option(help="Search by the invasive GA too: 1, 2 or 4 replicates, CartPole and Pendulum.")
    ] = True
    out: Annotated[
        Path | None, Option(metavar="DIR", show_default="runs/variability, with --quick runs/variability-quick")
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
    setups = QUICK_SETUPS if options.quick else SETUPS
    for name in options.environments or ():
        check_choice("ENVIRONMENT", name, setups)
    chosen = [setup for name, setup in setups.items() if name in (options.environments or setups)]
    search_setups = (QUICK_SEARCHES if options.quick else SEARCHES) if options.searches else {}
    searched = [search_setups[setup.name] for setup in chosen if setup.name in search_setups]
    folder = options.out or Path("runs") / ("variability-quick" if options.quick else "variability")
    use_compilation_cache()
    for setup in chosen:
        trainings.complete(folder / "variability" / "trainings", setup)
    for search_setup in searched:
        searches.complete(folder / "variability" / "searches", search_setup)
    print(f"written: {write_page(folder, chosen, searched, options.quick)}")


if __name__ == "__main__":
    be_single_threaded()  # JAX reads this when it first computes
    sys.exit(main())
