"""Conditional hyperparameters, from the space to the files of a run."""

import itertools
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxga
from jaxga import Categorical, Integer, LogInteger, LogUniform, Objective, SearchSpace, Uniform
from jaxga.operators.genes import filled
from jaxga.registry import CROSSOVERS, MUTATIONS
from jaxga.runs.history import has_setting
from jaxga.runs.warm_start import WarmStart
from jaxga.surrogates.features import numeric, stretched

SPACE = SearchSpace(
    gamma=LogUniform(1e-4, 1e1).when(kernel=["rbf", "poly"]),  # before its parent
    kernel=Categorical(["linear", "rbf", "poly"]),
    degree=Integer(2, 5).when(kernel="poly"),
    c=Uniform(-1.0, 1.0),
    layers=LogInteger(1, 8),
    width=LogInteger(4, 64).when(layers=range(2, 9)),
    act=Categorical(["relu", None]).when(layers={2, 5, 6}),
    slope=Uniform(0.0, 1.0).when(act="relu", kernel="rbf"),
)
MANY = SPACE.snap(jnp.asarray(np.random.default_rng(0).random((400, SPACE.size)), jnp.float32))


def names_of(s):
    """The names of a setting that has every name, by the conditions in words."""
    names = ["kernel", "c", "layers"]
    names += ["gamma"] * (s["kernel"] != "linear") + ["degree"] * (s["kernel"] == "poly")
    names += ["width"] * (s["layers"] >= 2) + ["act"] * (s["layers"] in (2, 5, 6))
    names += ["slope"] * (s["layers"] in (2, 5, 6) and s["act"] == "relu" and s["kernel"] == "rbf")
    return set(names)


def fitness(key, setting):
    """Best: kernel rbf, gamma 0.01, c 0.5, layers 1, where gamma matters only if it is active."""
    of_kernel = jnp.where(setting["kernel"] == 1, (jnp.log10(setting["gamma"]) + 2) ** 2, 1.0)
    return of_kernel + (setting["c"] - 0.5) ** 2 + 0.1 * (setting["layers"] - 1)


def test_a_setting_has_the_active_names_alone():
    full = SearchSpace(dict(SPACE.items)).settings(MANY)
    settings = SPACE.settings(MANY)
    assert [set(setting) for setting in settings] == list(map(names_of, full))
    assert settings == [{name: f[name] for name in s} for f, s in zip(full, settings, strict=True)]
    active = [[name in setting for name in SPACE.names] for setting in settings]
    np.testing.assert_array_equal(jax.jit(SPACE.is_active)(MANY), active)
    assert 0.02 < np.mean(active, axis=0).min() < 0.2  # all kinds were met


def test_equal_settings_have_equal_genomes():
    np.testing.assert_array_equal(MANY, SPACE.snap(MANY))
    encoded = np.stack([SPACE.encode(setting) for setting in SPACE.settings(MANY)])
    np.testing.assert_allclose(MANY, encoded, atol=2e-7)
    hidden = jnp.where(SPACE.is_active(MANY), MANY, jax.random.uniform(jax.random.key(1), MANY.shape))
    assert bool((hidden != MANY).any())
    np.testing.assert_array_equal(SPACE.snap(hidden), MANY)
    for name, values in SPACE.decode(hidden).items():
        np.testing.assert_array_equal(values, SPACE.decode(MANY)[name])


def test_inside_a_program_an_inactive_value_is_the_middle():
    decoded = SPACE.decode(jnp.asarray(SPACE.encode({"kernel": "linear", "c": 0.0, "layers": 1})))
    np.testing.assert_allclose(decoded["gamma"], 10**-1.5, rtol=1e-5)
    assert int(decoded["degree"]) == 4


def test_a_conditional_space_survives_json():
    again = SearchSpace.from_dict(SPACE.to_dict())
    assert again == SPACE
    assert hash(again) == hash(SPACE)
    assert SPACE.to_dict()["gamma"]["when"] == {"kernel": ["rbf", "poly"]}
    assert SearchSpace(dict(SPACE.items)) != SPACE
    assert SPACE.described()["degree"] == "Integer(low=2, high=5).when(kernel='poly')"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SearchSpace(x=Uniform(0, 1).when(kind="a")),
            r"the condition of x names 'kind', the names are \['x'\]",
        ),
        (
            lambda: SearchSpace(x=Uniform(0, 1), y=Uniform(0, 1).when(x=0.5)),
            r"the condition of y must be on an Integer, LogInteger or Categorical, x is Uniform\(low=0, high=1\)",
        ),
        (
            lambda: SearchSpace(n=Integer(1, 3), y=Uniform(0, 1).when(n=[2, 4])),
            r"the condition of y on n: Integer: value must lie in \[1, 3\], got 4",
        ),
        (
            lambda: SearchSpace(c=Categorical(["a", "b"]), y=Uniform(0, 1).when(c="z")),
            r"the condition of y on c: Categorical: value must be one of \['a', 'b'\], got 'z'",
        ),
        (lambda: SearchSpace(y=Uniform(0, 1).when(n=1).when(m=1)), "a condition is given once, with all its parents"),
        (lambda: SearchSpace(n=Integer(1, 3), y=Uniform(0, 1).when(n=[])), "at least one value of n, got none"),
        (
            lambda: SearchSpace(a=Integer(1, 2).when(b=1), b=Integer(1, 2).when(a=1)),
            "conditions must not form a cycle, got (a -> b -> a|b -> a -> b)",
        ),
        (lambda: SearchSpace(a=Integer(1, 2).when(a=1)), "must not form a cycle, got a -> a"),
        (lambda: Uniform(0, 1).when(cast(Any, "a")), "when: values by name are needed, got 'a'"),
        (lambda: SearchSpace(n=Integer(1, 2), c=Categorical(["", "a"]).when(n=1)), "no choice may be an empty text"),
        (lambda: SPACE.encode({"kernel": "linear", "c": 0.0, "layers": 1, "degree": 3}), r"the names \['kernel', 'c'"),
        (lambda: SPACE.encode({"kernel": "rbf", "c": 0.0, "layers": 1}), r"a setting has the names \['gamma'"),
        (lambda: SPACE.encode({"kernel": ["rbf"], "c": 0.0, "layers": 1}), r"must be one of .*, got \['rbf'\]"),
        (lambda: SearchSpace.from_dict({"x": {"kind": "Uniform", "low": 0, "high": 1, "when": 3}}), "x: when: values"),
    ],
)
def test_a_bad_condition_is_one_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


# --- breeding and models ---


def test_parents_give_a_child_the_genes_that_it_may_express():
    parents = jnp.asarray(
        [
            SPACE.encode({"kernel": "linear", "c": 0.0, "layers": 1}),
            SPACE.encode({"kernel": "rbf", "gamma": 0.5, "c": 0.0, "layers": 1}),
        ]
    )
    draws = jnp.linspace(0.0, 0.9, SPACE.size)
    full = filled(SPACE, draws, parents)
    gamma, degree = SPACE.names.index("gamma"), SPACE.names.index("degree")
    assert full[0, gamma] == parents[1, gamma]
    np.testing.assert_array_equal(full[:, degree], [SPACE.centred(draws)[degree]] * 2)
    active = SPACE.is_active(parents)
    np.testing.assert_array_equal(full[active], parents[active])


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_changes_an_active_gene_and_no_other(name):
    mutate = MUTATIONS[name](SPACE)
    draws = jax.random.uniform(jax.random.key(0), (len(MANY), mutate.num_draws))
    children = jax.vmap(lambda d, g: mutate.apply(d, g[None], jnp.ones(SPACE.size)))(draws, MANY)
    changed = children != MANY
    assert not bool((changed & ~SPACE.is_active(MANY)).any())
    assert float(changed.any(1).mean()) > 0.98


@pytest.mark.parametrize("name", [*CROSSOVERS, *MUTATIONS])
def test_a_child_in_the_cube(name):
    operator = (CROSSOVERS | MUTATIONS)[name](SPACE)
    mates = MANY[: 3 * 133].reshape(133, 3, SPACE.size)
    draws = jax.random.uniform(jax.random.key(0), (133, operator.num_draws))
    children = jax.vmap(operator.apply, (0, 0, None))(draws, mates, jnp.ones(SPACE.size))
    np.testing.assert_array_equal(children, SPACE.centred(children))
    assert float(children.min()) >= 0
    assert float(children.max()) <= 1


def test_a_model_sees_that_a_gene_is_inactive():
    active = np.asarray(SPACE.is_active(MANY))
    act, gamma = SPACE.names.index("act"), SPACE.names.index("gamma")
    points = np.asarray(stretched(SPACE, MANY))
    assert set(points[:, act]) == {-1.0, 0.0, 1.0}
    np.testing.assert_array_equal(points[:, act] == -1.0, ~active[:, act])
    assert set(points[~active[:, gamma], gamma]) == {0.5}
    columns = np.asarray(numeric(SPACE, MANY))
    ends = np.cumsum(
        [int(n) if categorical else 1 for n, categorical in zip(SPACE.num_levels, SPACE.is_categorical, strict=True)]
    )
    np.testing.assert_array_equal(columns[:, ends[act] - 2 : ends[act]].sum(1), active[:, act])


@pytest.mark.usefixtures("quick_programs")
@pytest.mark.parametrize("algorithm", ["ga", "invasive_ga", "sobol_search", "evosax_cma_es"])
def test_every_member_of_a_search_is_snapped(algorithm):
    """So that it is known when it comes again, and no step was spent on what is inactive."""
    options = {"surrogate": "quadratic_ridge", "archive_size": 64} if algorithm == "invasive_ga" else {}
    made = jaxga.ALGORITHMS[algorithm](SPACE, population_size=16, **options)
    result = jaxga.minimize(fitness, SPACE, num_generations=8, key=0, algorithm=made)
    assert set(result.best) <= set(SPACE.names)
    assert SPACE.active_part(result.best) == result.best
    rows = [{k: row[k] for k in SPACE.names} for row in result.history.rows()]
    told = [{k: v for k, v in row.items() if not (isinstance(v, float) and np.isnan(v))} for row in rows]
    assert [set(setting) for setting in told] == [set(SPACE.active_names(setting)) for setting in told]
    genomes = np.stack([SPACE.encode(setting) for setting in told])
    if algorithm == "invasive_ga":  # but for the best, evaluated twice while noise is sought
        assert len(np.unique(genomes, axis=0)) >= len(genomes) - 2
        assert result.best["kernel"] == "rbf"
        assert result.best_value < 0.3


# --- files and adapters ---


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    jaxga.minimize(fitness, SPACE, population_size=8, num_generations=4, key=1, algorithm="ga", out=out)
    return jaxga.load(out)


def test_a_run_in_files_is_blank_where_a_gene_is_inactive(run):
    pq = pytest.importorskip("pyarrow.parquet")
    history = run.history
    table = pq.read_table(run.path / "history.parquet")
    assert {str(table.schema.field(name).type) for name in ("degree", "width")} == {"int64"}
    assert str(table.schema.field("gamma").type) == "float"
    assert str(table.schema.field("act").type) == "string"
    for row, stored in zip(history.rows(), table.to_pylist(), strict=True):
        kept = {k: stored[k] for k in SPACE.names if stored[k] is not None}
        assert set(kept) == set(SPACE.active_names(kept | ({"act": None} if kept.get("act") == "None" else {})))
        for name, value in kept.items():
            assert str(row[name]) == str(value) or np.float32(row[name]) == np.float32(value)
    first = (run.path / "history.csv").read_text().splitlines()[1].split(",")
    blanks = [name for name, cell in zip(history.columns, first[1:], strict=True) if cell == ""]
    assert blanks == [name for name in SPACE.names if name not in SPACE.settings(_founders(run))[0]]
    assert history.to_pandas()["gamma"].dtype.kind == "f"
    assert has_setting(history.columns, run.best).any()
    assert "when(kernel=" in (run.path / "report.html").read_text()


def _founders(run):
    return WarmStart.read(run, SPACE, Objective("value")).genomes


def test_every_source_gives_the_same_warm_start(run):
    pytest.importorskip("pyarrow")
    rows = [{k: v for k, v in row.items() if v == v} for row in run.history.rows()]
    sources = [run.path, run.path / "history.csv", run.path / "history.parquet", run.history, rows]
    found = [WarmStart.read(source, SPACE, Objective("value")) for source in sources]
    assert {warm.sha256 for warm in found} == {found[0].sha256}
    assert len(found[0].genomes) == 32
    with pytest.raises(ValueError, match="a setting has no 'gamma'"):
        WarmStart.read([{"kernel": "rbf", "c": 0.0, "layers": 1}], SPACE, Objective("value"))
    # Of a setting from a space without conditions what is inactive is left out.
    given = {"kernel": "linear", "c": 0.0, "layers": 1, "gamma": 1.0, "degree": 3}
    (genome,) = WarmStart.read([given], SPACE, Objective("value")).genomes
    assert SPACE.setting(genome) == {"kernel": "linear", "c": 0.0, "layers": 1}


def test_a_run_that_goes_on_has_the_same_bits(run, tmp_path):
    for num in (2, 4):
        jaxga.minimize(
            fitness, SPACE, population_size=8, num_generations=num, key=1, algorithm="ga", out=tmp_path, resume=True
        )
    ours, theirs = jaxga.load(tmp_path).history.columns, run.history.columns
    for name in SPACE.names:
        assert list(map(str, ours[name])) == list(map(str, theirs[name]))


def test_a_function_of_the_host_gets_the_active_part():
    pytest.importorskip("pebble")

    @jaxga.as_host_task(SPACE, num_workers=1)
    def task(seed, setting):
        return float(set(setting) == set(SPACE.active_names(setting)))

    result = jaxga.optimize(task, population_size=8, num_generations=1, key=0, algorithm="random_search", num_fresh=0)
    assert result.history.columns["value"].tolist() == [1.0] * 8


def test_optuna_asks_for_the_active_parameters_alone():
    optuna = pytest.importorskip("optuna")
    from jaxga.adapters.optuna import JaxgaSampler

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    relative = []

    def objective(trial):
        relative.append(trial.relative_params)
        kernel = trial.suggest_categorical("kernel", ["linear", "rbf", "poly"])
        value = 0.2 + (trial.suggest_float("c", -1.0, 1.0) - 0.5) ** 2
        if kernel != "linear":
            value += np.log10(trial.suggest_float("gamma", 1e-4, 1e1, log=True) / 0.01) ** 2 - 0.2 * (kernel == "rbf")
        return value + (0.1 * trial.suggest_int("degree", 2, 5) if kernel == "poly" else 0.0)

    space = SearchSpace(
        {name: dimension for name, dimension in SPACE.items if name in ("kernel", "c")}
        | {
            "gamma": LogUniform(1e-4, 1e1).when(kernel=["rbf", "poly"]),
            "degree": Integer(2, 5).when(kernel="poly"),
        }
    )
    study = optuna.create_study(sampler=JaxgaSampler(population_size=4, seed=0, search_space=space))
    study.enqueue_trial({"kernel": "linear", "c": 0.0})
    study.optimize(objective, n_trials=40)
    assert [trial.params for trial in study.trials[1:]] == relative[1:]
    assert study.best_value < min(trial.value for trial in study.trials[:8])
    assert int(study.sampler._search._state.generation) == 9  # all trials were learned

    warm = WarmStart.read([t.params | {"value": t.value} for t in study.trials], space, Objective("value"))
    assert len(warm.genomes) == 40

    def disobedient(trial):
        trial.suggest_categorical("kernel", ["linear", "rbf", "poly"])
        return trial.suggest_int("degree", 2, 5) + trial.suggest_float("more", 0.0, 1.0)

    study = optuna.create_study(sampler=JaxgaSampler(population_size=4, seed=0, search_space=space))
    with pytest.warns(UserWarning, match="independently") as caught:
        study.optimize(disobedient, n_trials=8)
    said = [str(warning.message).split(": ", 1)[1] for warning in caught]
    assert sorted(said) == ["the search space does not have it", "the search space has it inactive here"]


def test_a_study_has_the_active_parameters(run):
    pytest.importorskip("optuna")
    from jaxga.report.study import trials

    made = trials(SPACE, run.history.columns)
    for trial, row in zip(made, run.history.rows(), strict=True):
        assert set(trial.params) == {name for name in SPACE.names if row[name] == row[name]}
        assert set(trial.distributions) == set(trial.params)


def test_figures_leave_out_what_is_inactive(run):
    pytest.importorskip("plotly")
    from jaxga.report import figures

    names, rows = list(SPACE.names), np.arange(len(run.history))
    figure = figures.parallel(run.history, names, rows)
    num_points = sum(np.isfinite(np.array(trace.y, float)).sum() for trace in figure.data)
    active = sum(len(SPACE.settings(genome[None])[0]) for genome in _founders(run))
    assert num_points == active + len(run.history)
    pairs = list(itertools.combinations(names, 2))[:3]
    assert len(figures.pairs(run.history, pairs, rows)) == 3
