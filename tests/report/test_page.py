"""The page of a report: what it says is so, and it draws in a browser."""

import re
import shutil
import subprocess
import warnings

import numpy as np
import pytest

from jaxga import Uniform
from jaxga.report import figures, importance, write_outputs
from tests.report.example_runs import ALL_KINDS, HOSTILE, MATRIX, mixed, page, prose, read, write_run

@pytest.mark.parametrize("case", MATRIX)
def test_every_run_has_its_outputs(tmp_path, case):
    path = write_run(tmp_path, **MATRIX[case])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert write_outputs(path) == []
    made = {file.name for file in path.iterdir()} - {"config.json", "history.csv", "events.jsonl", "result.json"}
    pictures = {f"{name}.{suffix}" for name in ("convergence", "search_space") for suffix in ("png", "svg")}
    assert made == {"report.html", "history.parquet", *pictures}
    text = (path / "report.html").read_text()
    words = prose(text)
    assert not re.findall(r"\b(?:nan|inf|None)\b", words.replace("'None'", ""))
    assert "<b>$" not in text.replace("<div class='tile'><b>", "")
    assert "<i>" not in text
    assert ("the run did not end" in words) == bool(MATRIX[case].get("killed"))


def test_a_region_that_no_member_is_near_has_no_colour(tmp_path):
    _, history = read(write_run(tmp_path, space=ALL_KINDS, pop=20))
    rows = importance.sample(history)
    for figure in figures.pairs(history, [("rate", "momentum"), ("kind", "depth")], rows):
        [trace] = figure.data
        assert (trace.type, trace.mode, len(trace.x)) == ("scatter", "markers", 80)


def test_the_page_is_small(tmp_path):
    value = lambda rng, g, x: rng.random(64)  # noqa: E731
    curve = lambda rng, g, n: {"curve": rng.random((n, 20)), "other": rng.random((n, 20))}  # noqa: E731
    assert len(page(write_run(tmp_path, pop=64, generations=10, value=value, metrics=curve))) < 300_000


def test_figures_of_all_kinds_draw_in_a_browser_without_a_word(tmp_path, monkeypatch):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")
    monkeypatch.undo()
    run = {"space": ALL_KINDS | {HOSTILE: Uniform(0.0, 1.0)}, "objective": (HOSTILE, "min"), "pop": 20}
    run |= {"species": mixed(5, 15), "replicates": 3, "noise": 0.5, "believed": lambda g: 0.6 - 0.1 * g}
    run |= {"value": lambda rng, g, x: 10.0 ** (4 * x[:, 0]), "predicted": lambda rng, g, v: v * rng.random(len(v))}
    text = page(write_run(tmp_path, **run, metrics=MATRIX["curves"]["metrics"]))
    probe = (
        "<script>addEventListener('load', () => setTimeout(() => console.log('probe', document.querySelectorAll("
        "'.js-plotly-plot .main-svg').length, document.documentElement.scrollWidth <= innerWidth), 500))</script>"
        "</body>"
    )
    (tmp_path / "report.html").write_text(text.replace("</body>", probe))
    frame = tmp_path / "frame.html"
    frame.write_text("<iframe src='report.html' style='width:400px;height:2000px;border:0'></iframe>")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --disable-quic --enable-logging=stderr"
    flags += f" --virtual-time-budget=8000 --window-size=1400,2100 --user-data-dir={tmp_path / 'profile'}"
    command = [browser, *flags.split(), f"--screenshot={tmp_path / 'shot.png'}", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    [line] = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    num_figures = text.count("class='figure'")
    drawn, fits = re.search(r"probe (\d+) (true|false)", line).groups()
    assert num_figures == 23
    assert int(drawn) == 3 * num_figures  # plotly's three layers each
    assert fits == "true"
