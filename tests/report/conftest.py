"""Reports without plotly's own script."""

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("plotly")

from jaxga.report import page


@pytest.fixture(autouse=True)
def _without_plotlys_script(monkeypatch):
    """The script has five megabytes."""
    monkeypatch.setattr(page, "get_plotlyjs", lambda: "")
