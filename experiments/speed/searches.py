"""Whole searches: many in one program, one call after another, and another package's."""

import time
from collections.abc import Iterator
from typing import Any

import jax

from experiments.speed.engine import NUM_GENES, SPACE, sphere
from experiments.speed.options import BenchmarkOptions

POP, NUM_GENERATIONS = 8, 10


def _row(seconds: list[float], num: int) -> Iterator[dict[str, Any]]:
    first, second = seconds
    yield {"pop": POP, "searches": num, "first_call": first, "searches_per_second": num / second}


def in_one_program(options: BenchmarkOptions, method: str) -> Iterator[dict[str, Any]]:
    """One row: ``optimize_many``; the second call has other keys."""
    from jaxga import Objective, optimize_many
    from jaxga.task import function_task

    task, num = function_task(sphere, SPACE, Objective("value", "min")), options.searches
    seconds = []
    for seed in range(2):
        began = time.perf_counter()
        keys = jax.random.split(jax.random.key(seed), num)
        optimize_many(
            task, keys=keys, algorithm=method, population_size=POP, num_generations=NUM_GENERATIONS, num_fresh=0
        )
        seconds.append(time.perf_counter() - began)
    return _row(seconds, num)


def one_after_another(options: BenchmarkOptions, method: str) -> Iterator[dict[str, Any]]:
    """One row: as many calls of ``minimize``, after a first one that compiles."""
    from jaxga import minimize

    num, seconds = options.searches, []
    for seeds in (range(1), range(1, num + 1)):
        began = time.perf_counter()
        for seed in seeds:
            minimize(
                sphere, SPACE, key=seed, algorithm=method, population_size=POP, num_generations=NUM_GENERATIONS,
                generations_per_dispatch=NUM_GENERATIONS, num_fresh=0,
            )  # fmt: skip
        seconds.append(time.perf_counter() - began)
    return _row(seconds, num)


def hyperoptax(options: BenchmarkOptions) -> Iterator[dict[str, Any]]:
    """One row: hyperoptax's Gaussian-process search of as many evaluations, each search one compiled scan."""
    from hyperoptax import BayesianSearch, LinearSpace  # pyright: ignore[reportMissingImports]

    space = {f"x{i}": LinearSpace(0.0, 1.0) for i in range(NUM_GENES)}
    state, optimizer = BayesianSearch.init(space, n_max=POP * NUM_GENERATIONS, n_parallel=POP)

    @jax.jit
    def search(key: jax.Array) -> Any:
        return optimizer.optimize_scan(state, key, sphere, n_iterations=NUM_GENERATIONS)[1]

    num, seconds = options.searches, []
    for seeds in (range(1), range(1, num + 1)):
        began = time.perf_counter()
        for seed in seeds:
            jax.block_until_ready(search(jax.random.key(seed)))
        seconds.append(time.perf_counter() - began)
    return _row(seconds, num)
