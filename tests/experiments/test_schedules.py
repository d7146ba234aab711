"""The comparison of schedules: its figures, its record, and what it refuses."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import compare
from experiments.comparison import schedules
from experiments.comparison.curves import Curves


def test_a_record_has_every_method_at_equal_lane_parts(tmp_path, monkeypatch, capsys):
    given = schedules.METHODS
    methods = {"whole": given["random, whole"], "random, halving": given["random, halving"]}
    monkeypatch.setattr(schedules, "METHODS", {**methods, "hyperband": ("hyperband", "ga")})
    options = ["--schedules", "--problems", "curves", "--budgets", "12x3", "--seeds", "4"]
    assert compare.main([*options, "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    (row,) = json.loads((tmp_path / "schedules.json").read_text())["rows"]
    assert (row["task"], row["lanes"], row["trainings"]) == ("curves", 12, [12, 24, 36])
    assert {name: np.shape(losses) for name, losses in row["losses"].items()} == {
        "whole": (4, 3),
        "random, halving": (4, 3),
    }
    assert "lanes" in row["refused"]["hyperband"]
    assert np.median(np.array(row["losses"]["whole"])[:, 2]) < np.median(np.array(row["losses"]["whole"])[:, 0])
    text = (tmp_path / "schedules.md").read_text()
    assert "## curves, 12 lanes, 36 trainings' worth" in text
    assert (tmp_path / "schedules.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--schedules --methods ga", "--methods does not apply to --schedules"),
        ("--schedules --problems nothing", "problems must be one of curves, crossing_curves"),
        ("--schedules --budgets 16", "budgets must be like 8x10"),
    ],
)
def test_what_does_not_fit_is_one_line(words, error, tmp_path, capsys):
    assert compare.main([*words.split(), "--out", str(tmp_path / "out")]) == 2
    assert error in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_share_needed_is_the_first_that_reaches_the_end_of_whole():
    whole = np.array([[4.0, 3.0, 2.0, 1.0]] * 3)
    assert schedules.share_needed(whole, whole) == 1.0
    assert schedules.share_needed(np.array([[2.0, 1.0, 0.5, 0.5]] * 3), whole) == 0.5
    assert schedules.share_needed(whole + 1, whole) == np.inf


def test_the_interval_of_a_difference_holds_it():
    rng = np.random.default_rng(0)
    shift, low, high = schedules.difference(rng.normal(1.0, 0.1, 50), rng.normal(0.0, 0.1, 50))
    assert low < shift < high
    assert low < 1.0 < high
    assert 0 < high - low < 0.2


@pytest.mark.parametrize(("crossing", "most"), [(0.0, 1.0), (1.0, 0.75)])
def test_curves_cross_as_they_are_said_to(crossing, most):
    task = Curves(jnp.float32(crossing))
    genomes = jax.random.uniform(jax.random.key(0), (256, task.space.size))

    def scores(genome):
        key, setting = jax.random.key(1), task.space.decode(genome)
        carry = task.begun(key, setting)
        early = task.advanced(key, carry, setting, jnp.int32(0))
        return task.scored(key, early, setting).value, task.evaluate(key, setting).value

    early, end = (np.asarray(x) for x in jax.vmap(scores)(genomes))
    best = np.argsort(end)[:64]
    ranks = [np.argsort(np.argsort(x[best])) for x in (early, end)]
    correlation = np.corrcoef(ranks)[0, 1]
    assert correlation < most
    assert (correlation > 0.5) == (crossing == 0.0)
