"""The noise of reinforcement learning: what is resampled from a table of returns, what is written, and bad input."""

import csv

import jax
import numpy as np
import pytest

from experiments import variability
from experiments.noise import budget, replicates, resampling, searches, trainings
from experiments.noise.page import write_page
from experiments.noise.resampling import best_of, best_quarter, drawer, estimates, halving, halving_size, judged_again
from experiments.noise.searches import QUICK_SEARCHES, SEARCHES, Winners
from experiments.noise.setups import SETUPS, Setup
from experiments.noise.spread import seed_share
from experiments.noise.trainings import Trainings
from jaxga import Evaluation, Objective, Uniform, as_task

NORMAL = np.random.default_rng(0)


@as_task({"x": Uniform(-1.0, 1.0)}, objective=Objective("height", "max"))
def noisy(key, setting):
    value = setting["x"] + jax.random.normal(key)
    return Evaluation(value, {"curve": value * jax.numpy.ones(20)})


NOISY = QUICK_SEARCHES["cartpole"]
SMALL = Setup("noisy", "Noisy", lambda: noisy, "a noisy function", num_settings=128, num_seeds=8, block_size=64)


def table(means, num_seeds=16, std=1.0):
    """Returns of settings with these means, with normal noise of ``std``."""
    values = np.asarray(means)[:, None] + std * NORMAL.normal(size=(len(means), num_seeds))
    return Trainings(np.zeros((len(means), 1)), values, np.repeat(values[..., None], 20, axis=-1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A page of few and small trainings and searches."""
    folder = tmp_path_factory.mktemp("variability")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "_NUM_HALVES", 3)
        patch.setattr(resampling, "_NUM_SEARCHES", 40)
        patch.setattr(resampling, "_NUM_SEARCHES_OF_HALF", 20)
        trainings.complete(folder / "variability" / "trainings", SMALL)
        searches.complete(folder / "variability" / "searches", NOISY)
        write_page(folder, [SMALL], [NOISY], True)
    return folder


def test_the_page_has_every_figure_and_says_that_it_is_quick(folder):
    page = (folder / "variability.md").read_text()
    assert "This page is a test of the program" in page
    for name in ("spread", "ranking", "curse", "budget", "replicates"):
        assert f"](variability/{name}.png)" in page
        assert {path.suffix for path in (folder / "variability").glob(f"{name}.*")} == {".png", ".svg", ".csv"}
    assert str(folder) not in page


def test_the_table_has_each_setting_and_its_returns(folder):
    made = trainings.load(folder / "variability" / "trainings", SMALL)
    assert made.values.shape == (128, 8)
    noise = made.values - (2 * made.genomes - 1)
    assert min(noise.std(0).min(), noise.std(1).min()) > 0.2  # no two trainings share a seed
    with (folder / "variability" / "returns-noisy.csv").open() as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["x"]) for row in rows], 2 * made.genomes[:, 0] - 1, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose([float(row["return 7"]) for row in rows], made.values[:, 7], rtol=1e-5)


def test_what_was_trained_is_not_trained_again_and_a_missing_block_is_made_alike(folder, monkeypatch):
    out = folder / "variability" / "trainings"
    before = trainings.load(out, SMALL)
    next(out.glob("*-64-128.npz")).unlink()
    trainings.complete(out, SMALL)
    np.testing.assert_array_equal(before.values, trainings.load(out, SMALL).values)
    monkeypatch.setattr(trainings, "train_members", None)
    trainings.complete(out, SMALL)


def test_a_failed_training_counts_as_the_worst():
    assert trainings._filled(np.array([1.0, np.nan, -3.0])).tolist() == [1.0, -3.0, -3.0]


def test_equal_settings_show_the_expected_maximum_and_are_worth_nothing():
    found = best_of(drawer(table(np.zeros(2000), std=1.0), 4000, np.random.default_rng(1))(8), 1)
    # The mean of the greatest of 8 standard normal numbers is 1.4236; the standard error here is 0.01 to 0.02.
    assert found.shown.mean() == pytest.approx(1.4236, abs=0.06)
    assert found.true.mean() == pytest.approx(0.0, abs=0.04)
    by_four = best_of(drawer(table(np.zeros(2000), std=1.0), 4000, np.random.default_rng(1))(8), 4)
    assert by_four.shown.mean() == pytest.approx(1.4236 / 2, abs=0.04)


def test_no_setting_and_no_seed_is_drawn_twice():
    values = np.arange(10.0)[:, None] * 100 + np.arange(8)[None]
    draw = drawer(
        Trainings(np.zeros((10, 1)), values, np.repeat(values[..., None], 20, -1)), 50, np.random.default_rng(0)
    )
    drawn = draw(10)
    assert all(len(set(row)) == 10 for row in (drawn.truth // 100).tolist())
    np.testing.assert_allclose(
        drawn.judged.sum(-1) + 4 * drawn.truth, (values.sum(1))[(drawn.truth // 100).astype(int)]
    )
    np.testing.assert_array_equal(drawn.curves[..., 0], drawn.judged[..., 0])


def test_without_noise_every_way_finds_the_best():
    drawn = drawer(table(np.arange(64.0), std=0.0), 20, np.random.default_rng(0))(64)
    for found in (best_of(drawn, 1), judged_again(drawn, 4, 4), halving(drawn)):
        assert found.true.tolist() == found.shown.tolist() == [63.0] * 20


def test_halving_spends_the_steps_of_its_budget():
    # By hand: a tenth of the steps for all, then a quarter for a third, the other 65 % for a ninth.
    assert halving_size(16) == int(16 / (0.1 + 0.25 / 3 + 0.65 / 9))
    early = table(np.zeros(9), std=0.0)
    early.curves[..., 1] = np.arange(9)[:, None]  # read at 10 % of the steps alone
    early.values[:] = -np.arange(9.0)[:, None]
    # Six, seven and eight go on; at 35 % all are equal, so that the best one at 10 % stays first.
    assert set(halving(drawer(early, 50, np.random.default_rng(0))(9)).true) == {-8.0}


def test_the_best_quarter_is_judged_by_seeds_that_are_not_used_again():
    made = table(np.zeros(400))
    good = best_quarter(made)
    assert good.values.shape == (100, 12)
    assert abs(good.values.mean()) < 4 / np.sqrt(1200)  # equal settings: their other seeds know nothing of the choice
    assert {row[0] for row in good.values.tolist()} <= set(made.values[:, 4].tolist())


def test_the_seeds_share_of_the_variance_is_the_known_one():
    means = 2.0 * NORMAL.normal(size=4000)
    assert seed_share(table(means, num_seeds=4).values) == pytest.approx(0.2, abs=0.02)
    assert seed_share(table(np.zeros(500)).values) == pytest.approx(1.0, abs=0.05)


def test_the_interval_of_a_mean_is_as_wide_as_the_normal_one():
    made = table(NORMAL.normal(size=400), num_seeds=2, std=0.0)
    (mean,) = estimates(made, lambda t, *_: [t.values.mean()])
    half = 1.96 * made.values[:, 0].std() / 20
    assert mean.mean == pytest.approx(made.values.mean())
    assert mean.high - mean.low == pytest.approx(2 * half, rel=0.25)


def test_more_seeds_rank_two_settings_better():
    made = table(NORMAL.normal(size=200), std=1.0)
    by_one, by_six = (resampling.pairs_ranked(made, k, 4000, np.random.default_rng(0)) for k in (1, 6))
    # Of two normal settings one seed ranks right with 1/2 + asin(correlation) / pi, were the truth without noise.
    truth = np.sqrt(1 / (1 + 1 / 8))
    assert by_one == pytest.approx(0.5 + np.arcsin(np.sqrt(0.5) * truth) / np.pi, abs=0.05)
    assert by_six == pytest.approx(0.5 + np.arcsin(np.sqrt(6 / 7) * truth) / np.pi, abs=0.05)


def test_the_claim_about_repetitions_is_judged_by_the_paired_searches():
    one = NORMAL.normal(size=40)
    found = {1: one, 2: one + 0.5, 4: one - 0.5}
    section = replicates.draw({NOISY: {num: Winners(true + 1.0, true) for num, true in found.items()}})
    text = "\n".join(section.found)
    assert "that repetitions do not help does not hold: 2 replicates are better" in text
    assert "2 replicates: **better**, 100 % [100, 100] of the pairs won; 4 replicates: **worse**, 0 % [0, 0]" in text
    assert [row["true"] for row in section.rows if row["replicates"] == 2] == found[2].tolist()
    unhelped = replicates.draw({NOISY: {num: Winners(one, one) for num in found}})
    assert "that repetitions do not help is not refuted" in "\n".join(unhelped.found)


def test_the_claim_about_random_search_names_the_budgets_at_which_seeds_help():
    verdicts = {
        ("CartPole", 16, "2 seeds each"): "worse",
        ("CartPole", 64, "2 seeds each"): "better",
        ("Pendulum", 64, "2 seeds each"): "no difference shown",
        ("Pendulum", 16, "halving"): "better",
    }
    repetitions, pruning = budget._claims(verdicts)
    assert repetitions.startswith("That repetitions do not help does not hold on CartPole (64 trainings): some")
    assert repetitions.endswith("On Pendulum none is.")
    assert "worse nowhere" in pruning


def test_searches_of_other_sizes_are_not_taken_for_those_that_were_made(tmp_path):
    setup = SEARCHES["cartpole"]
    names = {
        path.name
        for changed in (setup, setup._replace(num_trainings=192), setup._replace(details="another task"))
        for num_replicates in searches.REPLICATES
        for _, path in searches._blocks(tmp_path, changed, num_replicates)
    }
    assert len(names) == 3 * 3 * len(searches._blocks(tmp_path, setup, 1))
    assert all(setup.num_trainings % (8 * num) == 0 for setup in SEARCHES.values() for num in searches.REPLICATES)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["nonsense"], "nonsense"), (["pendlum"], "did you mean pendulum"), (["--unknown"], "--unknown")],
)
def test_bad_input_is_one_clear_line(arguments, named, capsys, tmp_path):
    assert variability.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error
    assert not (tmp_path / "out").exists()


def test_the_blocks_of_a_setup_are_of_one_size():
    for setup in SETUPS.values():
        assert setup.num_settings % setup.block_size == setup.num_seeds % 4 == 0
