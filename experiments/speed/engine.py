"""Algorithms alone: what asking and telling cost, of jaxga's and of other packages' methods."""

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.speed.options import BenchmarkOptions
from jaxga import Objective, SearchSpace, Uniform, evolution
from jaxga.base import Algorithm
from jaxga.registry import ALGORITHMS
from jaxga.runtime import compiler_options
from jaxga.task import function_task

NUM_GENES = 10
METHODS = ("random_search", "ga", "invasive_ga")
PEERS = ("evosax", "cmaes", "pymoo_ga", "optuna_tpe")
SPACE = SearchSpace({f"x{i}": Uniform(0.0, 1.0) for i in range(NUM_GENES)})
_DISPATCH = 100
# Optuna's cost grows with what it was told: it is measured after so many evaluations.
_NUM_TOLD = 1024


def sphere(key: Any, setting: dict[str, Any]) -> Array:
    """A fitness that costs nothing."""
    del key
    return jnp.sum(jnp.square(jnp.stack(list(setting.values())) - 0.3))


def seconds_of(function: Callable[[], Any], least: float = 0.5) -> float:
    """Seconds of a call, the median of as many as fill ``least`` seconds, at least three; the first is not counted."""
    jax.block_until_ready(function())
    seconds: list[float] = []
    while sum(seconds) < least or len(seconds) < 3:
        began = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def ask_and_tell(algorithm: Algorithm) -> tuple[float, float]:
    """Seconds of an ask and a tell after three generations, and of the first ones, which compile."""
    key, size = jax.random.key(0), algorithm.population_size
    state = algorithm.init(key)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        offspring, state = algorithm.ask(key, state)
        loss = jnp.sum(jnp.square(offspring.genomes - 0.3), axis=1)
        state, _ = algorithm.tell(key, state, offspring.genomes, loss, jnp.zeros(size))
        jax.block_until_ready(state)
        seconds.append(time.perf_counter() - began)
    offspring, asked = algorithm.ask(key, state)
    loss = jnp.sum(jnp.square(offspring.genomes - 0.3), axis=1)
    asking = seconds_of(lambda: algorithm.ask(key, state))
    telling = seconds_of(lambda: algorithm.tell(key, asked, offspring.genomes, loss, jnp.zeros(size)))
    return asking + telling, seconds[0]


def measure(options: BenchmarkOptions, method: str) -> Iterator[dict[str, Any]]:
    """One row a population size, up to the first whose generation takes longer than ``--seconds``."""
    for size in [size for size in (16, 64, 256, 1024, 4096, 16_384) if size <= options.max_pop]:
        algorithm = ALGORITHMS[method](SPACE, population_size=size)
        seconds, compile_seconds = ask_and_tell(algorithm)
        yield {
            "pop": size,
            "ask_tell": seconds,
            "compile": compile_seconds,
            "generations_per_second": 1.0 / _in_one_program(algorithm, 1),
            "generations_per_second_100": _DISPATCH / _in_one_program(algorithm, _DISPATCH) if size <= 64 else None,
        }
        if seconds > options.seconds:
            return


def _in_one_program(algorithm: Algorithm, num_generations: int) -> float:
    """Seconds of a program of so many generations."""
    task = function_task(sphere, SPACE, Objective("value", "min"))
    program = jax.jit(
        evolution.advance(evolution.make_step(algorithm), num_generations), compiler_options=compiler_options()
    )
    key = jax.random.key(0)
    state = evolution.init(algorithm, key)._replace(generation=jnp.int32(0))
    for _ in range(2):  # past the founders, which are dearer
        state, _ = program(key, state, task, jnp.int32(1 << 30))
    return seconds_of(lambda: program(key, state, task, jnp.int32(1 << 30)))


def measure_peer(options: BenchmarkOptions, name: str) -> Iterator[dict[str, Any]]:
    """One row: the ask and the tell of another package's method at ``--pop`` members."""
    yield {"pop": options.pop, "ask_tell": _evosax(options.pop) if name == "evosax" else _peer(name, options.pop)}


def missing(name: str) -> str | None:
    """The package that a peer lacks, if any."""
    if name == "evosax":
        return None if importlib.util.find_spec("evosax") else "evosax"
    from experiments.comparison.peers import PEERS as KNOWN

    return KNOWN[name].missing()


def _evosax(size: int) -> float:
    from evosax.algorithms import SimpleGA

    method = SimpleGA(population_size=size, solution=jnp.zeros(NUM_GENES))
    parameters, key = method.default_params, jax.random.key(0)
    ask, tell = jax.jit(method.ask), jax.jit(method.tell)
    population = jax.random.uniform(key, (size, NUM_GENES))
    loss = jnp.sum(jnp.square(population - 0.3), axis=1)
    state = method.init(key, population, loss, parameters)
    population, state = ask(key, state, parameters)
    seconds = seconds_of(lambda: ask(key, state, parameters))
    return seconds + seconds_of(lambda: tell(key, population, loss, state, parameters))


def _peer(name: str, size: int) -> float:
    from experiments.comparison.peers import PEERS as KNOWN

    num_generations = 1 + -(-_NUM_TOLD // size)
    search = KNOWN[name].start(SPACE, size, num_generations + 1, 0)
    seconds = 0.0
    for _ in range(num_generations):
        began = time.perf_counter()
        settings = search.ask()
        losses = np.array([sum((value - 0.3) ** 2 for value in setting.values()) for setting in settings])
        search.tell(losses)
        seconds = time.perf_counter() - began
    return seconds
