"""What a run leaves when it has ended: ``history.parquet``, figures and ``report.html``."""

import importlib
from pathlib import Path

from jaxga.report.summary import title
from jaxga.runs.saved import SavedRun

# The figures show a sample of longer runs, which bounds their memory.
_MAX_ROWS = 100_000


def write_outputs(path: Path) -> None:
    """Write them all, each file complete or not at all, from one pass over the history of the run in ``path``.

    Raises ``ValueError`` where nothing was recorded, ``OSError`` naming a file that cannot be written.
    """
    from jaxga.report import plots
    from jaxga.report.page import write_report
    from jaxga.runs.parquet import parquet_writer

    run = SavedRun.read(path)
    # A run that was killed may have the rows of a generation without its event.
    seconds = {e["generation"]: e["seconds"] for e in run.events if e["event"] == "generation"}
    with parquet_writer(path / "history.parquet", run.space, seconds) as on_block:
        history = run.read_history(_MAX_ROWS, on_block).whole
    heading = title(run, history)
    plots.save(plots.convergence_figure(history, heading), path / "convergence")
    plots.save(plots.search_space_figure(history, run.result.get("best"), heading), path / "search_space")
    write_report(run, history)


def preload() -> None:
    """Import the packages that :func:`write_outputs` uses, about 1 s: for a thread while something else computes."""
    for module in ("jaxga.runs.parquet", "jaxga.report.plots", "jaxga.report.page"):
        importlib.import_module(module)
