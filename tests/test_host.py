"""Functions of the host in worker processes: what they get, what a failure is, how a run with them goes on."""

import os
import time
import warnings
from functools import lru_cache, partial

import numpy as np
import pytest

import jaxga
from tests.command_line import start

SPACE = {
    "x": jaxga.Uniform(-1.0, 1.0),
    "n": jaxga.Integer(1, 3),
    "c": jaxga.Categorical(["a", "b"]),
}
OPTIONS = {"algorithm": "random_search", "population_size": 6, "num_generations": 2, "num_fresh": 2}


def score(seed, setting):
    assert isinstance(seed, int)
    assert isinstance(setting["n"], int)
    return setting["x"] + setting["n"] + 10 * (setting["c"] == "b"), {"parity": seed % 2, "worker": os.getpid()}


def host_task(function, **options):
    return jaxga.as_host_task(SPACE, num_workers=2, **options)(function)


@lru_cache
def scored():
    return jaxga.optimize(host_task(score, metrics=["parity", "worker"]), **OPTIONS)


def columns(result):
    return result.history.columns


def test_the_function_gets_the_settings_that_the_history_shows():
    shown = columns(scored())
    expected = shown["x"] + shown["n"] + 10 * (shown["c"] == "b")
    assert np.allclose(shown["value"], expected, atol=1e-6)
    assert scored().best_value == pytest.approx(expected.min(), abs=1e-6)


def meets_another(folder, seed, setting):
    """Ends once two workers have called it."""
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)
    return setting["x"]


def test_two_workers_share_the_members_and_none_is_this_process(tmp_path):
    result = jaxga.optimize(host_task(partial(meets_another, tmp_path), timeout=60.0), **OPTIONS)
    workers = {int(path.name) for path in tmp_path.iterdir()}
    assert len(workers) == 2
    assert os.getpid() not in workers
    assert np.isfinite(columns(result)["value"]).all()


def test_members_and_replicates_have_seeds_of_their_own():
    result = jaxga.optimize(host_task(parity), num_replicates=8, **OPTIONS)
    # The mean of eight bits: that all twelve members have none or eight has a probability of 2^-84.
    assert not set(columns(result)["value"].tolist()) <= {0.0, 1.0}
    again = jaxga.optimize(host_task(parity), num_replicates=8, **OPTIONS)
    assert np.array_equal(columns(result)["value"], columns(again)["value"])


def parity(seed, setting):
    return seed % 2


def often_fails(seed, setting):
    if setting["n"] == 1:
        raise RuntimeError("it\ndiverged")
    if setting["c"] == "b":
        time.sleep(60)
    return setting["x"]


def leaves(seed, setting):
    if setting["c"] == "b":
        os._exit(7)
    return setting["x"]


def test_an_error_and_a_timeout_are_failed_members():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = jaxga.optimize(host_task(often_fails, timeout=1.0), **OPTIONS)
    shown = columns(result)
    fails = (shown["n"] == 1) | (shown["c"] == "b")
    assert fails.any()
    assert not fails.all()
    assert np.array_equal(np.isfinite(shown["value"].astype(float)), ~fails)
    texts = {str(warning.message) for warning in caught}
    assert {"a member failed: RuntimeError: it diverged", "a member failed: it took more than 1.0 s"} <= texts


def test_a_worker_that_ends_is_a_failed_member_and_the_run_goes_on():
    with pytest.warns(RuntimeWarning, match="its process ended with status 7"):
        result = jaxga.optimize(host_task(leaves), **OPTIONS)
    shown = columns(result)
    assert np.array_equal(np.isfinite(shown["value"].astype(float)), shown["c"] == "a")
    assert len(shown["value"]) == 12


@pytest.mark.parametrize(
    ("function", "metrics", "text"),
    [(lambda seed, setting: "much", [], "could not convert"), (parity, ["loss"], r"metrics \['loss'\], got")],
)
def test_a_result_of_another_form_says_what_is_allowed(function, metrics, text):
    with pytest.warns(RuntimeWarning, match=text), pytest.raises(jaxga.AllMembersFailed):
        jaxga.optimize(host_task(function, metrics=metrics), **OPTIONS)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    task = host_task(score, metrics=["parity", "worker"])
    jaxga.optimize(task, out=tmp_path, report=False, callbacks=[lambda generation: True], **OPTIONS)
    resumed = jaxga.optimize(task, out=tmp_path, resume=True, report=False, **OPTIONS)
    for name, whole in columns(scored()).items():
        if name != "worker":
            np.testing.assert_array_equal(columns(resumed)[name], whole, name)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: host_task(lambda setting: 0.0), r"a function of \(seed, setting\)"),
        (lambda: jaxga.as_host_task(3)(score), "space must be a SearchSpace or a dict"),
        (lambda: jaxga.as_host_task(SPACE, num_workers=0)(score), "num_workers must be a whole number of at least 1"),
        (lambda: jaxga.as_host_task(SPACE, timeout=0.0)(score), "timeout must be above 0, got 0.0"),
        (lambda: jaxga.as_host_task(SPACE, objective="max")(score), "objective must be a jaxga.Objective, got 'max'"),
        (lambda: jaxga.as_host_task(SPACE, metrics="loss")(score), "metrics must be a list of names, got 'loss'"),
    ],
)
def test_bad_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()


FILE = """
from functools import lru_cache
import jaxga

@lru_cache
def target():
    return 0.25

def distance(x):
    return abs(x - target())

@jaxga.as_host_task({"x": jaxga.Uniform(0.0, 1.0)}, num_workers=1)
def near(seed, setting):
    return distance(setting["x"])
"""


def test_the_command_line_runs_a_function_of_a_file(tmp_path):
    (tmp_path / "own.py").write_text(FILE)
    options = "--algorithm random_search --pop 8 --generations 2 --processes 1 --fresh 1 --no-report --out run"
    process = start(*f"--task own.py:near {options}".split(), cwd=tmp_path)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert not errors
    history = jaxga.load(tmp_path / "run").history.columns
    assert np.allclose(history["value"], np.abs(history["x"] - 0.25), atol=1e-6)
