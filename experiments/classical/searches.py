"""What the worker processes of ``experiments/grid.py`` compute: settings of scikit-learn's models and searches of them.

A worker finds a function by its module's name; that of a script is not the same in another process.
"""

import time
import warnings
from functools import lru_cache
from typing import Any

import numpy as np

from experiments.classical.report import Search

NUM_FOLDS, POPULATION_SIZE = 3, 16


@lru_cache
def load(dataset: str) -> Any:
    """The table; of the digits every third row, so that a grid takes minutes."""
    from jaxga.tasks.classical import Table, load_table

    table = load_table(dataset, None, None)
    return Table(table.inputs[::3], table.targets[::3]) if dataset == "digits" else table


@lru_cache
def make_space(model: str) -> Any:
    from jaxga import SearchSpace
    from jaxga.tasks.classical import MODELS

    return SearchSpace(MODELS[model].space)


def evaluate(model: str, dataset: str, setting: dict[str, Any]) -> tuple[float, float]:
    """The error on fixed folds, and the seconds of one core that it took."""
    from jaxga.tasks.classical import error_of

    table, began = load(dataset), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings that do not converge, which are part of the space
        error = error_of(model, table, NUM_FOLDS, 0, setting)
    return error, time.process_time() - began


def grid_settings(space: Any, num_levels: int) -> list[dict[str, Any]]:
    """All combinations of the choices and of ``num_levels`` evenly spaced values of each number, each setting once."""
    from sklearn.model_selection import ParameterGrid

    levels = {}
    for name, dimension in space.items:
        size = dimension.num_levels if dimension.is_categorical else num_levels
        column = dimension.column(np.linspace(0.0, 1.0, size, dtype=np.float32))
        levels[name] = list(dict.fromkeys(dimension.to_python(value) for value in column))
    active = [space.active_part(setting) for setting in ParameterGrid(levels)]
    return [dict(items) for items in dict.fromkeys(tuple(setting.items()) for setting in active)]


@lru_cache
def programs(model: str, method: str) -> tuple[Any, Any, Any]:
    """A method's ``init``, ``ask`` and ``tell``, the last two compiled."""
    import jax
    import jax.numpy as jnp

    import jaxga

    algorithm, key = jaxga.ALGORITHMS[method](make_space(model), population_size=POPULATION_SIZE), jax.random.key(0)
    state = algorithm.init(key)
    offspring, _ = jax.eval_shape(algorithm.ask, key, state)
    tell = jax.jit(algorithm.tell).lower(key, state, offspring.genomes, jnp.zeros(POPULATION_SIZE)).compile()
    return algorithm.init, jax.jit(algorithm.ask).lower(key, state).compile(), tell


def search(model: str, dataset: str, method: str, seed: int, budget: int, target: float) -> Search:
    """One search, until it has the target or has made ``budget`` evaluations."""
    import jax
    import jax.numpy as jnp

    init, ask, tell = programs(model, method)
    key = jax.random.key(seed)
    state, space = init(key), make_space(model)
    values: list[float] = []
    seconds: list[float] = []
    began = time.process_time()
    while len(values) < budget and min(values, default=np.inf) > target:
        key, key_ask, key_tell = jax.random.split(key, 3)
        offspring, state = ask(key_ask, state)
        settings = space.settings(offspring.genomes)
        own = time.process_time() - began
        results = [evaluate(model, dataset, setting) for setting in settings]
        values += [error for error, _ in results]
        costs = [cost for _, cost in results]
        seconds += [own + costs[0], *costs[1:]]
        began = time.process_time()
        state, _ = tell(key_tell, state, offspring.genomes, jnp.array([error for error, _ in results], jnp.float32))
        jax.block_until_ready(state)
    return Search(model, dataset, method, seed, values[:budget], seconds[:budget])
