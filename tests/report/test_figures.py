"""Figures: what they show, their axes and names."""

import numpy as np
import pytest

from jaxga import Categorical, Integer, LogUniform, Objective, SearchSpace, Uniform
from jaxga.report import axes, figures, importance, plots
from jaxga.runs.history import History
from tests.report.example_runs import noisy, read, write_run


def test_with_noise_convergence_shows_the_estimates(tmp_path):
    _, history = read(noisy(tmp_path))
    lines = {line.get_label(): line.get_ydata() for line in plots.convergence_figure(history).axes[0].lines}
    np.testing.assert_allclose(lines["estimate of the best setting"], [2.0, 1.5, 1.25])
    np.testing.assert_allclose(lines["best single evaluation"], [0.1] * 3)
    traces = {trace.name: trace.y for trace in figures.progress(history).data}
    np.testing.assert_allclose(traces["estimate of the best setting"], [2.0, 1.5, 1.25])
    np.testing.assert_allclose(traces["best single evaluation"], [0.1] * 3)


def test_under_a_schedule_the_boxes_are_of_whole_trainings():
    history = History(SearchSpace(x=Uniform(0.0, 1.0)), Objective("loss"), 1)
    columns = {"x": np.linspace(0, 1, 6), "value": np.arange(6.0), "generation": np.array([0, 0, 1, 1, 2, 2])}
    columns |= {"outcome": np.array(["went_on", "halted", "finished", "went_on", "went_on", "finished"])}
    columns |= {"trained": np.array([0.5, 0.5, 1.0, 0.5, 0.5, 1.0]), "member": np.arange(6)}
    history.extend(columns, {})
    names = [box.name for box in figures.winner(history.whole, np.zeros(0)).data]
    assert names == ["first<br>whole trainings", "last<br>whole trainings"]
    assert [list(box.y) for box in figures.winner(history.whole, np.zeros(0)).data] == [[2.0], [5.0]]


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
def test_an_axis_is_logarithmic_where_values_span_decades(tmp_path, direction, values, kind):
    value = lambda rng, g, x: np.resize(values, 9)  # noqa: E731
    options = {"objective": ("v", direction), "pop": 9, "value": value, "space": {"x": Uniform(0.0, 1.0)}}
    run, history = read(write_run(tmp_path, **options))
    rows = importance.sample(history)
    for figure in (
        figures.progress(history),
        figures.winner(history, run.fresh_values),
        *figures.slices(history, ["x"], rows),
    ):
        assert figure.layout.yaxis.type == kind
    drawn = (plots.convergence_figure(history), plots.search_space_figure(history))
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


def test_the_picture_of_the_space_shows_the_whole_range(tmp_path):
    """Failed members lie where no other one does."""
    dimensions = {"x": Uniform(-9.0, 9.0), "lr": LogUniform(1e-9, 1e9), "n": Integer(-50, 50)}
    _, history = read(write_run(tmp_path, space=dimensions, bred=lambda _, genomes: 0.4 + 0.2 * genomes))
    for panel, dimension in zip(plots.search_space_figure(history).axes, dimensions.values(), strict=False):
        low, high = panel.get_xlim()
        assert low < dimension.low < dimension.high < high


# --- names ---


def test_a_name_is_text_and_no_formula(tmp_path):
    run = write_run(
        tmp_path, space={"a$b$": Uniform(0.0, 1.0), "c": Categorical(("$d$", "e"))}, objective=("$f$", "min")
    )
    _, history = read(run)
    drawn = (plots.convergence_figure(history), plots.search_space_figure(history, title="$g$"))
    for panel, labels in ((drawn[0].axes[0], ["$f$"]), (drawn[1].axes[0], ["a$b$", "c", "$g$", "$d$"])):
        texts = [panel.xaxis.label, panel.yaxis.label, panel.title, *panel.get_yticklabels()]
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
