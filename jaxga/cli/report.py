"""Write the report of a run again: ``jaxga report DIR``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument

from jaxga.cli.arguments import MISTAKES, fail, parse


@dataclass(frozen=True)
class Options:
    """Write report.html, the figures and history.parquet of a run again."""

    folder: Annotated[Path, Argument(metavar="DIR", help="The run's folder.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for a mistake of the user)."""
    from jaxga.report import write_outputs

    try:
        parsed = parse(Options, sys.argv[1:] if arguments is None else arguments)
        if parsed is not None:
            folder = parsed.options.folder
            write_outputs(folder)
            print(folder / "report.html")
    except MISTAKES as error:
        return fail(error)
    return 0
