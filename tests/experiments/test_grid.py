"""Searches beside a grid: the grid, the values, the ratios, and what a quick run writes."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from experiments import grid
from experiments.classical import searches
from experiments.classical.report import Grid, Search, cited, ratios
from jaxga import Categorical, Integer, LogUniform, SearchSpace
from jaxga.tasks.classical import CrossValidation


def test_a_grid_has_each_setting_once_and_nothing_that_is_inactive():
    space = SearchSpace(
        kernel=Categorical(["linear", "rbf"]), c=LogUniform(1.0, 100.0), n=Integer(2, 3).when(kernel="rbf")
    )
    settings = searches.grid_settings(space, 3)
    c = sorted({round(setting["c"], 3) for setting in settings})
    assert c == [1.0, 10.0, 100.0]
    assert len(settings) == 3 + 3 * 2
    assert all(("n" in setting) == (setting["kernel"] == "rbf") for setting in settings)


def test_an_evaluation_is_the_tasks_own():
    setting = {"n_neighbors": 3, "weights": "distance", "p": 1.5}
    error, seconds = searches.evaluate("knn", "wine", setting)
    assert error == CrossValidation("knn", "wine", None, searches.NUM_FOLDS)(0, setting)
    assert seconds > 0
    assert len(searches.load("digits").targets) == 599


def test_ratios_by_hand():
    whole = Grid("svm", "wine", 100, 50.0, 0.1, {})
    found = [
        Search("svm", "wine", "ga", 0, [0.3, 0.2, 0.1, 0.05], [1.0, 2.0, 2.0, 9.0]),
        Search("svm", "wine", "ga", 1, [0.3, 0.101], [1.0, 1.0]),
    ]
    np.testing.assert_allclose(ratios(whole, found, 0.0), [[100 / 3, 50 / 5], [0, 0]])
    np.testing.assert_allclose(ratios(whole, found, 0.002), [[100 / 3, 50 / 5], [50, 25]])
    assert cited("svm") == 5.25


def test_a_quick_run_writes_all_and_is_not_computed_again(tmp_path, monkeypatch, capsys):
    arguments = ["--quick", "--seeds", "1", "--processes", "1", "--out", str(tmp_path)]
    assert grid.main(arguments) == 0
    page = (tmp_path / "README.md").read_text()
    assert "the figures mean nothing" in page
    with (tmp_path / "searches.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["model"], row["method"]) for row in rows} == {("knn", "ga"), ("knn", "random_search")}
    with (tmp_path / "grids.csv").open() as file:
        best = {row["model"]: float(row["best"]) for row in csv.DictReader(file)}
    assert all((float(row["best"]) <= best[row["model"]] + 1e-6) == bool(row["equal_evaluations"]) for row in rows)
    assert (tmp_path / "ratios.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(searches, "programs", None)
    assert grid.main(arguments) == 0
    assert (tmp_path / "README.md").read_text() == page


def test_as_a_script_it_has_worker_processes(tmp_path):
    command = [sys.executable, grid.__file__, "--quick", "--seeds", "1", "--processes", "2", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"written: {tmp_path / 'README.md'}" in done.stdout


@pytest.mark.parametrize(("arguments", "named"), [(["--seeds", "0"], "--seeds"), (["nonsense"], "nonsense")])
def test_bad_input_is_one_clear_line(arguments, named, capsys):
    assert grid.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error
