"""The tasks that ship are factories, registered by name, each with the sizes of its own runs."""

import inspect
import tomllib
from dataclasses import FrozenInstanceError
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

import jaxga
from jaxga.task import FunctionTask, RunDefaults, defaults_of
from jaxga.tasks.mnist import mnist
from jaxga.tasks.ppo import cartpole, ppo

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
REGISTERED = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]["jaxga.tasks"]


def factory(name):
    module, attribute = REGISTERED[name].split(":")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize("name", REGISTERED)
def test_a_registered_task_is_a_factory_without_required_arguments(name):
    for parameter in inspect.signature(factory(name), eval_str=True).parameters.values():
        assert parameter.default is not parameter.empty
        # A choice of words is annotated with them, so that the command line can check it.
        if get_origin(parameter.annotation) is Literal:
            assert parameter.default in get_args(parameter.annotation)


def test_the_sizes_of_the_originals_experiments():
    sizes = {name: defaults_of(factory(name)) for name in REGISTERED}
    assert sizes["guess"] == RunDefaults(10, 30, num_fresh=1, is_heavy=False)
    assert sizes["mnist"] == RunDefaults(10, 10)
    assert sizes["ppo"] == sizes["cartpole"] == RunDefaults(8, 10, 3, 32)


def test_without_the_decorator_the_sizes_are_the_general_ones():
    general = RunDefaults(population_size=64, num_generations=20, num_replicates=1, num_fresh=8, is_heavy=True)
    assert defaults_of(lambda: None) == general == RunDefaults()
    assert defaults_of(jaxga.run_defaults()(lambda: None)) == general


def test_a_task_itself_can_have_sizes():
    @jaxga.run_defaults(population_size=5)
    @jaxga.as_task({"x": jaxga.Uniform(0.0, 1.0)})
    def task(key, setting):
        return setting["x"]

    assert isinstance(task, FunctionTask)
    assert defaults_of(task).population_size == 5
    with pytest.raises(FrozenInstanceError):
        defaults_of(task).population_size = 6


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"population_size": 0}, "run_defaults: population_size must be a whole number of at least 1, got 0"),
        ({"num_generations": "9"}, "run_defaults: num_generations must be a whole number of at least 1, got '9'"),
        ({"num_replicates": 0.5}, "run_defaults: num_replicates must be a whole number of at least 1, got 0.5"),
        ({"num_fresh": 0}, "run_defaults: num_fresh must be a whole number of at least 1, got 0"),
    ],
)
def test_sizes_are_checked(sizes, message):
    with pytest.raises(ValueError, match=message):
        jaxga.run_defaults(**sizes)


def test_cartpole_is_ppo_on_cartpole():
    assert cartpole() == ppo("CartPole-v1") == ppo()
    given = {"search": "full", "num_steps": 2048, "metric": "area"}
    assert cartpole(**given) == ppo("CartPole-v1", **given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ppo("cartpole-v1"), r"env must be one of .* got 'cartpole-v1'; did you mean CartPole-v1\?"),
        (lambda: ppo(None), "env must be one of .* got 'None'"),
        (lambda: cartpole(metric="returns"), r"ppo: metric must be one of return, area, got .*; did you mean return\?"),
        (lambda: mnist("minst"), r"dataset must be one of mnist, fashion_mnist, got 'minst'; did you mean mnist\?"),
        (lambda: mnist(search="Full"), r"mnist: search must be one of default, full, got 'Full'; did you mean full\?"),
        (lambda: mnist(num_steps="9"), "mnist: num_steps must be a whole number of at least 1, got '9'"),
    ],
)
def test_a_word_that_is_wrong(make, message):
    with pytest.raises(ValueError, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)
