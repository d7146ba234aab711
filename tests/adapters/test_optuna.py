"""jaxga as a sampler of Optuna."""

import math
import threading
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga import Categorical, Integer, LogUniform, SearchSpace, ga, invasive_ga, random_search

optuna = pytest.importorskip("optuna")
from jaxga.adapters.optuna import JaxgaSampler, _axis, distributions  # noqa: E402

kinds = optuna.distributions
optuna.logging.set_verbosity(optuna.logging.ERROR)
P = 4
RANGES = {
    "x": kinds.FloatDistribution(-1.0, 2.0),
    "lr": kinds.FloatDistribution(1e-5, 1.0, log=True),
    "q": kinds.FloatDistribution(0.0, 1.0, step=0.25),
    "n": kinds.IntDistribution(-3, 9, step=3),
    "m": kinds.IntDistribution(1, 64, log=True),
    "c": kinds.CategoricalDistribution(["a", None, 1, 2.5]),
    "fixed": kinds.IntDistribution(7, 7),
}


def suggest(trial):
    return {
        "x": trial.suggest_float("x", -1.0, 2.0),
        "lr": trial.suggest_float("lr", 1e-5, 1.0, log=True),
        "q": trial.suggest_float("q", 0.0, 1.0, step=0.25),
        "n": trial.suggest_int("n", -3, 9, step=3),
        "m": trial.suggest_int("m", 1, 64, log=True),
        "c": trial.suggest_categorical("c", ["a", None, 1, 2.5]),
        "fixed": trial.suggest_int("fixed", 7, 7),
    }


def value_of(s):
    return (s["x"] - 1) ** 2 + (math.log10(s["lr"]) + 2) ** 2 + abs(s["q"] - 0.5) + abs(s["n"] - 3) + (s["c"] != "a")


def make(direction="minimize", storage=None, **options):
    options = {"population_size": P, "seed": 0, "search_space": RANGES, "algorithm": ga} | options
    sampler = JaxgaSampler(**options)
    return optuna.create_study(
        study_name="s", direction=direction, sampler=sampler, storage=storage, load_if_exists=True
    )


def params(study):
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_one_by_one_and_in_batches_it_is_the_same_search(direction):
    sign = 1 if direction == "minimize" else -1
    one = make(direction)
    one.optimize(lambda trial: sign * value_of(suggest(trial)), n_trials=12 * P)
    batched = make(direction)
    for _ in range(12):
        trials = [batched.ask(RANGES) for _ in range(P)]
        for trial in reversed(trials):
            batched.tell(trial, sign * value_of(trial.params))
    assert params(one) == params(batched)
    least = [sign * trial.value for trial in one.trials]
    assert min(least[P:]) < min(least[:P])


def test_it_is_the_algorithm_itself():
    """The trials are the genomes that the algorithm gives for these keys and losses."""
    space = SearchSpace(lr=LogUniform(1e-5, 1.0), n=Integer(0, 9), c=Categorical(["u", "v", "w"]))
    study = make(search_space=space)
    algorithm = ga(space, population_size=P)
    numbers = iter(range(1, 100))
    key = lambda: jax.random.fold_in(jax.random.key(0), next(numbers))  # noqa: E731
    state = algorithm.init(key())
    for _ in range(3):
        offspring, state = algorithm.ask(key(), state)
        genomes = offspring.genomes
        trials = [study.ask(distributions(space)) for _ in range(P)]
        for trial, setting in zip(trials, space.settings(genomes), strict=True):
            assert trial.params["lr"] == pytest.approx(setting["lr"], rel=1e-5)
            assert (trial.params["n"], trial.params["c"]) == (setting["n"], setting["c"])
        losses = [math.log10(trial.params["lr"]) ** 2 + trial.params["n"] for trial in trials]
        for trial, loss in zip(trials, losses, strict=True):
            study.tell(trial, loss)
        state, _ = algorithm.tell(key(), state, genomes, jnp.array(losses), jnp.zeros(P))


@pytest.mark.parametrize(
    "distribution",
    [
        *[d for name, d in RANGES.items() if name != "fixed"],
        kinds.FloatDistribution(1e300, 2e300),
        kinds.FloatDistribution(1e6, 1e6 + 1e-3),
        kinds.FloatDistribution(1e-200, 1e200, log=True),
        kinds.FloatDistribution(0.0, 0.9, step=0.1),
        kinds.IntDistribution(-(10**12), 10**12),
        kinds.IntDistribution(1, 10**9, log=True),
        kinds.CategoricalDistribution([0.5, "a"]),
    ],
    ids=str,
)
def test_every_distribution_there_and_back(distribution):
    axis = _axis(distribution)
    space = SearchSpace(v=axis.dimension)
    drawn = np.linspace(0.0, 1.0, 41, dtype=np.float32)[:, None]
    values = [axis.to_value(setting["v"]) for setting in space.settings(drawn)]
    assert all(distribution._contains(distribution.to_internal_repr(value)) for value in values)
    assert len({repr(value) for value in values}) > 1
    if not isinstance(distribution, kinds.CategoricalDistribution):
        assert values == sorted(values)
        assert values[0] == pytest.approx(distribution.low)
        assert values[-1] == pytest.approx(distribution.high)
        assert {type(value) for value in values} == {type(distribution.low)}
    genomes = np.array([space.encode({"v": axis.from_value(value)}) for value in values])
    back = [axis.to_value(setting["v"]) for setting in space.settings(genomes)]
    assert [repr(v) for v in back] == [repr(v) for v in values] or back == pytest.approx(values, rel=1e-5)


def spy(told):
    """Random search that notes the losses that it is told."""

    def make_algorithm(space, *, population_size):
        inner = random_search(space, population_size=population_size)

        def tell(key, state, genomes, loss, loss_var):
            told.extend(loss.tolist())
            return inner.tell(key, state, genomes, loss, loss_var)

        return inner._replace(tell=tell)

    return make_algorithm


def test_failed_and_pruned_trials():
    told = []
    study = make("maximize", algorithm=spy(told))

    def objective(trial):
        suggest(trial)
        if trial.number == 1:
            raise ZeroDivisionError
        if trial.number == 2:
            return math.nan
        if trial.number >= 3:
            if trial.number == 3:
                trial.report(0.25, 1)
            raise optuna.TrialPruned
        return 5.0

    study.optimize(objective, n_trials=2 * P + 1, catch=ZeroDivisionError)
    assert told == [-5.0, math.inf, math.inf, -0.25, *[math.inf] * P]


def test_losses_are_told_in_the_order_of_the_members():
    told = []
    study = make(algorithm=spy(told))
    trials = [study.ask(RANGES) for _ in range(P)]
    for trial in reversed(trials):
        study.tell(trial, float(trial.number))
    study.ask(RANGES)
    assert told == [0.0, 1.0, 2.0, 3.0]


def test_a_space_that_shows_itself():
    """Parameters that all trials have are searched together, the others independently, whatever comes when."""
    study = make(search_space=None, algorithm=invasive_ga)
    relative = []

    def objective(trial):
        relative.append(sorted(trial.relative_params))
        setting = suggest(trial)
        if trial.number == 0:
            trial.suggest_float("more", 0.0, 1.0)
        return value_of(setting)

    study.optimize(objective, n_trials=4 * P)
    assert relative[0] == []
    assert "more" in relative[1]
    assert relative[-1] == sorted(set(RANGES) - {"fixed"})
    assert min(t.value for t in study.trials[P:]) < min(t.value for t in study.trials[:P])


def test_a_study_that_goes_on_is_learned_from(tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    make(storage=storage).optimize(lambda trial: value_of(suggest(trial)), n_trials=6 * P)
    again = make(storage=storage)
    best = min(trial.value for trial in again.trials)
    again.ask(RANGES)
    state = again.sampler._search._state
    assert int(state.generation) == 6
    assert float(state.best.loss) == pytest.approx(best)


def test_a_setting_that_was_enqueued_is_learned_as_it_is():
    study = make(algorithm=partial(invasive_ga, num_invaders=0))  # its archive keeps every trial
    study.enqueue_trial({"x": 1.0, "lr": 1e-2, "q": 0.5, "n": 3, "m": 8, "c": "a"})
    study.optimize(lambda trial: value_of(suggest(trial)), n_trials=P + 1)
    archive = study.sampler._search._state.archive
    row = int(jnp.argmin(archive.loss))
    assert float(archive.loss[row]) == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(archive.genomes[row][0], 2 / 3, atol=1e-6)
    study.enqueue_trial({"x": -1.0})  # the rest is the sampler's
    study.optimize(lambda trial: value_of(suggest(trial)), n_trials=P)
    study.ask(RANGES)
    genomes, losses, *_ = study.sampler._search._state.archive
    rows = {round(float(g[0]), 5): float(v) for g, v in zip(genomes, losses, strict=True) if np.isfinite(v)}
    assert rows[0.0] == pytest.approx(study.trials[P + 1].value, rel=1e-5)


def test_more_at_once_than_a_generation_and_from_threads():
    study = make()
    trials = [study.ask(RANGES) for _ in range(3 * P)]
    assert len({repr(trial.params) for trial in trials}) == 3 * P
    for trial in trials:
        study.tell(trial, value_of(trial.params))
    barrier = threading.Barrier(3, timeout=60)

    def objective(trial):
        barrier.wait()  # three trials run at the same time
        return value_of(suggest(trial))

    study.optimize(objective, n_trials=12, n_jobs=3)
    assert all(trial.state.name == "COMPLETE" for trial in study.trials)
    assert len(study.trials) == 3 * P + 12


def test_another_seed_is_another_search():
    searches = [make(seed=seed) for seed in (0, 0, 1)]
    for study in searches:
        study.optimize(lambda trial: value_of(suggest(trial)), n_trials=P)
    assert params(searches[0]) == params(searches[1]) != params(searches[2])


def test_more_than_one_objective_is_refused():
    study = optuna.create_study(directions=["minimize"] * 2, sampler=JaxgaSampler(search_space=RANGES))
    with pytest.raises(ValueError, match="multi-objective"):
        study.ask(RANGES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search_space": {"y": (0, 1)}}, r"search_space must be .* by name, got \(0, 1\) for 'y'"),
        ({"population_size": 0}, "population_size must be a whole number of at least 1, got 0"),
        ({"algorithm": "ga"}, "algorithm must be a factory, as jaxga.ga, got 'ga'"),
    ],
)
def test_a_wrong_argument_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        JaxgaSampler(**options)
