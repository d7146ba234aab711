"""The tasks that ship, by name: how each is built from the command line, and its own defaults."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxga import Task
from jaxga.text import check_choice

if TYPE_CHECKING:
    from jaxga.cli.options import Options


class Entry(NamedTuple):
    """One task of the command line.

    Attributes:
        build: makes the task, and says what data it uses (a dict for config.json, may be empty).
        pop, generations: the original's sizes of this experiment.
        replicates: seeds per member.
        fresh: seeds under which the winner is trained again at the end.
        is_heavy: whether a generation is worth a process a core.
        chunk: trainings side by side on one CPU core; None for all (an accelerator always takes all).
    """

    build: Callable[["Options"], tuple[Task, dict[str, Any]]]
    pop: int
    generations: int
    replicates: int = 1
    fresh: int = 8
    is_heavy: bool = True
    chunk: int | None = None


def _guess(options: "Options") -> tuple[Task, dict[str, Any]]:
    from jaxga.tasks.guess import guess

    return guess(), {}


def _mnist(options: "Options") -> tuple[Task, dict[str, Any]]:
    from jaxga.tasks.data import load_images
    from jaxga.tasks.mnist import mnist

    images = load_images(options.dataset, data_dir=options.data_dir)
    return mnist(images, search=options.search, **_given(num_steps=options.steps)), images.record()


def _ppo(options: "Options") -> tuple[Task, dict[str, Any]]:
    from jaxga.tasks.ppo import NAMES, ppo

    check_choice("--env", options.env, NAMES)
    metric = "final return" if options.metric == "return" else "area"
    return ppo(options.env, search=options.search, metric=metric, **_given(num_steps=options.steps)), {}


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


_PPO = Entry(_ppo, pop=8, generations=10, replicates=3, fresh=32, chunk=8)

TASKS: dict[str, Entry] = {
    "guess": Entry(_guess, pop=10, generations=30, fresh=1, is_heavy=False),
    "mnist": Entry(_mnist, pop=10, generations=10, fresh=8, chunk=8),
    "cartpole": _PPO,
    "ppo": _PPO,
}
# Which task each option that is not for all of them belongs to.
OPTIONS: dict[str, tuple[str, ...]] = {
    "dataset": ("mnist",),
    "data_dir": ("mnist",),
    "steps": ("mnist", "cartpole", "ppo"),
    "search": ("mnist", "cartpole", "ppo"),
    "env": ("ppo",),
    "metric": ("cartpole", "ppo"),
}
