"""The report: one file, of finished and of killed runs, in a browser."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from jaxga.report import figures


def test_the_report_is_one_file_without_the_network(whole):
    text = (whole / "report.html").read_text()
    for heading in ("Progress", "The winner", "Where members came from", "Each hyperparameter", "Time"):
        assert f"<h2>{heading}</h2>" in text
    without_library = re.sub(r"<script>.*?</script>", "", text, count=1, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", without_library)
    for name in ("convergence", "search_space"):
        assert (whole / f"{name}.svg").read_text().startswith("<?xml")


def test_the_report_of_a_run_that_was_killed(half, capsys):
    from jaxga.cli.report import main as report

    (half / "result.json").unlink()
    assert report([str(half)]) == 0
    assert "the run did not end" in (half / "report.html").read_text()


def test_the_report_of_nothing(tmp_path, capfd):
    from jaxga.cli.report import main as report

    assert report([str(tmp_path)]) == 2
    assert "it has no config.json" in capfd.readouterr().err


@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_in_a_browser(whole, tmp_path, width):
    probe = (
        "<script>addEventListener('load', () => setTimeout(() => console.log('probe', "
        "document.querySelectorAll('.js-plotly-plot .main-svg').length, "
        "document.documentElement.scrollWidth <= innerWidth), 500))</script></body>"
    )
    page = (whole / "report.html").read_text().replace("</body>", probe)
    [line] = _said_in_a_browser(tmp_path, page, width)  # the probe's: nothing else was said on the console
    drawn, fits = re.search(r"probe (\d+) (true|false)", line).groups()
    assert int(drawn) >= 10
    assert fits == "true"


def test_the_margins_of_a_figure_settle(tmp_path):
    """With a margin at the upper end that followed the labels, plotly drew these values again and again."""
    per_second = np.array([3282.28, 137.868, 243.655, 1241.46, 783.597, 1191.99, 1131.44, 995.851], np.float32)
    figure = figures.as_html(figures.throughput(np.arange(8), per_second, "Members"))
    page = f"<html><body><script>{get_plotlyjs()}</script>{figure}</body></html>"
    assert _said_in_a_browser(tmp_path, page, 560) == []


def _said_in_a_browser(folder, page, width):
    """The lines on the console of a browser that shows a page in a window of this width."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")
    (folder / "report.html").write_text(page)
    frame = folder / "frame.html"
    frame.write_text(f"<iframe src='report.html' style='width:{width}px;height:2000px;border:0'></iframe>")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --disable-quic"
    flags += " --enable-logging=stderr --virtual-time-budget=8000"
    command = [browser, *flags.split(), f"--user-data-dir={folder / 'profile'}", "--window-size=1400,2100"]
    done = subprocess.run(
        [*command, f"--screenshot={folder / 'shot.png'}", frame.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert (folder / "shot.png").stat().st_size > 10_000
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]
