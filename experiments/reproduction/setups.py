"""What is searched, at which sizes, and by which methods."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxga import LogUniform, Objective, as_task
from jaxga.base import Algorithm, Task
from jaxga.registry import ALGORITHMS, SURROGATES
from jaxga.tasks.data import load_images
from jaxga.tasks.guess import guess
from jaxga.tasks.mnist import mnist
from jaxga.tasks.ppo import ppo

# As a reader sees them. NAME:MODEL is the invasive GA with another model.
LABELS = {
    "random_search": "random",
    "sobol_search": "Sobol",
    "grid_search": "grid",
    "ga": "GA",
    "invasive_ga": "invasive GA",
}
COMPARED = tuple(LABELS)
# Its default model first, under the method's own name.
_DEFAULT_MODEL = "deep_kernel"
MODELS = ("invasive_ga", *(f"invasive_ga:{name}" for name in SURROGATES if name != _DEFAULT_MODEL))


# Images of a minibatch, and hidden units: a training takes 2 ms of one core.
_WIDTH = 32


class Setup(NamedTuple):
    """One task at one size; ``num_parents`` and ``num_mutations`` are those of both genetic algorithms.

    Attributes:
        name: of the files that keep its searches.
        title: for a person.
        task: builds it.
        details: what of the task decides its values, in words; searches kept under other details are made again.
        num_searches: S, for every method.
        num_fresh: seeds under which every winner is evaluated again.
    """

    name: str
    title: str
    task: Callable[[], Task]
    details: str
    population_size: int
    num_generations: int
    num_searches: int
    num_fresh: int
    num_parents: int = 4
    num_mutations: int = 1

    @property
    def num_evaluations(self) -> int:
        """Of one search."""
        return self.population_size * self.num_generations

    @property
    def size(self) -> str:
        """Members x generations."""
        return f"{self.population_size} x {self.num_generations}"


@cache
def _digits(num_steps: int) -> Task:
    images = load_images("digits")
    return mnist(images, num_steps=num_steps, batch_size=_WIDTH, hidden_size=_WIDTH)


@cache
def _cartpole() -> Task:
    return ppo("CartPole-v1", num_steps=10_240, metric="area")


# Compiling PPO for five methods takes longer than all the rest of a quick run.
@as_task(
    {"learning_rate": LogUniform(1e-5, 1e-1), "max_grad_norm": LogUniform(0.05, 5.0)},
    objective=Objective("height", "max"),
)
def _noisy(key: Array, setting: dict[str, Array]) -> Array:
    distance = jnp.log10(setting["learning_rate"]) + 3.0
    return jax.random.normal(key) - distance**2 - setting["max_grad_norm"]


def _digits_details(num_steps: int) -> str:
    return f"8x8 digits, {num_steps} steps of {_WIDTH} images, {_WIDTH} hidden units; value: validation loss"


_CARTPOLE_DETAILS = "PPO on CartPole-v1, 10,240 environment steps in 8 parts; value: mean return over the training"


_GUESS = Setup(
    "guess", "10 numbers in [0, 99]", guess, "guess-the-numbers, target seed 0; value: mean distance", 10, 30, 100, 1
)
_MNIST = Setup("mnist", "an MLP on digits", lambda: _digits(100), _digits_details(100), 10, 10, 100, 8)
_CARTPOLE = Setup("cartpole", "PPO on CartPole", _cartpole, _CARTPOLE_DETAILS, 8, 10, 100, 8)
_FULL = (
    _GUESS,
    _MNIST,
    _MNIST._replace(name="mnist-dense", population_size=32, num_generations=32, num_searches=8),
    _CARTPOLE,
    _CARTPOLE._replace(name="cartpole-50", num_generations=50, num_searches=40),
)


def _quick(setup: Setup) -> Setup:
    """The same at a size for a test of the program: 3 searches of 3 generations."""
    task, details = setup.task, setup.details
    if setup.name.startswith("mnist"):
        task, details = lambda: _digits(20), _digits_details(20)
    elif setup.name.startswith("cartpole"):
        task, details = lambda: _noisy, "a noisy function in the place of PPO"
    sizes = {"population_size": min(setup.population_size, 10), "num_generations": 3, "num_searches": 3, "num_fresh": 2}
    return setup._replace(task=task, details=details, **sizes)


SETUPS = {setup.name: setup for setup in _FULL}
QUICK_SETUPS = {name: _quick(setup) for name, setup in SETUPS.items()}


def get_setup(name: str, is_quick: bool) -> Setup:
    """By name; the tiny one where quick."""
    return (QUICK_SETUPS if is_quick else SETUPS)[name]


def method_algorithm(method: str, setup: Setup) -> Algorithm:
    """A method, ``NAME`` or ``NAME:MODEL``, at a setup's sizes; a grid with just as many points as evaluations."""
    name, _, model = method.partition(":")
    space, options = setup.task().space, dict[str, Any]()
    if name == "grid_search":
        options["num_levels"] = next(n for n in range(2, 1000) if n**space.size >= setup.num_evaluations)
    elif name in ("ga", "invasive_ga"):
        options |= {"num_parents": setup.num_parents, "num_mutations": setup.num_mutations}
    if model:
        options["surrogate"] = model
    return ALGORITHMS[name](space, population_size=setup.population_size, **options)


def model_name(method: str) -> str:
    """The model of an invasive GA, for a person."""
    name = (method.partition(":")[2] or f"{_DEFAULT_MODEL} (default)").replace("_", " ")
    return name.replace("mlp", "MLP").replace("gaussian", "Gaussian")
