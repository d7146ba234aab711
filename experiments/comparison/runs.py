"""Runs of the methods: ours as one program over all seeds, the peers one by one; each gives a curve of true regret."""

import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.comparison.models import Model
from experiments.comparison.peers import PEERS
from experiments.comparison.problems import ScoredTask, catalogue
from experiments.comparison.variants import variant_options
from jaxga import ALGORITHMS, SearchSpace
from jaxga.base import Algorithm
from jaxga.loop import as_keys
from jaxga.many import searches_program


class Run(NamedTuple):
    """One search.

    Attributes:
        curve: the true regret of what is recommended after each generation [G].
        seconds: of one ask and tell of a generation, the mean; for ours over all seeds, which follow one another in
            one program.
        num_evaluations: how many it was given.
    """

    curve: list[float]
    seconds: float
    num_evaluations: int


@cache
def problem_task(name: str) -> ScoredTask | Model:
    """The task or model of a problem, built once."""
    return catalogue()[name].build()


# --- ours ---


@cache
def _algorithm(method: str, space: SearchSpace, population_size: int) -> Algorithm:
    """``NAME`` or ``NAME:VARIANT``."""
    name, _, variant = method.partition(":")
    return ALGORITHMS[name](space, population_size=population_size, **variant_options(variant, population_size))


@jax.jit
def _regrets(task: ScoredTask, genomes: Array) -> Array:
    return jax.vmap(jax.vmap(lambda genome: task.regret(task.space.decode(genome))))(genomes)


def run_ours(method: str, problem: str, size: int, num_generations: int, num_seeds: int) -> list[Run]:
    """All seeds of one of ``ALGORITHMS`` on one problem, in one program where the problem is JAX."""
    task = problem_task(problem)
    if isinstance(task, Model):
        return _run_ours_on_host(method, task, size, num_generations, num_seeds)
    program = searches_program(task, _algorithm(method, task.space, size), None, num_generations, 1, "own", 1, None)
    arguments = (as_keys(range(num_seeds)), task, jnp.int32(num_generations))
    search = program.lower(*arguments).compile()
    began = time.perf_counter()
    _, record = jax.block_until_ready(search(*arguments))
    seconds = (time.perf_counter() - began) / (num_seeds * num_generations)
    curves = np.asarray(_regrets(task, record.best.genome))
    return [Run([float(x) for x in curve], seconds, size * num_generations) for curve in curves]


def forget_programs() -> None:
    """Let go of what was compiled: a process may not have more than some hundreds of such programs."""
    for function in (_host_program, _algorithm):
        function.cache_clear()
    jax.clear_caches()


@cache
def _host_program(method: str, space: SearchSpace, size: int) -> tuple[Callable[..., Any], ...]:
    algorithm = _algorithm(method, space, size)
    ask = jax.jit(jax.vmap(algorithm.ask))
    tell = jax.jit(jax.vmap(lambda *arguments: algorithm.tell(*arguments, jnp.zeros(size))))
    return jax.jit(jax.vmap(algorithm.init)), ask, tell


def _run_ours_on_host(method: str, model: Model, size: int, num_generations: int, num_seeds: int) -> list[Run]:
    init, ask, tell = _host_program(method, model.space, size)
    keys, states, best, seconds = as_keys(range(num_seeds)), None, [], []
    states = init(keys)
    for generation in range(num_generations):
        key_ask, key_tell = jnp.moveaxis(
            jax.vmap(lambda key, g=generation: jax.random.split(jax.random.fold_in(key, g + 1)))(keys), 1, 0
        )
        began = time.perf_counter()
        offspring, states = ask(key_ask, states)
        genomes = jax.block_until_ready(offspring.genomes)
        middle = time.perf_counter()
        settings = model.space.settings(genomes.reshape(-1, model.space.size))
        losses = jnp.asarray([model.loss(setting) for setting in settings], jnp.float32).reshape(num_seeds, size)
        told = time.perf_counter()
        states, believed = jax.block_until_ready(tell(key_tell, states, genomes, losses))
        seconds.append(time.perf_counter() - told + middle - began)
        best.append(believed.loss)
    curves = np.stack([np.asarray(row) for row in best], axis=1)
    # The first generation compiles.
    mean = float(np.mean(seconds[1:] or seconds)) / num_seeds
    return [Run([float(x) for x in curve], mean, size * num_generations) for curve in curves]


def seconds_alone(method: str, space: SearchSpace, size: int, num_generations: int) -> float:
    """Seconds of one ask and tell of a single search, the median over its generations without the compilation."""
    algorithm = _algorithm(method, space, size)
    ask, tell = jax.jit(algorithm.ask), jax.jit(algorithm.tell)
    state, seconds = algorithm.init(jax.random.key(0)), []
    for generation in range(num_generations):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(1), generation))
        began = time.perf_counter()
        offspring, state = ask(keys[0], state)
        genomes = jax.block_until_ready(offspring.genomes)
        middle = time.perf_counter()
        loss = jnp.sum((genomes - 0.3) ** 2, axis=1)
        told = time.perf_counter()
        state, _ = jax.block_until_ready(tell(keys[1], state, genomes, loss, jnp.zeros(size)))
        seconds.append(time.perf_counter() - told + middle - began)
    return float(np.median(seconds[1:] or seconds))


# --- the peers ---


@jax.jit
def _evaluate(task: ScoredTask, key: Array, genomes: Array) -> tuple[Array, Array]:
    def one(key: Array, genome: Array) -> tuple[Array, Array]:
        setting = task.space.decode(genome)
        return task.evaluate(key, setting).value, task.regret(setting)

    return jax.vmap(one)(jax.random.split(key, genomes.shape[0]), genomes)


def _scores(task: ScoredTask | Model, key: Array, settings: list[dict[str, Any]], size: int) -> np.ndarray:
    """f64[2, N]: what the method is told, and the true regret, of at most ``size`` settings."""
    if isinstance(task, Model):
        losses = [task.loss(setting) for setting in settings]
        return np.array([losses, losses])
    # A peer that knows no conditions has a value for everything; what is inactive is left out.
    genomes = np.stack([task.space.encode(task.space.active_part(setting)) for setting in settings])
    padded = np.concatenate([genomes, np.repeat(genomes[-1:], size - len(genomes), axis=0)])
    return np.asarray(_evaluate(task, key, jnp.asarray(padded)), np.float64)[:, : len(genomes)]


def run_peer(method: str, problem: str, size: int, num_generations: int, seed: int) -> Run:
    """One seed of one peer; what it recommends is its own best observed setting."""
    task = problem_task(problem)
    search = PEERS[method].start(task.space, size, num_generations, seed)
    key = jax.random.key(seed)
    told, true, seconds = [], [], 0.0
    for batch in batches(search, size * num_generations, size):
        scores = _scores(task, jax.random.fold_in(key, len(told)), batch.settings, size)
        seconds += batch.tell(scores[0])
        told += list(scores[0])
        true += list(scores[1])
    best = [int(np.nanargmin(told[: (g + 1) * size])) for g in range(num_generations)]
    return Run([float(true[i]) for i in best], seconds / num_generations, len(told))


class Batch(NamedTuple):
    """``tell(losses)`` returns the seconds that this batch's ask and tell took."""

    settings: list[dict[str, Any]]
    tell: Callable[[np.ndarray], float]


def batches(search: Any, num_evaluations: int, size: int) -> Iterator[Batch]:
    """Asks until ``num_evaluations`` were made, however few of them each ask gives; the last batch is cut."""
    done = 0
    while done < num_evaluations:
        began = time.perf_counter()
        settings = search.ask()
        asked = time.perf_counter() - began
        if not settings:
            raise RuntimeError(f"asked for nothing after {done} of {num_evaluations} evaluations")
        kept = settings[: min(size, num_evaluations - done)]
        done += len(kept)
        is_whole = len(kept) == len(settings)

        def tell(losses: np.ndarray, asked: float = asked, is_whole: bool = is_whole) -> float:
            began = time.perf_counter()
            if is_whole:  # the last batch of a search need not be told in part
                search.tell(losses)
            return asked + time.perf_counter() - began

        yield Batch(kept, tell)
