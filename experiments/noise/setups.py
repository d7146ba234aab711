"""What is trained: environments, search spaces and sizes."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from jaxga.base import Task
from jaxga.tasks.ppo import ppo


class Setup(NamedTuple):
    """One task, and the sizes of its experiments.

    Attributes:
        name: of its files.
        title: for a person.
        task: builds it; its metrics have a ``curve``.
        details: what decides its values, in words; trainings kept under other details are made again.
        num_settings: N, drawn uniformly in the search space.
        num_seeds: S, trainings of each setting; even, because one half judges and the other half tells the truth.
        block_size: settings of one program; it divides N.
    """

    name: str
    title: str
    task: Callable[[], Task]
    details: str
    num_settings: int = 128
    num_seeds: int = 16
    block_size: int = 16


_cached = cache(ppo)


def _setup(name: str, title: str, env: str, search: str = "default", num_steps: int = 100_000) -> Setup:
    return Setup(
        name,
        title,
        lambda: _cached(env, search=search, num_steps=num_steps),
        f"PPO on {env}, {num_steps:,} environment steps, the {search} search space; value: mean return of 10 greedy"
        " episodes after training",
    )


_ALL = (
    _setup("cartpole", "CartPole", "CartPole-v1"),
    _setup("pendulum", "Pendulum", "Pendulum-v1"),
    _setup("cartpole-full", "CartPole with 9 hyperparameters", "CartPole-v1", "full"),
)
_QUICK = _setup("cartpole", "CartPole", "CartPole-v1", num_steps=1_024)
SETUPS = {setup.name: setup for setup in _ALL}
QUICK_SETUPS = {"cartpole": _QUICK._replace(num_settings=128, num_seeds=8, block_size=64)}
