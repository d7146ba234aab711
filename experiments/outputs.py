"""What a run leaves when it has ended: history.parquet, figures, report.html; each where its packages are installed."""

import importlib.util
from pathlib import Path


def write_outputs(path: Path) -> list[str]:
    """Write them all from what the folder of a run has.

    Returns:
        One line for each output that is left out, and what to install.

    Raises ``ValueError`` where nothing was recorded, ``OSError`` where it cannot be written.
    """
    missing = []
    if importlib.util.find_spec("pyarrow") is None:
        return ["no history.parquet, figures and report: pip install 'jaxga[report]'"]
    from experiments import plots
    from experiments.table import read_table, write_parquet

    write_parquet(path)
    table = read_table(path)
    for suffix in ("png", "svg"):
        plots.convergence(path / f"convergence.{suffix}", table.columns, table.objective, table.title)
        plots.search_space(
            path / f"search_space.{suffix}", table.columns, table.space, table.objective, table.title, table.best_row
        )
    if importlib.util.find_spec("plotly") is None or importlib.util.find_spec("optuna") is None:
        missing.append("no report: pip install 'jaxga[report]'")
    else:
        from experiments.report import write_report

        write_report(path, table)
    return missing
