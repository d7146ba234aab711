"""What a run leaves when it has ended: history.parquet, figures, report.html; each where its packages are installed."""

import importlib.util
from pathlib import Path

from jaxga.distribution import install_hint


def write_outputs(path: Path) -> list[str]:
    """Write them all from what the folder of a run has; each whole or not at all.

    Returns:
        One line for each output that is left out, and what to install.

    Raises ``ValueError`` where nothing was recorded, ``OSError`` naming the file that cannot be written.
    """
    if importlib.util.find_spec("pyarrow") is None:
        return [f"no history.parquet, figures and report: {install_hint('report')}"]
    from jaxga.report import plots
    from jaxga.report.table import read_table, write_parquet

    table = read_table(path)
    write_parquet(path)
    plots.convergence(path / "convergence", table)
    plots.search_space(path / "search_space", table.columns, table.space, table.objective, table.title, table.best_row)
    if importlib.util.find_spec("plotly") is None:
        return [f"no report: {install_hint('report')}"]
    from jaxga.report.page import write_report

    write_report(path, table)
    return []
