"""Several processes: what a generation moves between them, and how its time grows with their number.

``python benchmarks/scaling.py bytes`` prints what docs/scaling.md computes with; nothing runs.
``python benchmarks/scaling.py weak`` times a generation at a fixed population per process, on 1 and 2 processes. It is
wall time, so it needs a machine with nothing else to do.
"""

import json
import math
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jaxga
from jaxga import evolution, runtime

ROOT = Path(__file__).parent.parent
_NUM_TIMED = 5


def _task(name: str) -> Any:
    from jaxga.tasks.guess import guess
    from jaxga.tasks.mnist import mnist
    from jaxga.tasks.ppo import cartpole

    makers = {"guess": guess, "mnist": partial(mnist, num_steps=100), "cartpole": partial(cartpole, num_steps=16_384)}
    return makers[name]()


def bytes_of(tree: Any) -> int:
    """Bytes of the arrays of a tree, or of the shapes that ``jax.eval_shape`` gives."""
    import jax

    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def generation_bytes(task: Any, algorithm: jaxga.Algorithm) -> dict[str, int]:
    """Bytes of one generation: the state on every device, the record that goes to the host, the results that all
    devices gather (the record without what ask knew), and the task's data.
    """
    import jax

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


def generation_seconds(task: str, population_per_process: int, num_processes: int) -> float:
    """The median wall time of a generation of ``ga``, in ``num_processes`` processes of their own."""
    command = [sys.executable, str(Path(__file__)), "timed", task, str(population_per_process), str(num_processes)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "NPROC": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=1800)
    return float(done.stdout.splitlines()[-1])


def weak_scaling(task: str, population_per_process: int, num_processes: int = 2) -> dict[str, float]:
    """Seconds of a generation on one process and on several, each with the same population; their ratio, 1 at best."""
    one, several = (generation_seconds(task, population_per_process, n) for n in (1, num_processes))
    return {"one_seconds": one, "several_seconds": several, "efficiency": one / several}


def _timed(task_name: str, population_per_process: int, num_processes: int, *joined: str) -> None:
    if joined:  # a worker: --coordinator ADDRESS --num-processes N --process-id I
        runtime.distributed(joined[1], num_processes, int(joined[5]))
    elif num_processes > 1:
        runtime.start_workers(sys.argv, num_processes)
    task = _task(task_name)
    algorithm = jaxga.ga(task.space, population_size=population_per_process * num_processes)
    mesh = runtime.population_mesh()
    generations = list(jaxga.run(task, algorithm, num_generations=1 + _NUM_TIMED, mesh=mesh))
    print(statistics.median(generation.seconds for generation in generations[1:]))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["timed", name, population, number, *joined]:
            _timed(name, int(population), int(number), *joined)
        case ["weak"]:
            for name in ("mnist", "cartpole"):
                print(json.dumps({"task": name, "population_per_process": 32, **weak_scaling(name, 32)}))
        case _:
            print_bytes()
