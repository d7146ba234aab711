"""What a run leaves when it has ended: ``history.parquet``, figures and ``report.html``."""

import contextlib
import importlib
from importlib.util import find_spec
from pathlib import Path

from jaxga.distribution import install_hint
from jaxga.report.summary import title
from jaxga.runs.saved import SavedRun

# What needs which package.
_NEEDS = {"history.parquet": "pyarrow", "figures": "matplotlib", "report": "plotly"}
# The figures show a sample of longer runs, which bounds their memory.
_MAX_ROWS = 100_000


def write_outputs(path: Path) -> list[str]:
    """Write what the installed packages can write, each file complete or not at all, from one pass over the history.

    Returns:
        One line that names the outputs left out, and what to install; empty where all were written.

    Raises ``ValueError`` where nothing was recorded, ``OSError`` naming a file that cannot be written.
    """
    run = SavedRun.read(path)
    missing = [output for output, package in _NEEDS.items() if find_spec(package) is None]
    with contextlib.ExitStack() as stack:
        on_block = None
        if "history.parquet" not in missing:
            from jaxga.runs.parquet import parquet_writer

            # A run that was killed may have the rows of a generation without its event.
            seconds = {e["generation"]: e["seconds"] for e in run.events if e["event"] == "generation"}
            on_block = stack.enter_context(parquet_writer(path / "history.parquet", seconds))
        history = run.read_history(_MAX_ROWS, on_block)
    if "figures" not in missing:
        from jaxga.report import plots

        plots.save(plots.convergence_figure(history, title(run, history)), path / "convergence")
        plots.save(
            plots.search_space_figure(history, run.result.get("best"), title(run, history)), path / "search_space"
        )
    if "report" not in missing:
        from jaxga.report.page import write_report

        write_report(run, history)
    return [f"no {', '.join(missing)}: {install_hint('report')}"] if missing else []


def preload() -> None:
    """Import the packages that :func:`write_outputs` uses, of those installed: about 1 s, for a thread."""
    modules = {"history.parquet": "jaxga.runs.parquet", "figures": "jaxga.report.plots", "report": "jaxga.report.page"}
    for output, module in modules.items():
        if find_spec(_NEEDS[output]) is not None:
            importlib.import_module(module)
