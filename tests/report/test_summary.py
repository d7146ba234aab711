"""A result in a notebook: its table, its line, and figures that show themselves."""

import numpy as np
import pytest

from jaxga import Uniform
from jaxga.report.plots import convergence_figure
from jaxga.report.summary import result_html, title
from tests.report.example_runs import noisy, read, write_run


def test_a_result_shows_its_setting_and_figures(tmp_path):
    run, history = read(noisy(tmp_path, space={"<b>x": Uniform(0.0, 1.0)}))
    text = result_html({"<b>x": 0.25}, run.best_value, np.array([1.0, 2.0], np.float32), history)
    for cells in ("&lt;b&gt;x</th><td>0.25", "loss, in the search</th><td>1.25", "24</td>"):
        assert cells in text
    assert "loss, 2 fresh seeds</th><td>1.5 ± 0.71</td>" in text
    assert "<b>x" not in text
    assert text.count("<polyline") == 1


def test_a_result_says_how_many_fresh_seeds_failed(tmp_path):
    _, history = read(write_run(tmp_path, generations=1))
    text = result_html({"x": 0.5}, 1.0, np.array([1.0, np.nan], np.float32), history)
    assert "loss, 2 fresh seeds, of which 1 failed</th><td>- ± -</td>" in text


@pytest.mark.parametrize(("fresh", "label"), [((), "fresh"), ((1.0,), "1 fresh seed</th><td>1</td>")])
def test_fewer_than_two_fresh_seeds_have_no_deviation(tmp_path, fresh, label):
    _, history = read(write_run(tmp_path, generations=1))
    text = result_html({"x": 0.5}, 1.0, np.array(fresh, np.float32), history)
    assert (label in text) == bool(fresh)
    assert "±" not in text
    assert "polyline" not in text  # one generation makes no line


def test_the_title_names_the_environment(tmp_path):
    assert (
        title(*read(write_run(tmp_path, env="Acrobot-v1")))
        == "guess Acrobot-v1, invasive_ga, 8 members x 4 generations"
    )


def test_a_notebook_shows_a_figure_without_pyplot(tmp_path):
    _, history = read(write_run(tmp_path))
    assert convergence_figure(history)._repr_png_().startswith(b"\x89PNG")
