"""``--task`` runs any task: registered, in a module, in a file."""

import json
import textwrap

import numpy as np
import pytest

import jaxga
from jaxga.cli.replay import main as replay
from jaxga.cli.run import main

FILE = """
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import jaxga

SPACE = {"x": jaxga.Uniform(-1.0, 1.0)}


@jaxga.as_task(SPACE, objective=jaxga.Objective("height", "max"))
def hill(key, setting):
    return 1.0 - setting["x"] ** 2


def valley(key, setting):
    return setting["x"] ** 2


valley.space = SPACE


def pair():
    return valley, SPACE


def shaped(num_steps: int = 3, *, kind: Literal["up", "down"] = "up", scale: float = 1.0, deep: bool = False, tag=None):
    return jaxga.as_task(SPACE)(lambda key, setting: scale * (setting["x"] - num_steps) ** 2 + deep)


def plain(key, setting):
    return setting["x"] ** 2


def needy(depth):
    return valley, SPACE


def wrong_shape():
    return jaxga.as_task(SPACE)(lambda key, setting: jnp.ones(2) * setting["x"])


def raises():
    return {}["nothing"]


def untraceable():
    return jaxga.as_task(SPACE)(lambda key, setting: setting["x"].upper())


number = 3
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    (tmp_path / "broken.py").write_text("import jaxga\n\nspace = jaxga.nothing\n")
    (tmp_path / "unwritten.py").write_text("def f(:\n")
    (tmp_path / "needs.py").write_text("import a_package_that_is_not_there\n")
    return tmp_path


def run(task, *arguments):
    small = ["--pop", "4", "--generations", "2", "--fresh", "2", "--processes", "1", "--no-report", "--quiet"]
    return main(["--task", task, *small, "--algorithm", "random_search", "--out", "run", *arguments])


@pytest.mark.parametrize("name", ["hill", "valley", "pair", "shaped"])
def test_a_file_of_the_users_own(file, name):
    assert run(f"mine.py:{name}") == 0
    saved = jaxga.load(file / "run")
    assert saved.objective == jaxga.Objective(*(("height", "max") if name == "hill" else ("value", "min")))
    assert list(saved.best) == ["x"]


def test_a_module_on_the_path(file):
    assert run("mine:hill") == 0


def test_it_is_resumed_to_the_same_bits(file):
    arguments = ["--set", "scale=2.5"]
    assert run("mine.py:shaped", *arguments) == 0
    assert run("mine.py:shaped", *arguments, "--generations", "1", "--out", "half") == 0
    assert main(["--resume", "half", "--generations", "2", "--quiet", "--no-report", "--processes", "1"]) == 0
    assert (file / "half" / "history.csv").read_bytes() == (file / "run" / "history.csv").read_bytes()


def test_arguments_are_typed_by_the_signature(file):
    assert run("mine.py:shaped", "--set", "scale=2.5", "--set", "kind=down", "--set", "deep=true", "--steps", "7") == 0
    told = json.loads((file / "run" / "config.json").read_text())["task_arguments"]
    assert told == {"num_steps": "7", "scale": "2.5", "kind": "down", "deep": "True"}


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("nowhere:f", [], "--task nowhere:f: there is no module 'nowhere'"),
        ("nowhere.py:f", [], "--task nowhere.py:f: there is no file nowhere.py"),
        ("mine.py:nothing", [], "mine.py has no 'nothing'; it has hill, valley, pair"),
        ("mnits", [], "did you mean mnist?"),
        ("mine.py", [], "--task must be one of"),
        (
            "broken.py:f",
            [],
            "cannot be imported: AttributeError: module 'jaxga' has no attribute 'nothing' (broken.py:3)",
        ),
        ("unwritten.py:f", [], "cannot be imported: SyntaxError: invalid syntax (unwritten.py:1)"),
        ("needs.py:f", [], "No module named 'a_package_that_is_not_there' (needs.py:1)"),
        ("mine.py:number", [], "must be a task or a function that returns one, got 3"),
        ("mine.py:needy", [], "needs the arguments depth: give each by --set NAME=VALUE"),
        ("mine.py:plain", [], "is a function of key, setting: decorate it with @jaxga.as_task(space)"),
        ("mine.py:raises", [], "KeyError: 'nothing' (mine.py:"),
        ("mine.py:wrong_shape", [], "the value of evaluate must be"),
        ("mine.py:untraceable", [], "has no attribute upper (mine.py:"),
        ("mine.py:shaped", ["--set", "step=3"], "did you mean num_steps?"),
        ("mine.py:shaped", ["--set", "num_steps=many"], "--set num_steps must be of type int, got 'many'"),
        ("mine.py:shaped", ["--set", "kind=sideways"], "--set kind must be one of up, down, got 'sideways'"),
        ("mine.py:shaped", ["--set", "deep=maybe"], "--set deep must be of type bool, got 'maybe'"),
        ("mine.py:shaped", ["--set", "scale"], "--set must be NAME=VALUE, got 'scale'"),
        ("mine.py:shaped", ["--set", "scale=1", "--set", "scale=2"], "--set scale is given twice"),
        ("mine.py:shaped", ["--steps", "2", "--set", "num_steps=3"], "--set num_steps is given twice"),
        ("mine.py:shaped", ["--env", "CartPole-v1"], "--env does not apply to --task mine.py:shaped"),
        ("mine.py:hill", ["--set", "scale=1"], "takes no arguments"),
        ("guess", ["--search", "full"], "--search does not apply to --task guess"),
        ("guess", ["--set", "num_numbers=0"], "num_numbers must be a whole number of at least 1, got 0"),
    ],
)
def test_a_mistake_is_one_line(file, task, arguments, message, capfd):
    assert run(task, *arguments) == 2
    err = capfd.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (file / "run").exists()


def test_a_registered_task_takes_arguments(file):
    assert run("guess", "--set", "num_numbers=3") == 0
    assert list(jaxga.load(file / "run").best) == ["n0", "n1", "n2"]


def test_every_task_that_ships_is_registered():
    from jaxga.cli.task_factories import registered

    assert {"guess", "mnist", "cartpole", "ppo"} <= set(registered())


def test_one_checkout_never_runs_anothers_code(tmp_path):
    """The script of a checkout imports the package beside it, not the one that is installed."""
    import shutil
    import subprocess
    import sys
    from pathlib import Path

    root = Path(jaxga.__file__).parent.parent
    other = tmp_path / "other"
    (other / "experiments").mkdir(parents=True)
    shutil.copy(root / "experiments" / "run.py", other / "experiments" / "run.py")
    package = other / "jaxga" / "cli"
    package.mkdir(parents=True)
    for folder in (other / "jaxga", package):
        (folder / "__init__.py").write_text("")
    (package / "run.py").write_text("def main():\n    return 0\n")
    start = textwrap.dedent("""
        def run_command(main):
            print("the other checkout")
    """)
    (package / "start.py").write_text(start)
    command = [sys.executable, str(other / "experiments" / "run.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=True)
    assert done.stdout == "the other checkout\n"


CLASHING = """
from dataclasses import dataclass

import jax
import jaxga


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Task:
    num_steps = 1
    space = jaxga.SearchSpace(x=jaxga.Uniform(0.0, 1.0))
    objective = jaxga.Objective("loss")

    def evaluate(self, key, setting):
        return jaxga.Evaluation(setting["x"], {"loss": setting["x"] + 100.0})


task = Task()
"""


def test_a_metric_of_the_objectives_name_is_another_figure(tmp_path, capfd):
    (tmp_path / "mine.py").write_text(CLASHING)
    task = ["--task", f"{tmp_path / 'mine.py'}:task"]
    small = ["--pop", "4", "--algorithm", "ga", "--generations", "1", "--processes", "1", "--no-report"]
    assert main([*task, *small, "--out", str(tmp_path / "run")]) == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    searched, fresh, metric = (
        next(line for line in lines if line[: len(head)] == head) for head in (["loss,"], ["loss"], ["metric", "loss"])
    )
    assert float(fresh[1]) == float(searched[2]) < 1
    assert float(metric[2]) > 100
    assert replay([str(tmp_path / "run"), "--seeds", "2"]) == 0
    values = json.loads((tmp_path / "run" / "replay.json").read_text())["values"]
    assert max(values["loss"]) < 1
    assert min(values["metric_loss"]) > 100


def test_a_task_that_seeks_something_else_now_is_not_replayed(tmp_path, capfd):
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    small = ["--pop", "4", "--algorithm", "ga", "--generations", "1", "--processes", "1", "--no-report", "--quiet"]
    assert main(["--task", f"{file}:hill", *small, "--out", str(tmp_path / "run")]) == 0
    file.write_text(FILE.replace('"max"', '"min"'))
    assert replay([str(tmp_path / "run")]) == 2
    assert "its task has another objective now" in capfd.readouterr().err


FLAKY = """
import jax
import jax.numpy as jnp
import jaxga


@jaxga.as_task({"x": jaxga.Uniform(0.0, 1.0)})
def task(key, setting):
    return jnp.where(jax.random.uniform(key) < 0.5, jnp.nan, setting["x"])
"""


def test_fresh_seeds_that_failed_are_told(tmp_path, capfd):
    (tmp_path / "mine.py").write_text(FLAKY)
    small = ["--pop", "8", "--algorithm", "random_search", "--generations", "1", "--processes", "1", "--fresh", "16"]
    assert main(["--task", f"{tmp_path / 'mine.py'}:task", *small, "--out", str(tmp_path / "run")]) == 0
    num_failed = int(np.isnan(jaxga.load(tmp_path / "run").fresh_values).sum())
    assert 0 < num_failed < 16
    assert f"16 fresh seeds, {num_failed} failed" in capfd.readouterr().out
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count(f"16 fresh seeds, of which {num_failed} failed") == 2
    assert "nan (" not in page
