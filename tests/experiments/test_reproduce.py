"""The reproduction of the original's figures: what it writes, its statistics, and bad input."""

import csv

import numpy as np
import pytest
from scipy.stats import binomtest

from experiments import reproduce
from experiments.reproduction import samples, searches
from experiments.reproduction.figures import FIGURES
from experiments.reproduction.paired import median, paired
from experiments.reproduction.setups import COMPARED, MODELS, SETUPS, get_setup, method_algorithm
from jaxga.surrogates import SURROGATES


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The folder of a quick run of the cheapest figure."""
    folder = tmp_path_factory.mktemp("reproduction")
    assert reproduce.main(["guess", "--quick", "--processes", "1", "--out", str(folder)]) == 0
    return folder


def test_a_quick_run_writes_the_figure_and_says_that_it_is_quick(quick):
    assert {path.name for path in (quick / "reproduction").iterdir()} == {
        "guess.png", "guess.svg", "guess.csv", "guess.md", "searches",
    }  # fmt: skip
    page = (quick / "reproduction.md").read_text()
    assert "This page is a test of the program" in page
    assert "![Guess the numbers](reproduction/guess.png)" in page
    assert "python experiments/reproduce.py guess --quick" in page
    assert str(quick) not in page


def test_the_csv_has_what_numpy_finds_in_the_searches(quick):
    found = searches.load(quick / "reproduction" / "searches", "guess", "ga", True)
    with (quick / "reproduction" / "guess.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "ga"]
    drawn = [float(row["value"]) for row in rows if row["statistic"] == "median"]
    expected = np.median(np.minimum.accumulate(found.values.min(2), axis=1), axis=0)
    np.testing.assert_allclose(drawn, expected, rtol=1e-5)
    winners = [float(row["value"]) for row in rows if row["statistic"] == "search"]
    np.testing.assert_allclose(winners, found.values.min((1, 2)), rtol=1e-5)  # the task has no noise


def test_what_was_searched_is_not_searched_again(quick, monkeypatch):
    monkeypatch.setattr(searches, "optimize_many", None)
    assert reproduce.main(["guess", "--quick", "--out", str(quick)]) == 0


def test_a_block_that_is_missing_is_made_again_and_alike(quick):
    folder = quick / "reproduction" / "searches"
    before = searches.load(folder, "guess", "random_search", True)
    next(folder.glob("guess-random_search-*.npz")).unlink()
    searches.complete(folder, [("guess", "random_search")], True, 1)
    after = searches.load(folder, "guess", "random_search", True)
    np.testing.assert_array_equal(before.values, after.values)
    assert before.values.shape == (3, 3, 10)
    assert not np.array_equal(before.values[0], before.values[1])  # each search has its own key


def test_only_the_missing_block_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(searches, "_BLOCK_SIZE", 2)
    pair = ("guess", "random_search")
    searches.complete(tmp_path, [pair], True, 1)
    before = searches.load(tmp_path, *pair, True)
    next(tmp_path.glob("*-2-3.npz")).unlink()
    made, optimize_many = [], searches.optimize_many

    def recorded(*args, keys, **rest):
        made.append([*keys])
        return optimize_many(*args, keys=keys, **rest)

    monkeypatch.setattr(searches, "optimize_many", recorded)
    searches.complete(tmp_path, [pair], True, 1)
    assert made == [[2]]
    np.testing.assert_array_equal(before.values, searches.load(tmp_path, *pair, True).values)


def test_the_best_of_a_maximised_objective_is_the_greatest_and_failures_do_not_count():
    values = np.array([[[1.0, np.nan], [3.0, 2.0], [0.0, 0.0]]])
    found = searches.Searches(-1.0, values, {}, np.array([3.0, np.nan]))
    assert found.best.tolist() == [[1.0, 3.0, 3.0]]
    assert found.fresh_losses.tolist() == [-3.0, np.inf]


def test_paired_statistics_are_numpys():
    rng = np.random.default_rng(1)
    first = rng.normal(size=40)
    second = first + 0.7 + rng.normal(size=40)
    second[:4] = first[:4]  # ties
    pair = paired(first, second)
    assert pair.win_rate.mean == np.mean(np.where(second > first, 1.0, np.where(second < first, 0.0, 0.5)))
    assert pair.gain.mean == np.median(second - first)
    # The normal interval of a mean of 40 has the same ends, up to its skewness.
    wins = np.where(second > first, 1.0, np.where(second < first, 0.0, 0.5))
    half = 1.96 * wins.std() / np.sqrt(40)
    assert pair.win_rate.low == pytest.approx(wins.mean() - half, abs=0.03)
    assert pair.win_rate.high == pytest.approx(wins.mean() + half, abs=0.03)
    mirrored = paired(second, first)
    assert mirrored.win_rate.mean == pytest.approx(1 - pair.win_rate.mean)
    assert {pair.verdict, mirrored.verdict} == {"better", "worse"}
    assert paired(first, first).verdict == "no difference shown"


def test_a_medians_interval_is_as_wide_as_the_normal_one_and_a_failed_search_does_not_count():
    values = np.random.default_rng(2).normal(size=400)
    estimate = median(np.append(values, np.nan))
    assert estimate.mean == np.median(values)
    # The standard error of the median of normal numbers is sqrt(pi / 2) times that of their mean.
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * np.sqrt(np.pi / 2) / 20, rel=0.3)
    assert estimate.low < estimate.mean < estimate.high


@pytest.mark.parametrize(("num_wins", "num_losses"), [(5, 0), (6, 0), (3, 3), (14, 30)])
def test_the_sign_test_is_scipys_and_five_wins_do_not_suffice(num_wins, num_losses):
    second = np.array([1.0] * num_wins + [-1.0] * num_losses + [0.0] * 2)  # and two ties
    pair = paired(np.zeros_like(second), second)
    assert pair.p_value == pytest.approx(binomtest(num_wins, num_wins + num_losses).pvalue)
    assert paired(np.zeros(5), np.ones(5)).verdict == "no difference shown"
    assert paired(np.zeros(6), np.ones(6)).verdict == "better"


def test_a_failed_winner_loses_and_two_failed_ones_tie():
    failed = np.inf
    pair = paired(np.array([failed, failed, 1.0, 1.0]), np.array([failed, 1.0, failed, 1.0]))
    assert pair.win_rate.mean == 0.5
    assert pair.gain.mean == 0.0


def test_the_largest_hole_is_the_distance_to_the_farthest_place():
    corner = samples.largest_hole(np.array([[0.0, 0.0]]))
    assert corner == pytest.approx(np.sqrt(2), abs=0.02)
    assert samples.largest_hole(np.array([[0.5, 0.5], [0.1, 0.1]])) == pytest.approx(np.sqrt(0.5), abs=0.02)


@pytest.mark.parametrize("name", SETUPS)
def test_every_method_makes_the_same_number_of_evaluations(name):
    setup = get_setup(name, is_quick=True)
    for method in (*COMPARED, *MODELS):
        assert method_algorithm(method, setup).population_size == setup.population_size
    assert len(MODELS) == len(SURROGATES)


def test_the_sizes_are_the_originals():
    sizes = {n: (s.population_size, s.num_parents, s.num_mutations, s.num_generations) for n, s in SETUPS.items()}
    assert sizes["guess"][:3] == sizes["mnist"][:3] == (10, 4, 1)
    assert sizes["cartpole"] == (8, 4, 1, 10)
    assert sizes["cartpole-50"] == (8, 4, 1, 50)
    assert SETUPS["mnist"].num_evaluations == 100


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["nonsense"], "nonsense"), (["gues"], "did you mean guess"), (["--unknown"], "--unknown"), (["guess"], "a file")],
)
def test_bad_input_is_one_clear_line(arguments, named, capsys, tmp_path):
    out = tmp_path / "a file"
    out.write_text("kept")
    assert reproduce.main([*arguments, "--quick", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error
    assert out.read_text() == "kept"


def test_every_figure_asks_for_setups_that_there_are():
    for figure in FIGURES.values():
        for is_quick in (False, True):
            assert {name for name, _ in figure.wanted(is_quick)} <= set(SETUPS)
