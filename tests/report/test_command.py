"""The report: one file, of finished and of killed runs, in a browser."""

import re
import shutil
import subprocess

import pytest


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
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")
    probe = (
        "<script>addEventListener('load', () => setTimeout(() => console.log('probe', "
        "document.querySelectorAll('.js-plotly-plot .main-svg').length, "
        "document.documentElement.scrollWidth <= innerWidth), 500))</script></body>"
    )
    page = tmp_path / "report.html"
    page.write_text((whole / "report.html").read_text().replace("</body>", probe))
    frame = tmp_path / "frame.html"
    frame.write_text(f"<iframe src='report.html' style='width:{width}px;height:2000px;border:0'></iframe>")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --disable-quic"
    flags += " --enable-logging=stderr --virtual-time-budget=8000"
    command = [browser, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,2100"]
    done = subprocess.run(
        [*command, f"--screenshot={tmp_path / 'shot.png'}", frame.as_uri()], capture_output=True, text=True, timeout=120
    )
    lines = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert (tmp_path / "shot.png").stat().st_size > 10_000
    [line] = lines  # the probe's: nothing else was said on the console
    drawn, fits = re.search(r"probe (\d+) (true|false)", line).groups()
    assert int(drawn) >= 10
    assert fits == "true"
