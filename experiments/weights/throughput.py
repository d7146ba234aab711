"""Frames a second of whole generations, beside evosax's own ask, evaluate, tell on the same task."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from evosax.algorithms import Open_ES, Sep_CMA_ES, SimpleGA
from jax import Array

import jaxga
from jaxga import evolution
from jaxga.adapters.evosax import evosax_search
from jaxga.chunks import plan_chunk
from jaxga.tasks.neuroevolution import Neuroevolution, neuroevolution

# Its episodes have all 200 steps, whatever the policy: every program plays the same number of frames.
ENV = "Pendulum-v1"
_STD = 0.1


class Pair(NamedTuple):
    """Frames a second of jaxga and of evosax, the medians over the rounds; ``ratio`` is that of the medians."""

    method: str
    beside: str
    jaxga: float
    evosax: float

    @property
    def ratio(self) -> float:
        return self.jaxga / self.evosax


def measure(population_size: int, num_generations: int, num_rounds: int, num_pairs: int = 3) -> list[Pair]:
    """Each pair of programs in turn, ``num_rounds`` times, after a first call of each that compiles."""
    task = neuroevolution(ENV)
    flat, std = jnp.zeros(task.space.size), optax.constant_schedule(_STD)
    simple = SimpleGA(population_size, flat, std_schedule=std)
    strategies = {
        "evosax_open_es": Open_ES(population_size, flat, optimizer=optax.adam(0.05), std_schedule=std),
        "evosax_sep_cma_es": Sep_CMA_ES(population_size, flat),
    }
    pairs = [("truncation_ga", "SimpleGA", jaxga.ALGORITHMS["truncation_ga"], simple)]
    pairs += [
        (name, type(strategy).__name__, lambda space, population_size, s=strategy: evosax_search(space, s), strategy)
        for name, strategy in strategies.items()
    ]
    frames = population_size * task.num_episodes * task.environment.max_steps * num_generations
    found = []
    for method, beside, factory, strategy in pairs[:num_pairs]:
        algorithm = factory(task.space, population_size=population_size)
        programs = (
            _engine(task, algorithm, num_generations),
            jax.jit(partial(_evosax, strategy, num_generations)),
        )
        seconds = [[_seconds(program, task, key) for program in programs] for key in range(num_rounds + 1)]
        own, its = np.median(seconds[1:], axis=0)
        found.append(Pair(method, beside, frames / own, frames / its))
    return found


def _seconds(program: Callable[..., Any], task: Neuroevolution, key: int) -> float:
    began = time.perf_counter()
    jax.block_until_ready(program(jax.random.key(key), task))
    return time.perf_counter() - began


def _engine(task: Neuroevolution, algorithm: jaxga.Algorithm, num_generations: int) -> Callable[..., Any]:
    """Jaxga's generations in one scan, with all that is recorded."""
    step = evolution.make_step(algorithm, chunk_size=plan_chunk("auto", task))
    scanned = evolution.scan(step, num_generations)
    return jax.jit(lambda key, task: scanned(key, evolution.init(algorithm, key), task))


def _evosax(strategy: Any, num_generations: int, key: Array, task: Neuroevolution) -> Any:
    """The strategy's generations in one scan; evosax minimises."""
    params, size = strategy.default_params, strategy.population_size

    def evaluate(key: Array, population: Array) -> Array:
        keys = jax.random.split(key, size)
        return -jax.vmap(lambda key, weights: task.evaluate(key, {"weights": weights}).value)(keys, population)

    def generation(state: Any, key: Array) -> tuple[Any, Array]:
        key_ask, key_evaluate, key_tell = jax.random.split(key, 3)
        population, state = strategy.ask(key_ask, state, params)
        fitness = evaluate(key_evaluate, population)
        return strategy.tell(key_tell, population, fitness, state, params)[0], fitness

    key_init, key_first, key_run = jax.random.split(key, 3)
    if isinstance(strategy, SimpleGA):
        population = jax.random.normal(key_first, (size, task.space.size))
        state = strategy.init(key_init, population, jnp.zeros(size), params)
    else:
        state = strategy.init(key_init, jnp.zeros(task.space.size), params)
    state = jax.tree.map(jnp.asarray, state)
    return jax.lax.scan(generation, state, jax.random.split(key_run, num_generations))
