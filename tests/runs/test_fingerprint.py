"""Whether a resumed run can tell that its functions have changed."""

import os
import subprocess
import sys
import textwrap
import warnings
from functools import partial

import jax.numpy as jnp
import pytest

import jaxga
from jaxga.cli.replay import main as replay
from jaxga.runs import records
from jaxga.runs.fingerprint import fingerprint
from jaxga.task import function_task
from tests.command_line import main

SPACE = jaxga.SearchSpace(x=jaxga.Uniform(-1.0, 1.0))
RANDOM = jaxga.random_search(SPACE, population_size=4)


def of(fitness, algorithm=RANDOM):
    return fingerprint(function_task(fitness, SPACE, jaxga.Objective()), algorithm)


def scaled(captured, key, setting):
    del key
    return setting["x"] * captured.sum()


def test_what_is_computed_counts_and_nothing_else():
    def renamed(key, hyperparameters):
        """The same, with other names and a comment."""
        del key
        return hyperparameters["x"] ** 2

    assert of(lambda key, setting: setting["x"] ** 2) == of(renamed)
    assert of(lambda key, setting: setting["x"] ** 4)["task"] != of(renamed)["task"]
    one, other = (partial(scaled, jnp.array([1.0, n])) for n in (2.0, 3.0))
    assert of(one)["task"] != of(other)["task"] == of(partial(scaled, jnp.array([1.0, 3.0])))["task"]


def test_another_operator_is_another_algorithm():
    uniform, other = (jaxga.ga(SPACE, population_size=4, crossover=name) for name in ("uniform", "one_point"))
    same = jaxga.ga(SPACE, population_size=4)
    digests = [of(lambda key, setting: setting["x"], algorithm)["algorithm"] for algorithm in (uniform, other, same)]
    assert digests[0] == digests[2] != digests[1]


def test_what_a_schedule_calls_counts_too():
    def revise(key, state, measured):
        state, best, forecast = RANDOM.revise(key, state, measured)
        return state, best, forecast + 1.0

    digests = [
        of(lambda key, setting: setting["x"], algorithm)["algorithm"]
        for algorithm in (RANDOM, RANDOM._replace(revise=revise))
    ]
    assert digests[0] != digests[1]


def test_it_is_the_same_in_every_process():
    code = """
    import jax, jaxga
    from jaxga.runs.fingerprint import fingerprint
    from jaxga.tasks.mnist import mnist

    task = mnist(dataset="digits")  # its activation functions have addresses
    print(fingerprint(task, jaxga.invasive_ga(task.space, population_size=4)))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    seeds = [os.environ | {"PYTHONHASHSEED": seed} for seed in "12"]
    running = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for env in seeds]
    one, two = (process.communicate(timeout=100)[0] for process in running)
    assert one == two != ""


def _search(path, fitness, num_generations):
    options = {"algorithm": "ga", "population_size": 4, "num_generations": num_generations, "num_fresh": 0}
    return jaxga.minimize(fitness, SPACE, **options, out=path / "run", resume=True, report=False)


def test_a_resume_in_code_warns_of_another_function(tmp_path):
    _search(tmp_path, lambda key, setting: setting["x"] ** 2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _search(tmp_path, lambda key, setting: setting["x"] ** 2, 3)
    with pytest.warns(UserWarning, match="the task computes something else than when this run began"):
        _search(tmp_path, lambda key, setting: 5.0 - setting["x"] ** 2, 4)


def test_another_commit_is_no_reason_to_be_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_git_commit", lambda: "one")
    _search(tmp_path, lambda key, setting: setting["x"] ** 2, 2)
    monkeypatch.setattr(records, "_git_commit", lambda: "two")
    with pytest.warns(UserWarning, match="git commit|computes something else") as told:
        _search(tmp_path, lambda key, setting: 5.0 - setting["x"] ** 2, 3)
    commit, task = (str(each.message) for each in told)
    assert commit == "git commit was one, is now two"
    assert "the task computes something else" in task


def test_a_resume_on_the_command_line_says_so(tmp_path, capfd):
    file, folder = tmp_path / "own.py", str(tmp_path / "run")
    source = """
    import jaxga

    @jaxga.as_task({"x": jaxga.Uniform(0.0, 1.0)})
    def task(key, setting):
        return setting["x"] POWER
    """

    def write(power):
        file.write_text(textwrap.dedent(source.replace("POWER", power)))

    more = ["--processes", "1", "--no-report", "--fresh", "1"]
    told = "the task computes something else than when this run began"
    write("** 2")
    options = ["--task", f"{file}:task", "--pop", "4", "--generations", "2", "--algorithm", "random_search"]
    assert main([*options, "--out", folder, *more]) == 0
    assert main(["--resume", folder, "--generations", "3", *more]) == 0
    assert told not in "".join(capfd.readouterr())
    write("+ 7.0")
    assert main(["--resume", folder, "--generations", "4", *more]) == 0
    assert told in " ".join("".join(capfd.readouterr()).split())
    assert replay([folder, "--seeds", "1"]) == 0
    assert told in " ".join(capfd.readouterr().out.split())
