"""The report, the pictures and the Parquet file: what they say is so, and they are written whole or not at all."""

import html
import json
import re
import shutil
import subprocess
import warnings
from dataclasses import asdict

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("plotly")

from jaxga import Categorical, Integer, LogInteger, LogUniform, Objective, SearchSpace, Uniform
from jaxga.base import Best, Offspring, Species
from jaxga.evolution import Record
from jaxga.loop import Generation
from jaxga.report import figures, findings, plots
from jaxga.report import page as report
from jaxga.report.outputs import write_outputs
from jaxga.report.table import read_table
from jaxga.runs import records
from jaxga.runs.draft import draft
from jaxga.runs.saved import describe

ALL_KINDS = {
    "rate": LogUniform(1e-5, 1.0),
    "momentum": Uniform(0.0, 0.99),
    "width": LogInteger(8, 512),
    "depth": Integer(1, 4),
    "kind": Categorical(("adam", "sgd", "None", True)),
    "size": Categorical((128, 256.5)),
}
HOSTILE = "</script><b>$\\frac{x}$ & " + "so_long_a_name_" * 12
TWO = {"x": Uniform(0.0, 1.0), "rate": LogUniform(1e-4, 1.0)}


def write_run(
    path, space=TWO, *, objective=("loss", "min"), pop=8, generations=4, value=None, replicates=1, noise=0.0,
    species=None, predicted=None, believed=None, killed=False, lost_events=0, metrics=None, task="guess", **options,
):  # fmt: skip
    """A run's folder by the writers of a run; ``value(rng, generation, genomes)`` and so on give what it recorded."""
    space, objective = SearchSpace(space), Objective(*objective)
    rng = np.random.default_rng(0)
    path.mkdir(exist_ok=True)
    history = records.HistoryFile(records.Log(path / "history.csv"), "run", space, objective, replicates)
    events = records.Events(records.Log(path / "events.jsonl"), objective)
    least, genomes = np.inf, np.zeros((pop, space.size))
    for g in range(generations):
        genomes = np.asarray(space.snap(jnp.asarray(rng.random((pop, space.size)), jnp.float32)))
        values = value(rng, g, genomes) if value else genomes[:, 0] + 0.5**g
        values = np.asarray(values, np.float32)
        loss = np.where(np.isfinite(values), np.float32(objective.sign) * values, np.inf).astype(np.float32)
        least = min(least, float(loss.min()))
        best = least if believed is None else objective.sign * believed(g)
        kinds = species(g) if species else [Species.CHILD if g else Species.FOUNDER] * pop
        expected = predicted(rng, g, values) if predicted and g else np.full(pop, np.nan)
        offspring = Offspring(genomes, np.array(kinds), np.full((pop, 2), -1), objective.sign * expected)
        extra = metrics(rng, g, pop) if metrics else {}
        failed = int((~np.isfinite(loss)).sum())
        variance = np.full(pop, noise**2 / replicates)
        record = Record(np.int32(g), offspring, loss, variance, extra, failed, Best(genomes[0], best))
        history.write(Generation(record, None, 1.0, 0.25))
        if g < generations - lost_events:
            events.write(Generation(record, None, 1.0, 0.25))
    about = {"task": task, "algorithm": "invasive_ga", "pop": pop, "generations": generations, "seed": 3}
    config = {
        "run": "run", "created": "2026-01-01T00:00:00+00:00", "command": ["run.py", "--task", task],
        "options": about | {"replicates": replicates} | options, "identity": {}, "data": {},
        "python": "3.11.0", "versions": {"jax": "0.10.2"}, "platform": "Linux-x", "processor": "A processor",
        "cores": 2, "devices": ["cpu"], "git_commit": "abcdef", "space": describe(space),
        "objective": asdict(objective), "constants": {"num_steps": 1234, "hidden_size": 77},
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))
    if not killed:
        fresh = {objective.name: [float(objective.sign * best)] * 4, "test_accuracy": [0.5, 0.5, 0.5, 0.7]}
        result = {"status": "finished", "reason": None, "best": space.setting(genomes[0])}
        result |= {"best_value": float(objective.sign * best), "fresh": fresh, "seconds": {"start": 1.0}}
        (path / "result.json").write_text(json.dumps(result))
    return path


@pytest.fixture(autouse=True)
def _without_plotlys_script(monkeypatch):
    """Five megabytes a page."""
    monkeypatch.setattr(report, "get_plotlyjs", lambda: "")


def page(path):
    return report.write_report(path).read_text()


def prose(text):
    """What a person reads: the head, the paragraphs and the tables."""
    return html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<(script|style)\b.*?</\1>", " ", text, flags=re.S)))


def says(path):
    return re.sub(r"\s+", " ", prose(page(path)))


def only_in(g, values):
    return lambda rng, generation, genomes: values if generation == g else genomes[:, 0]


MATRIX = {
    "plain": {},
    "killed": {"killed": True},
    "killed between the rows and the event": {"killed": True, "lost_events": 1},
    "killed in the first generation": {"killed": True, "generations": 1, "lost_events": 1},
    "a generation that failed": {"value": only_in(2, [np.nan] * 8)},
    "the first that failed": {"value": only_in(0, [np.nan] * 8)},
    "all that failed": {"value": lambda *_: [np.nan] * 8, "killed": True},
    "one gene": {"space": {"x": Uniform(0.0, 1.0)}},
    "one category": {"space": {"kind": Categorical(("a", "b"))}},
    "all kinds": {"space": ALL_KINDS, "pop": 20},
    "ten genes": {"space": {f"g{i}": Uniform(-1.0, 1.0) for i in range(10)}, "pop": 20},
    "twenty genes": {"space": {f"g{i}": LogUniform(1e-3, 1.0) for i in range(20)}, "pop": 20},
    "one generation": {"generations": 1},
    "many generations": {"generations": 60, "pop": 4},
    "two members": {"pop": 2},
    "one member": {"pop": 1, "generations": 3},
    "maximised": {"objective": ("return", "max"), "value": lambda rng, g, x: 10.0 ** (3 * x[:, 0])},
    "maximised below 0": {"objective": ("return", "max"), "value": lambda rng, g, x: -500 * x[:, 0]},
    "huge": {"value": lambda rng, g, x: 3e38 * (x[:, 0] - 0.5)},
    "from tiny to huge": {"value": lambda rng, g, x: 10.0 ** (70 * x[:, 0] - 35)},
    "all equal": {"value": lambda rng, g, x: np.full(len(x), 7.0), "pop": 20},
    "all zero": {"value": lambda rng, g, x: np.zeros(len(x)), "pop": 20},
    "noise": {"replicates": 3, "noise": 0.5, "believed": lambda g: 0.6 - 0.1 * g, "predicted": lambda rng, g, v: v},
    "noise that hides all": {"replicates": 2, "noise": 1e3, "predicted": lambda rng, g, v: rng.random(len(v))},
    "a constant prediction": {"predicted": lambda rng, g, v: np.ones(len(v))},
    "a narrow range": {"space": {"rate": LogUniform(0.21, 0.22), "x": Uniform(0.0, 1.0)}},
    "hostile names": {
        "space": {HOSTILE: Uniform(0.0, 1.0), f"{HOSTILE}2": Categorical(("$a$", "<i>b" * 20))},
        "objective": (HOSTILE, "min"),
        "pop": 20,
    },
    "curves": {
        "metrics": lambda rng, g, n: {"a_curve": rng.random((n, 5)), "<i>": np.full((n, 3), np.nan), "m": np.ones(n)}
    },
}


@pytest.mark.parametrize("case", MATRIX)
def test_every_run_has_its_outputs(tmp_path, case):
    path = write_run(tmp_path, **MATRIX[case])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert write_outputs(path) == []
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
    table = read_table(write_run(tmp_path, space=ALL_KINDS, pop=20))
    rows = findings.sample(table)
    for figure in figures.pairs(table, [("rate", "momentum"), ("kind", "depth")], rows):
        [trace] = figure.data
        assert (trace.type, trace.mode, len(trace.x)) == ("scatter", "markers", 80)


def test_the_page_is_small(tmp_path):
    value = lambda rng, g, x: rng.random(64)  # noqa: E731
    curve = lambda rng, g, n: {"curve": rng.random((n, 20)), "other": rng.random((n, 20))}  # noqa: E731
    assert len(page(write_run(tmp_path, pop=64, generations=10, value=value, metrics=curve))) < 300_000


# --- the invasion ---


def mixed(num_invaders, num_children):
    return lambda g: (
        [Species.INVADER] * num_invaders + [Species.CHILD] * num_children if g else [0] * (num_invaders + num_children)
    )


@pytest.mark.parametrize(
    ("good", "verdict"),
    [
        (2, "too few to say whether the invasion pays here"),
        (6, "too few to say whether the invasion pays here"),
        (14, "the invasion pays here"),
        (0, "the invasion does not pay here"),
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
    assert f"equally good, it would be 29 %: {verdict}." in text


def test_wilson_is_the_textbooks():
    np.testing.assert_allclose(findings.wilson(2, 14), (2 / 14, 0.04009, 0.39942), atol=1e-4)
    assert findings.wilson(0, 0)[1:] == (0.0, 1.0)


def test_invaders_of_early_generations_are_not_to_blame_for_being_early(tmp_path):
    """Many invaders at first and few later, each as good as the children beside it."""
    species = lambda g: [Species.INVADER] * (30 if g == 1 else 10) + [Species.CHILD] * (10 if g == 1 else 30)  # noqa: E731
    value = lambda rng, g, genomes: rng.random(40) - g  # noqa: E731
    found = findings.invasion(read_table(write_run(tmp_path, pop=40, generations=6, value=value, species=species)))
    assert found.expected == pytest.approx(0.25)
    assert found.share.low < 0.25 < found.share.high


def test_failed_members_are_not_among_the_best(tmp_path):
    value = lambda rng, g, genomes: np.where(np.arange(8) < 6, np.nan, genomes[:, 0])  # noqa: E731
    table = read_table(write_run(tmp_path, value=value))
    assert [len(rows) for rows in findings.best_so_far(table)] == [2, 4, 6, 8]


# --- the surrogate ---


@pytest.mark.parametrize(
    ("predicted", "verdict"),
    [
        (lambda rng, g, v: v, "it tells the better members of a generation from the worse well"),
        (lambda rng, g, v: -v, "it puts the worse members of a generation before the better"),
        (lambda rng, g, v: rng.random(len(v)), "it was not seen to tell the better members"),
        (lambda rng, g, v: np.ones(len(v)), "too few to say"),
        (lambda rng, g, v: np.where(np.arange(len(v)) < 3, v, np.nan), "3 members of 1 generation were predicted: too"),
    ],
)
def test_the_surrogate_gets_its_verdict(tmp_path, predicted, verdict):
    num = 2 if "3 members" in verdict else 6
    path = write_run(tmp_path, pop=12, generations=num, predicted=predicted)
    assert verdict in says(path)


def test_a_trend_over_the_generations_is_not_taken_for_a_good_order(tmp_path):
    value = lambda rng, g, x: rng.random(30) - 5 * g  # noqa: E731
    path = write_run(tmp_path, pop=30, generations=8, value=value, predicted=lambda rng, g, v: rng.random(30) - 5 * g)
    found = findings.ranking(read_table(path))
    assert found.overall > 0.95
    assert found.pooled.low < 0 < found.pooled.high
    assert "it was not seen to tell" in says(path)


def test_generations_that_contradict_each_other_make_the_interval_wide(tmp_path):
    path = write_run(tmp_path, pop=40, generations=7, predicted=lambda rng, g, v: -v if g % 3 == 0 else v)
    found = findings.ranking(read_table(path))
    assert found.correlations.tolist() == pytest.approx([1, 1, -1, 1, 1, -1])
    assert found.pooled.estimate == pytest.approx(1 / 3)
    assert found.pooled.low < 0
    assert "in one generation from -1.00 to 1.00): it was not seen to tell" in says(path)


def test_the_interval_of_one_generation_is_bonett_and_wrights(tmp_path):
    found = findings.ranking(read_table(write_run(tmp_path, pop=30, generations=2, predicted=lambda rng, g, v: v**2)))
    assert found.pooled.estimate == pytest.approx(1, abs=1e-5)
    half = 1.959964 * np.sqrt(1.5 / 27)
    assert found.pooled.low == pytest.approx(np.tanh(np.arctanh(0.999999) - half))


def test_rank_correlation_is_scipys_with_ties():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 6, 15), rng.integers(0, 6, 15)
        assert findings.rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0, 3.0])
def test_the_most_that_noise_allows(tmp_path, noise):
    """Truth of variance 1, four replicates: what predicts the truth itself reaches about what the report says."""
    truths = {}

    def value(rng, g, genomes):
        truths[g] = rng.normal(size=200)
        return truths[g] + noise / 2 * rng.normal(size=200)

    options = {"pop": 200, "generations": 6, "value": value, "replicates": 4, "noise": noise}
    found = findings.ranking(read_table(write_run(tmp_path, **options, predicted=lambda rng, g, v: truths[g])))
    assert found.ceiling == pytest.approx(found.pooled.estimate, abs=0.05)
    expected = "too little for noise to explain the rest" if noise == 0 else f"would have about {found.ceiling:.2f}"
    assert expected in says(tmp_path)


def test_noise_that_was_not_measured_is_not_guessed(tmp_path):
    path = write_run(tmp_path, pop=12, predicted=lambda rng, g, v: v)
    assert "Each member was trained once: how much of the rest is noise was not measured." in says(path)


# --- the hyperparameters ---


def test_importances_need_members_and_more_than_chance(tmp_path):
    value = lambda rng, g, x: (x[:, 0] - 0.3) ** 2 + 1e-9 * rng.random(len(x))  # noqa: E731
    few = write_run(tmp_path / "few", pop=7, generations=7, value=value)
    assert "49 members have a value: too few to say (50 are needed)" in says(few)
    path = write_run(tmp_path / "enough", pop=50, generations=4, value=value)
    table = read_table(path)
    found = findings.importances(table, findings.sample(table))
    assert found.shares["x"] > 5 * found.by_chance["x"]
    assert found.shares["rate"] < found.by_chance["rate"]
    assert sum(found.shares.values()) == pytest.approx(1)
    assert "random does: x stands out from chance" in says(path)


def test_chance_is_chance(tmp_path):
    """Where the value is noise, a hyperparameter stands out in 5 of 100 runs."""
    space = {f"g{i}": dimension for i, dimension in enumerate([*ALL_KINDS.values()] * 4)}
    table = read_table(write_run(tmp_path, space=space, pop=30, value=lambda rng, g, x: rng.random(30)))
    found = findings.importances(table, findings.sample(table))
    assert sum(found.shares[name] > found.by_chance[name] for name in space) <= 5  # of 24; 1.2 expected, P(> 5) < 0.1 %


def test_values_that_are_equal_have_no_best_tenth(tmp_path):
    path = write_run(tmp_path, pop=20, value=lambda rng, g, x: np.full(20, 7.0))
    assert "too equal to choose the best tenth" in says(path)


def test_of_many_members_the_drawn_are_told(tmp_path):
    path = write_run(tmp_path, pop=300, generations=5, value=lambda rng, g, x: rng.random(300))
    assert "Drawn are 1,000: the best 500, and an even sample of the others." in says(path)


# --- best, believed, fresh ---


def noisy(path, **options):
    """One lucky member at first, of 0.1; then 1.0, and the search believes 2, 1.5, 1.25."""
    value = lambda rng, g, x: np.append(0.1 if g == 0 else 1.0, 3 + rng.random(7))  # noqa: E731
    return write_run(path, value=value, believed=lambda g: [2.0, 1.5, 1.25][g], generations=3, **options)


def test_with_noise_convergence_shows_what_was_believed(tmp_path, monkeypatch):
    table = read_table(noisy(tmp_path))
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure))
    plots.convergence(tmp_path / "c", table)
    lines = {line.get_label(): line.get_ydata() for line in drawn[0].axes[0].lines}
    np.testing.assert_allclose(lines["believed of the best setting"], [2.0, 1.5, 1.25])
    np.testing.assert_allclose(lines["best value of one member so far"], [0.1] * 3)
    traces = {trace.name: trace.y for trace in figures.progress(table).data}
    np.testing.assert_allclose(traces["believed of the best setting"], [2.0, 1.5, 1.25])
    np.testing.assert_allclose(traces["luckiest member"], [0.1] * 3)


def test_the_best_figures_are_told_apart_where_they_stand(tmp_path):
    text = says(noisy(tmp_path))
    assert "1.25 loss, believed of the winner: what the search makes of all it has seen" in text
    assert "0.1 loss, luckiest the best of 24 members, luck included" in text
    assert "1.25 loss, fresh ± 0 (standard deviation); of the winner, mean of 4 fresh seeds" in text
    assert "0.55 test accuracy, fresh ± 0.1 (standard deviation); of the winner, mean of 4 fresh seeds" in text
    assert "24 members trained of which 0 failed" in text


def test_without_noise_there_is_one_best(tmp_path):
    text = says(write_run(tmp_path))
    assert "loss, best seen of the winner" in text
    assert "believed" not in text
    assert "luck" not in text


def test_members_that_failed_are_counted(tmp_path):
    text = says(write_run(tmp_path, **MATRIX["a generation that failed"]))
    assert "32 members trained of which 8 failed" in text
    assert "best seen of the winner" in text  # and no noise is taken for that


# --- axes ---


@pytest.mark.parametrize(
    ("direction", "values", "kind"),
    [
        ("min", [0.02, 0.5, 1.0], "log"),
        ("min", [0.2, 0.5, 1.0], None),
        ("min", [0.0, 0.5, 1000.0], None),
        ("min", [-1.0, 0.5, 1000.0], None),
        ("max", [1.0, 50.0, 1000.0], "log"),
        ("max", [0.1, 0.5, 0.99], None),
        ("max", [9.0, 200.0, 500.0], None),
        ("max", [-500.0, -80.0, -1.0], None),
    ],
)
def test_an_axis_is_logarithmic_where_values_span_decades(tmp_path, direction, values, kind, monkeypatch):
    value = lambda rng, g, x: np.resize(values, 9)  # noqa: E731
    run = {"objective": ("v", direction), "pop": 9, "value": value, "space": {"x": Uniform(0.0, 1.0)}}
    table = read_table(write_run(tmp_path, **run))
    rows = findings.sample(table)
    for figure in (figures.progress(table), figures.winner(table), *figures.slices(table, ["x"], rows)):
        assert figure.layout.yaxis.type == kind
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure))
    plots.convergence(tmp_path, table)
    plots.search_space(tmp_path, table.columns, table.space, table.objective, "t", 0)
    assert {figure.axes[0].get_yscale() for figure in drawn} == {kind or "linear"}


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.05, 5.0), ["0.05", "0.1", "0.2", "0.5", "1", "2", "5"]),
        ((8, 512), ["10", "20", "50", "100", "200", "500"]),
        ((1e-5, 1.0), ["10⁻⁵", "0.0001", "0.001", "0.01", "0.1", "1"]),
        ((0.21, 0.22), ["0.21", "0.22"]),
        ((1e-30, 1e30), ["10⁻³⁰", "10⁻²²", "10⁻¹⁴", "10⁻⁶", "100", "10¹⁰", "10¹⁸", "10²⁶"]),
        ((2e5, 9e6), ["200,000", "500,000", "10⁶", "2·10⁶", "5·10⁶"]),
    ],
)
def test_ticks_say_where_they_are(values, texts):
    places, written = findings.log_ticks(np.array(values))
    assert written == texts
    assert values[0] * (1 - 1e-5) <= min(places) < max(places) <= values[1] * (1 + 1e-5)


# --- names ---


def test_what_was_held_fixed_and_where_it_ran_is_named(tmp_path):
    text = says(write_run(tmp_path, task="ppo", env="Acrobot-v1", dataset="mnist"))
    assert text.startswith(" ppo Acrobot-v1, invasive_ga, 8 members x 4 generations")
    named = ["num_steps 1234", "hidden_size 77", "processor A processor", "jax 0.10.2", "python 3.11.0", "cores 2"]
    named += ["git_commit abcdef", "platform Linux-x", "env Acrobot-v1", "seed 3", "devices cpu"]
    for fact in (*named, "command run.py --task ppo", "rate LogUniform(low=0.0001, high=1.0)"):
        assert fact in text.split("How it was run")[1]
    assert "dataset" not in text  # no option of this task


def test_a_name_is_text_and_no_formula(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure))
    run = write_run(
        tmp_path, space={"a$b$": Uniform(0.0, 1.0), "c": Categorical(("$d$", "e"))}, objective=("$f$", "min")
    )
    table = read_table(run)
    plots.convergence(tmp_path, table)
    plots.search_space(tmp_path, table.columns, table.space, table.objective, "$g$", 0)
    for axes, labels in ((drawn[0].axes[0], ["$f$"]), (drawn[1].axes[0], ["a$b$", "c", "$g$", "$d$"])):
        texts = [axes.xaxis.label, axes.yaxis.label, axes.title, *axes.get_yticklabels()]
        shown = [text._preprocess_math(text.get_text()) for text in texts]
        assert all(not is_formula for _, is_formula in shown)
        assert {text for text, _ in shown} >= set(labels)


def test_a_name_is_no_tag_in_a_figure(tmp_path):
    space = {"<b>x</b>": Uniform(0.0, 1.0), "<a>y": Categorical(("<b>c</b>", "d"))}
    table = read_table(write_run(tmp_path, space=space, objective=("<i>v", "min")))
    rows = findings.sample(table)
    first, second = figures.slices(table, table.space.names, rows)
    parallel = figures.parallel(table, table.space.names, rows).layout
    assert first.layout.xaxis.title.text == parallel.xaxis.ticktext[1] == "&lt;b&gt;x&lt;/b&gt;"
    assert first.layout.yaxis.title.text == parallel.xaxis.ticktext[0] == "&lt;i&gt;v"
    assert second.layout.xaxis.ticktext[0] == "&lt;b&gt;c&lt;/b&gt;"


# --- whole or not at all ---


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("finished"))


OUTPUTS = ["history.parquet", "report.html", "convergence.png", "convergence.svg", "search_space.png"]


@pytest.mark.parametrize("name", OUTPUTS)
def test_on_a_full_disk_an_output_stays_as_it_was_and_is_named(finished, tmp_path, name):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / name).write_text("from before")
    (folder / f".{name}").symlink_to("/dev/full")  # where the draft is written: every write of it fails
    with pytest.raises(OSError, match="No space left") as caught:
        write_outputs(folder)
    assert caught.value.errno == 28
    assert caught.value.strerror == f"{folder / name} cannot be written: No space left on device"
    assert (folder / name).read_text() == "from before"
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]


def test_on_a_full_disk_the_command_says_one_line(finished, tmp_path, capfd):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / ".history.parquet").symlink_to("/dev/full")
    assert report.main([str(folder)]) == 2
    why = f"{folder / 'history.parquet'} cannot be written: No space left on device"
    assert capfd.readouterr().err == f"error: {why}\n"
    assert {file.name for file in folder.iterdir()} == {file.name for file in finished.iterdir()}


def test_what_fails_halfway_leaves_nothing(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("from before")

    def write():
        with draft(path) as made:
            made.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file.txt", "from before")]


# --- in a browser ---


def test_figures_of_all_kinds_draw_in_a_browser_without_a_word(tmp_path, monkeypatch):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")
    monkeypatch.undo()
    run = {"space": ALL_KINDS | {HOSTILE: Uniform(0.0, 1.0)}, "objective": (HOSTILE, "min"), "pop": 20}
    run |= {"species": mixed(5, 15), "replicates": 3, "noise": 0.5, "believed": lambda g: 0.6 - 0.1 * g}
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
