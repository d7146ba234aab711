"""Searches by the invasive genetic algorithm with 1, 2 and 4 replicates, at equal numbers of trainings."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from experiments.blocks import join_blocks
from jaxga import Objective, Uniform, as_task
from jaxga.base import Task
from jaxga.many import optimize_many
from jaxga.runs.draft import draft
from jaxga.tasks.ppo import ppo

REPLICATES = (1, 2, 4)
_POPULATION_SIZE = 8
_NUM_FRESH = 8
# What a run that is stopped loses at most.
_BLOCK_SIZE = 20


class SearchSetup(NamedTuple):
    """One task at one size.

    Attributes:
        name: of its files.
        title: for a person.
        task: builds it.
        details: what of the task decides its values, in words; searches kept under other details are made again.
        num_trainings: of one search; a multiple of 32.
        num_searches: S, for each number of replicates.
        algorithm: its name.
    """

    name: str
    title: str
    task: Callable[[], Task]
    details: str
    num_trainings: int
    num_searches: int
    algorithm: str = "invasive_ga"


class Winners(NamedTuple):
    """Of S searches: f32[S], the best value as a search shows it, and the mean of the winner under fresh seeds."""

    shown: np.ndarray
    true: np.ndarray


_cached = cache(ppo)


def _setup(name: str, title: str, env: str, num_steps: int) -> SearchSetup:
    return SearchSetup(
        name,
        title,
        lambda: _cached(env, num_steps=num_steps, metric="area"),
        f"PPO on {env}, {num_steps:,} environment steps, the default search space; value: mean return over the"
        " training",
        num_trainings=96,
        num_searches=100,
    )


@as_task({"x": Uniform(-1.0, 1.0)}, objective=Objective("height", "max"))
def _noisy(key: Array, setting: dict[str, Array]) -> Array:
    return jax.random.normal(key) - setting["x"] ** 2


# By the environment's name. The trainings are so short that the seed changes the return of a good setting more than the
# choice among the good settings does: where replicates could help.
SEARCHES = {
    setup.name: setup
    for setup in (
        _setup("cartpole", "CartPole", "CartPole-v1", 10_240),
        _setup("pendulum", "Pendulum", "Pendulum-v1", 25_600),
    )
}
# A program with PPO and the invasive GA takes thirty seconds to compile.
QUICK_SEARCHES = {
    "cartpole": SearchSetup("noisy", "A noisy function", lambda: _noisy, "a noisy function", 32, 3, "random_search")
}


def complete(folder: Path, setup: SearchSetup) -> None:
    """Make the searches that are missing in ``folder``; those of one key with every number of replicates together."""
    folder.mkdir(parents=True, exist_ok=True)
    blocks = {num_replicates: _blocks(folder, setup, num_replicates) for num_replicates in REPLICATES}
    for each in zip(*blocks.values(), strict=True):
        for num_replicates, (keys, path) in zip(REPLICATES, each, strict=True):
            if not path.exists():
                _make(path, setup, num_replicates, keys)
        done = each[0][0].stop
        print(f"searches: {setup.name}, {done} of {setup.num_searches} for each number of replicates", flush=True)


def _make(path: Path, setup: SearchSetup, num_replicates: int, keys: range) -> None:
    results = optimize_many(
        setup.task(),
        keys=keys,
        algorithm=setup.algorithm,
        population_size=_POPULATION_SIZE,
        num_generations=setup.num_trainings // (_POPULATION_SIZE * num_replicates),
        num_replicates=num_replicates,
        num_fresh=_NUM_FRESH,
        keep_model="none",
    )
    with draft(path) as made, made.open("wb") as file:
        np.savez(file, shown=[r.best_value for r in results], true=[r.fresh_value for r in results])


def load(folder: Path, setup: SearchSetup) -> dict[int, Winners]:
    """What was made, by the number of replicates; search ``i`` of each has the same key and the same fresh seeds."""
    found = {}
    for num_replicates in REPLICATES:
        paths = [path for _, path in _blocks(folder, setup, num_replicates)]
        found[num_replicates] = Winners(**join_blocks(paths, Winners._fields))
    return found


def sizes(setup: SearchSetup, num_replicates: int) -> str:
    """Members x generations x replicates."""
    return f"{_POPULATION_SIZE} x {setup.num_trainings // (_POPULATION_SIZE * num_replicates)} x {num_replicates}"


def _blocks(folder: Path, setup: SearchSetup, num_replicates: int) -> list[tuple[range, Path]]:
    """The keys and the file of each block; the name has all that decides the content."""
    decides = (setup.details, setup.algorithm, sizes(setup, num_replicates), _NUM_FRESH)
    mark = hashlib.sha256(repr(decides).encode()).hexdigest()[:8]
    stem = f"{setup.name}-{num_replicates}-{mark}"
    blocks = [range(i, min(i + _BLOCK_SIZE, setup.num_searches)) for i in range(0, setup.num_searches, _BLOCK_SIZE)]
    return [(keys, folder / f"{stem}-{keys.start}-{keys.stop}.npz") for keys in blocks]
