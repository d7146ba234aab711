"""Figures: what they show, their axes and names."""

import numpy as np
import pytest

from jaxga import Categorical, Uniform
from jaxga.report import axes, figures, importance, plots
from tests.report.example_runs import ALL_KINDS, noisy, read, write_run

def test_with_noise_convergence_shows_what_was_believed(tmp_path, monkeypatch):
    _, history = read(noisy(tmp_path))
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure))
    plots.convergence(tmp_path / "c", table)
    lines = {line.get_label(): line.get_ydata() for line in drawn[0].axes[0].lines}
    np.testing.assert_allclose(lines["believed of the best setting"], [2.0, 1.5, 1.25])
    np.testing.assert_allclose(lines["best value of one member so far"], [0.1] * 3)
    traces = {trace.name: trace.y for trace in figures.progress(history).data}
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
    _, history = read(write_run(tmp_path, **run))
    rows = importance.sample(history)
    for figure in (figures.progress(history), figures.winner(history), *figures.slices(history, ["x"], rows)):
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
    places, written = axes.log_ticks(np.array(values))
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
    run, history = read(run)
    plots.convergence(tmp_path, table)
    plots.search_space(tmp_path, table.columns, table.space, table.objective, "$g$", 0)
    for axes, labels in ((drawn[0].axes[0], ["$f$"]), (drawn[1].axes[0], ["a$b$", "c", "$g$", "$d$"])):
        texts = [axes.xaxis.label, axes.yaxis.label, axes.title, *axes.get_yticklabels()]
        shown = [text._preprocess_math(text.get_text()) for text in texts]
        assert all(not is_formula for _, is_formula in shown)
        assert {text for text, _ in shown} >= set(labels)


def test_a_name_is_no_tag_in_a_figure(tmp_path):
    space = {"<b>x</b>": Uniform(0.0, 1.0), "<a>y": Categorical(("<b>c</b>", "d"))}
    _, history = read(write_run(tmp_path, space=space, objective=("<i>v", "min")))
    rows = importance.sample(history)
    first, second = figures.slices(history, history.space.names, rows)
    parallel = figures.parallel(history, history.space.names, rows).layout
    assert first.layout.xaxis.title.text == parallel.xaxis.ticktext[1] == "&lt;b&gt;x&lt;/b&gt;"
    assert first.layout.yaxis.title.text == parallel.xaxis.ticktext[0] == "&lt;i&gt;v"
    assert second.layout.xaxis.ticktext[0] == "&lt;b&gt;c&lt;/b&gt;"
