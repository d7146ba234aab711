"""The page of a report: what it says is so, and it draws in a browser."""

import json
import re
import shutil
import subprocess
import warnings

import pytest

from jaxga import Uniform
from jaxga.report import figures, importance, write_outputs
from tests.report.example_runs import ALL_KINDS, HOSTILE, MATRIX, mixed, noisy, page, prose, read, says, write_run


@pytest.mark.parametrize("case", MATRIX)
def test_every_run_has_its_outputs(tmp_path, case):
    path = write_run(tmp_path, **MATRIX[case])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_outputs(path)
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


# --- what it says ---


def test_the_best_figures_are_told_apart_where_they_stand(tmp_path):
    text = says(noisy(tmp_path))
    assert "1.25 loss, estimate of the winner, by the search from all that it knows" in text
    assert "0.1 loss, best evaluation of all 24 members; partly chance, because values are noisy" in text
    assert "1.25 loss, fresh ± 0 (standard deviation); of the winner, mean of 4 fresh seeds" in text
    assert "0.55 test accuracy, fresh ± 0.1 (standard deviation); of the winner, mean of 4 fresh seeds" in text
    assert "24 members trained of which 0 failed" in text


def test_an_estimate_without_evidence_of_noise_is_not_called_noisy(tmp_path):
    text = says(write_run(tmp_path, estimates=lambda g: -1.0))
    assert "-1 loss, estimate of the winner, by the search from all that it knows" in text
    assert "loss, best evaluation of all 32 members " in text
    assert "noisy" not in text
    assert "by chance" not in text


def test_without_noise_there_is_one_best(tmp_path):
    text = says(write_run(tmp_path))
    assert "loss, best of the winner, in the search; chosen as the best of 32" in text
    assert "estimate" not in text
    assert "chance, because" not in text


def test_a_curve_is_the_winners_only_where_the_search_trained_it(tmp_path):
    path = write_run(tmp_path, metrics=MATRIX["curves"]["metrics"])
    assert "winner, its best training" in page(path)
    result = json.loads((path / "result.json").read_text())
    (path / "result.json").write_text(json.dumps(result | {"best": {"x": 0.123, "rate": 0.001}}))
    text = page(path)
    assert "winner, its best training" not in text
    assert "The best member of this run and the other members" in text
    assert "The search did not train the winner itself." in text


def test_members_that_failed_are_counted(tmp_path):
    text = says(write_run(tmp_path, **MATRIX["a generation that failed"]))
    assert "32 members trained of which 8 failed" in text
    assert "loss, best of the winner" in text  # and no noise is taken for that


def test_what_was_held_fixed_and_where_it_ran_is_named(tmp_path):
    text = says(write_run(tmp_path, task="ppo", env="Acrobot-v1", steps=None))
    assert text.startswith(" ppo Acrobot-v1, invasive_ga, 8 members x 4 generations")
    named = ["num_steps 1234", "hidden_size 77", "processor A processor", "jax 0.10.2", "python 3.11.0", "cores 2"]
    named += ["git_commit abcdef", "platform Linux-x", "env Acrobot-v1", "seed 3", "devices cpu"]
    for fact in (*named, "command run.py --task ppo", "rate LogUniform(low=0.0001, high=1.0)"):
        assert fact in text.split("How it was run")[1]
    assert "steps" not in text.replace("num_steps", "")  # it was not given


def test_a_run_from_code_has_no_command(tmp_path):
    path = write_run(tmp_path)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"command": None}))
    assert "command started in code" in says(path)


# --- in a browser ---


def test_figures_of_all_kinds_draw_in_a_browser_without_a_word(tmp_path, monkeypatch):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")
    monkeypatch.undo()
    run = {"space": ALL_KINDS | {HOSTILE: Uniform(0.0, 1.0)}, "objective": (HOSTILE, "min"), "pop": 20}
    run |= {"species": mixed(5, 15), "replicates": 3, "noise": 0.5, "estimates": lambda g: 0.6 - 0.1 * g}
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
