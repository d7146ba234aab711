"""``python benchmarks/scaling.py``: what a generation moves between processes, as docs/scaling.md computes with it.

Nothing runs. How the time of a generation grows with the processes is ``experiments/benchmark.py --only scaling``.
"""

import math
from functools import partial
from typing import Any

import jax

import jaxga
from jaxga import evolution


def _task(name: str) -> Any:
    from jaxga.tasks.guess import guess
    from jaxga.tasks.mnist import mnist
    from jaxga.tasks.ppo import cartpole

    makers = {"guess": guess, "mnist": partial(mnist, num_steps=100), "cartpole": partial(cartpole, num_steps=16_384)}
    return makers[name]()


def bytes_of(tree: Any) -> int:
    """Bytes of the arrays of a tree, or of the shapes that ``jax.eval_shape`` gives."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def generation_bytes(task: Any, algorithm: jaxga.Algorithm) -> dict[str, int]:
    """Bytes of one generation: the state on every device, the record that goes to the host, the results that all
    devices gather (the record without what ask knew), and the task's data.
    """
    state = jax.eval_shape(partial(evolution.init, algorithm), jax.random.key(0))
    step = evolution.make_step(algorithm)
    _, record = jax.eval_shape(step, jax.random.key(0), state, task)
    gathered = (record.loss, record.metrics)
    return {
        "state": bytes_of(state),
        "record": bytes_of(record),
        "gathered": bytes_of(gathered),
        "data": bytes_of(task),
    }


def print_bytes() -> None:
    """A Markdown table over tasks and populations."""
    print("| task | members | algorithm | state, KiB | record, KiB | gathered, KiB | data, MiB |")
    print("|---|---|---|---|---|---|---|")
    for name in ("mnist", "cartpole"):
        task = _task(name)
        for population_size in (64, 1024, 16_384):
            for factory in (jaxga.ga, jaxga.invasive_ga):
                sizes = generation_bytes(task, factory(task.space, population_size=population_size))
                cells = [f"{sizes[part] / 1024:,.1f}" for part in ("state", "record", "gathered")]
                cells += [f"{sizes['data'] / 2**20:.1f}"]
                print(f"| {name} | {population_size:,} | {factory.__name__} | {' | '.join(cells)} |")


if __name__ == "__main__":
    print_bytes()
