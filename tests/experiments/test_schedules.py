"""The comparison of schedules: its figures, its record, and what it refuses."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import compare
from experiments.comparison import schedules
from experiments.comparison.curves import Curves
from experiments.comparison.schedules import Method
from experiments.comparison.stoppers import STOPPERS, Stopper, recommended
from experiments.comparison.telling import finished_alone, judged_by_score
from jaxga import SearchSpace, Uniform, random_search
from jaxga.base import Best, Measured


def test_a_record_has_every_method_at_equal_lane_parts(tmp_path, monkeypatch, capsys):
    given = schedules.METHODS
    halving = "random_search:successive_halving"
    methods = {"whole": given["random_search:whole"], halving: given[halving]}
    monkeypatch.setattr(
        schedules,
        "METHODS",
        {**methods, "hyperband": Method("hyperband", "ga"), "pipelined": Method("pipelined", "ga")},
    )
    peers = {"optuna_tpe:median": STOPPERS["optuna_tpe:median"], "dehb": Stopper("not_there", print)}
    monkeypatch.setattr(schedules, "STOPPERS", peers)
    named = f"{halving},hyperband,optuna_tpe:median,dehb"
    options = ["--schedules", "--methods", named, "--problems", "curves", "--budgets", "12x3", "--seeds", "4"]
    assert compare.main([*options, "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    (row,) = json.loads((tmp_path / "schedules.json").read_text())["rows"]
    assert (row["task"], row["lanes"], row["trainings"]) == ("curves", 12, [12, 24, 36])
    assert {name: np.shape(losses) for name, losses in row["losses"].items()} == {
        "whole": (4, 3),
        halving: (4, 3),
        "optuna_tpe:median": (4, 3),
    }
    assert "lanes" in row["refused"]["hyperband"]
    assert row["refused"]["dehb"] == "not_there is not installed"
    assert np.median(np.array(row["losses"]["whole"])[:, 2]) < np.median(np.array(row["losses"]["whole"])[:, 0])
    assert {name: min(seconds) > 0 for name, seconds in row["seconds"].items()} == {
        "whole": True,
        halving: True,
        "optuna_tpe:median": False,  # what it compiles is a part of its first search
    }
    text = (tmp_path / "schedules.md").read_text()
    assert "## curves, 12 lanes, 36 trainings' worth" in text
    assert (tmp_path / "schedules.png").stat().st_size > 10_000


def test_a_peer_trains_as_many_parts_as_it_is_given_and_recommends_the_best_whole_training():
    task, trained = Curves(jnp.float32(0.0)), []

    def search(trainings, seed):
        for floor in (0.9, 0.3, 0.5, 0.7):
            setting = {"rate": 0.3, **{f"x{i}": floor for i in range(5)}}
            for part, loss in enumerate(trainings.parts(setting), 1):
                trained.append((floor, part, loss))
                if floor == 0.5 and part == 3:  # it stops the best one
                    break

    marks = [4, 12, 22]
    genomes = recommended(Stopper("numpy", search), task, jax.random.key(0), 0, marks)
    assert [part for _, part, _ in trained] == [*range(1, 9), *range(1, 9), 1, 2, 3, 1, 2, 3]
    found = [task.space.setting(genome)["x0"] for genome in genomes]
    assert found == pytest.approx([0.9, 0.9, 0.3])
    ends = {floor: loss for floor, part, loss in trained if part == 8}
    assert ends[0.3] < ends[0.9]
    setting = {"rate": 0.3, **{f"x{i}": jnp.float32(0.3) for i in range(5)}}
    whole = task.evaluate(jax.random.fold_in(jax.random.key(0), 1), setting).value
    assert ends[0.3] == pytest.approx(float(whole), rel=1e-5)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--schedules --methods ga", "methods must be one of whole, successive_halving"),
        ("--schedules --surrogates", "--surrogates does not apply to --schedules"),
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


@pytest.mark.parametrize(
    ("seconds", "columns"),
    [((2.0, 8.0), 4), ((0.0, 10.0), 4), ((2.0, 16.0), 2), ((6.0, 16.0), 1), ((9.0, 16.0), 0), ((20.0, 1.0), 0)],
)
def test_the_columns_done_in_the_time_of_whole_count_the_compilation(seconds, columns):
    assert schedules.in_the_time_of(seconds, (2.0, 8.0), 4) == columns


def _numbers_told():
    """An algorithm whose state is the numbers that it was told last."""

    def revise(key, state, measured):
        return measured.number, Best(measured.genomes[0], measured.loss[0]), jnp.zeros_like(measured.loss)

    made = random_search(SearchSpace(x=Uniform(0.0, 1.0), y=Uniform(0.0, 1.0)), population_size=4)
    return made._replace(revise=revise)


@pytest.mark.parametrize(("telling", "numbers"), [(judged_by_score, [5, 5, -1, 6]), (finished_alone, [-1, 5, -1, 6])])
def test_what_a_search_is_told_in_place_of_what_it_is(telling, numbers):
    measured = Measured(
        genomes=jnp.zeros((4, 2)),
        number=jnp.array([5, 5, -1, 6]),
        share=jnp.array([0.25, 1.0, 0.25, 1.0]),
        loss=jnp.array([1.0, 2.0, 3.0, 4.0]),
        loss_var=jnp.zeros(4),
    )
    revise = telling(_numbers_told()).revise
    assert revise is not None
    told, _, forecast = revise(jax.random.key(0), jnp.zeros(4, jnp.int32), measured)
    assert told.tolist() == numbers
    assert forecast.tolist() == measured.loss.tolist()


def test_each_part_of_halving_can_be_changed_in_turn(tmp_path, monkeypatch):
    run = []

    def measured(folder, *given):
        (folder / "schedules.md").write_text("")
        run.extend(given[-1])

    monkeypatch.setattr(compare, "compare_schedules", measured)
    assert compare.main(["--schedules", "--methods", "pipelined", "--ablation", "--out", str(tmp_path)]) == 0
    assert run == ["pipelined", *schedules.HALVINGS]


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
