"""What the members of a run show in numbers."""

import numpy as np
import pytest

from jaxga import Categorical, Objective, SearchSpace, Uniform
from jaxga.base import Species
from jaxga.report import findings, importance, ranking
from jaxga.runs.history import History
from tests.report.example_runs import ALL_KINDS, mixed, read, says, write_run

# --- the invasion ---


@pytest.mark.parametrize(
    ("good", "verdict"),
    [
        (2, "there are too few to say whether the invasion helps here"),
        (6, "there are too few to say whether the invasion helps here"),
        (14, "the invasion helps here"),
        (0, "the invasion does not help here"),
    ],
)
def test_a_verdict_on_the_invasion_needs_its_interval(tmp_path, good, verdict):
    """Of the best 14 members ``good`` are invaders; each generation has 4 and 10 children."""

    def value(rng, g, genomes):
        invaders, children = 4 * (g - 1) + np.arange(4), 10 * (g - 1) + np.arange(10)
        is_best = np.append(invaders < good, children < 14 - good) & (g > 0)
        return np.where(is_best, 0.1, 5.0) + 0.01 * np.arange(14)

    text = says(write_run(tmp_path, pop=14, generations=5, value=value, species=mixed(4, 10)))
    assert f"Of the 14 children and invaders among the best 14, {100 * good / 14:.0f} % [" in text
    assert f"equally good, 29 % would be expected: {verdict}." in text


def test_wilson_is_the_textbooks():
    np.testing.assert_allclose(findings.wilson(2, 14), (2 / 14, 0.04009, 0.39942), atol=1e-4)
    assert findings.wilson(0, 0)[1:] == (0.0, 1.0)


def test_invaders_of_early_generations_are_not_to_blame_for_being_early(tmp_path):
    """Many invaders at first and few later, each as good as the children beside it."""
    species = lambda g: [Species.INVADER] * (30 if g == 1 else 10) + [Species.CHILD] * (10 if g == 1 else 30)  # noqa: E731
    value = lambda rng, g, genomes: rng.random(40) - g  # noqa: E731
    found = findings.invasion(read(write_run(tmp_path, pop=40, generations=6, value=value, species=species))[1])
    assert found.expected == pytest.approx(0.25)
    assert found.share.low < 0.25 < found.share.high


def test_failed_members_are_not_among_the_best(tmp_path):
    value = lambda rng, g, genomes: np.where(np.arange(8) < 6, np.nan, genomes[:, 0])  # noqa: E731
    _, history = read(write_run(tmp_path, value=value))
    assert [len(rows) for rows in findings.best_members(history)] == [2, 4, 6, 8]


# --- noise ---


@pytest.mark.parametrize(
    ("options", "is_noisy"),
    [
        ({}, False),
        ({"value": lambda rng, g, x: x[:, 0]}, False),
        ({"value": lambda rng, g, x: x[:, 0] * (1 + 1e-6 * g)}, False),  # rounding
        ({"value": lambda rng, g, x: x[:, 0] + 0.1 * (g == 2)}, True),
        ({"value": lambda rng, g, x: np.where(g == 1, np.nan, x[:, 0])}, False),
        ({"value": lambda rng, g, x: x[:, 0], "replicates": 2, "noise": 0.1}, True),
        ({"value": lambda rng, g, x: x[:, 0], "replicates": 2}, False),
    ],
)
def test_noise_is_one_setting_with_two_values(tmp_path, options, is_noisy):
    """Each generation has the same members, unless it is the first case: there no setting repeats."""
    space = {"x": Uniform(0.5, 1.0), "kind": Categorical(("a", "b")), "y": Uniform(0.0, 1.0).when(kind="b")}
    again = np.asarray(SearchSpace(space).snap(np.random.default_rng(0).random((8, 3), np.float32)))
    bred = (lambda g, genomes: again) if options else None
    # The estimate is better than any evaluation, as after a warm start: that alone is no noise.
    _, history = read(write_run(tmp_path, space, bred=bred, estimates=lambda g: 0.0, **options))
    assert findings.has_estimates(history)
    assert findings.is_noisy(history) == is_noisy


@pytest.mark.parametrize(
    ("share", "species", "is_noisy"),
    [([1.0, 1.0], "child", True), ([0.5, 1.0], "child", False), ([1.0, 1.0], "heir", False)],
)
def test_under_a_schedule_scores_after_the_same_share_are_compared(share, species, is_noisy):
    history = History(SearchSpace(x=Uniform(0.0, 1.0)), Objective("loss"), 1)
    columns = {"x": np.float32([0.5, 0.5]), "value": np.float32([1.0, 2.0]), "spread": np.zeros(2, np.float32)}
    columns |= {"species": np.array([species] * 2), "trained": np.float32(share), "member": np.arange(2)}
    history.extend(columns, {})
    assert findings.is_noisy(history) == is_noisy


# --- the surrogate ---


@pytest.mark.parametrize(
    ("predicted", "verdict"),
    [
        (lambda rng, g, v: v, "distinguishes the better members of a generation from the worse well"),
        (lambda rng, g, v: -v, "ranks the worse members of a generation above the better"),
        (lambda rng, g, v: rng.random(len(v)), "no ability to distinguish the better members"),
        (lambda rng, g, v: np.ones(len(v)), "too few to say"),
        (
            lambda rng, g, v: np.where(np.arange(len(v)) < 3, v, np.nan),
            "3 members of 1 generation have predictions: too",
        ),
    ],
)
def test_the_surrogate_gets_its_verdict(tmp_path, predicted, verdict):
    num = 2 if "3 members" in verdict else 6
    path = write_run(tmp_path, pop=12, generations=num, predicted=predicted)
    assert verdict in says(path)


def test_a_trend_over_the_generations_is_not_taken_for_a_good_order(tmp_path):
    value = lambda rng, g, x: rng.random(30) - 5 * g  # noqa: E731
    path = write_run(tmp_path, pop=30, generations=8, value=value, predicted=lambda rng, g, v: rng.random(30) - 5 * g)
    found = ranking.ranking(read(path)[1])
    assert found.overall > 0.95
    assert found.pooled.low < 0 < found.pooled.high
    assert "no ability to distinguish" in says(path)


def test_generations_that_contradict_each_other_make_the_interval_wide(tmp_path):
    path = write_run(tmp_path, pop=40, generations=7, predicted=lambda rng, g, v: -v if g % 3 == 0 else v)
    found = ranking.ranking(read(path)[1])
    assert found.correlations.tolist() == pytest.approx([1, 1, -1, 1, 1, -1])
    assert found.pooled.estimate == pytest.approx(1 / 3)
    assert found.pooled.low < 0
    assert "from -1.00 to 1.00 in single generations): no ability to distinguish" in says(path)


def test_the_interval_of_one_generation_is_bonett_and_wrights(tmp_path):
    found = ranking.ranking(read(write_run(tmp_path, pop=30, generations=2, predicted=lambda rng, g, v: v**2))[1])
    assert found.pooled.estimate == pytest.approx(1, abs=1e-5)
    half = 1.959964 * np.sqrt(1.5 / 27)
    assert found.pooled.low == pytest.approx(np.tanh(np.arctanh(0.999999) - half))


def test_rank_correlation_is_scipys_with_ties():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 6, 15), rng.integers(0, 6, 15)
        assert ranking.rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0, 3.0])
def test_the_most_that_noise_allows(tmp_path, noise):
    """Truth of variance 1, four replicates: what predicts the truth itself reaches about what the report says."""
    truths = {}

    def value(rng, g, genomes):
        truths[g] = rng.normal(size=200)
        return truths[g] + noise / 2 * rng.normal(size=200)

    options = {"pop": 200, "generations": 6, "value": value, "replicates": 4, "noise": noise}
    found = ranking.ranking(read(write_run(tmp_path, **options, predicted=lambda rng, g, v: truths[g]))[1])
    assert found.ceiling == pytest.approx(found.pooled.estimate, abs=0.05)
    expected = "too little for noise to explain the rest" if noise == 0 else f"would have about {found.ceiling:.2f}"
    assert expected in says(tmp_path)


def test_noise_that_was_not_measured_is_not_guessed(tmp_path):
    path = write_run(tmp_path, pop=12, predicted=lambda rng, g, v: v)
    assert "Each member was trained once, so the effect of noise on this was not measured." in says(path)


# --- the hyperparameters ---


def test_importances_need_members_and_more_than_chance(tmp_path):
    value = lambda rng, g, x: (x[:, 0] - 0.3) ** 2 + 1e-9 * rng.random(len(x))  # noqa: E731
    few = write_run(tmp_path / "few", pop=7, generations=7, value=value)
    assert "49 members have a value: too few to say (50 are needed)" in says(few)
    path = write_run(tmp_path / "enough", pop=50, generations=4, value=value)
    _, history = read(path)
    found = importance.importances(history, importance.sample(history))
    assert found.shares["x"] > 5 * found.by_chance["x"]
    assert found.shares["rate"] < found.by_chance["rate"]
    assert sum(found.shares.values()) == pytest.approx(1)
    assert "random tenths do: x exceeds chance" in says(path)


def test_chance_is_chance(tmp_path):
    """Where the value is noise, a hyperparameter stands out in 5 of 100 runs."""
    space = {f"g{i}": dimension for i, dimension in enumerate([*ALL_KINDS.values()] * 4)}
    _, history = read(write_run(tmp_path, space=space, pop=30, value=lambda rng, g, x: rng.random(30)))
    found = importance.importances(history, importance.sample(history))
    assert sum(found.shares[name] > found.by_chance[name] for name in space) <= 5  # of 24; 1.2 expected, P(> 5) < 0.1 %


def test_values_that_are_equal_have_no_best_tenth(tmp_path):
    path = write_run(tmp_path, pop=20, value=lambda rng, g, x: np.full(20, 7.0))
    assert "their values or their hyperparameters are too equal" in says(path)


def test_a_best_tenth_that_does_not_differ_has_no_importances(tmp_path):
    space = {"a": Categorical(("x", "y")), "b": Categorical(("x", "y"))}
    bred = lambda g, genomes: np.full((20, 2), 0.25, np.float32)  # noqa: E731
    path = write_run(tmp_path, space=space, pop=20, value=lambda rng, g, x: rng.random(20), bred=bred)
    _, history = read(path)
    assert importance.importances(history, importance.sample(history)) is None
    assert "their values or their hyperparameters are too equal" in says(path)


def test_of_many_members_the_drawn_are_told(tmp_path):
    path = write_run(tmp_path, pop=300, generations=5, value=lambda rng, g, x: rng.random(300))
    assert "Shown are 1,000: the best 500, and a random sample of the others." in says(path)
