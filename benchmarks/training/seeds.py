"""Which ``seeds`` finds better settings: ``python benchmarks/training/seeds.py --task mnist --searches 20``.

Each search is repeated with ``seeds`` "own", "generation" and "run" under the same root key, and its winner is judged
under fresh seeds, the same ones for all three. Printed: the mean of the winners' fresh values, the mean of what the
search believed, and the paired difference of the fresh values to "own" with a bootstrap interval of 95 %.
"""

import argparse
import json
import os
from functools import partial
from typing import Any, get_args

os.environ["NPROC"] = "1"  # one core, before JAX starts

import jax
import numpy as np

import jaxga
from jaxga import evolution
from jaxga.evaluate import Seeds, train_members
from jaxga.runtime import compiler_options
from jaxga.tasks.data import load_images
from jaxga.tasks.mnist import mnist
from jaxga.tasks.ppo import cartpole


def make_task(options: argparse.Namespace) -> jaxga.Task:
    """The task of a search; MNIST's on the embedded 8x8 digits unless ``--data-dir`` is given."""
    if options.task == "mnist":
        return mnist(load_images("mnist", options.data_dir), num_steps=options.steps)
    return cartpole(num_steps=options.steps)


def main() -> None:
    """Run all searches and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("mnist", "cartpole"), default="mnist")
    parser.add_argument("--data-dir")
    for name, value in (("steps", 100), ("pop", 16), ("generations", 8), ("replicates", 1), ("fresh", 32), ("chunk", 8),
                        ("searches", 20)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    task = make_task(options)
    algorithm = jaxga.invasive_ga(task.space, population_size=options.pop)
    keys = [jax.random.key(seed) for seed in range(options.searches)]
    jit: Any = partial(jax.jit, compiler_options=compiler_options())

    @jit
    def judge(task: Any, key: Any, genome: Any) -> Any:
        fresh = jax.random.split(evolution.fresh_key(key), options.fresh)
        genomes = jax.numpy.broadcast_to(genome, (options.fresh, genome.size))
        return train_members(type(task).evaluate, task, fresh, genomes, chunk_size=options.chunk).value.mean()

    values, believed = {}, {}
    for seeds in get_args(Seeds):
        step = evolution.make_step(algorithm, num_replicates=options.replicates, seeds=seeds, chunk_size=options.chunk)
        search = jit(evolution.scan(step, options.generations))
        best = [jax.tree.map(lambda x: x[-1], search(k, evolution.init(algorithm, k), task)[1].best) for k in keys]
        believed[seeds] = np.array([task.objective.sign * float(b.loss) for b in best])
        values[seeds] = np.array([float(judge(task, k, b.genome)) for k, b in zip(keys, best, strict=True)])
        print(f"{seeds}: fresh {values[seeds].mean():.4f}, believed {believed[seeds].mean():.4f}", flush=True)
    print(f"\n| seeds | {task.objective.name} under fresh seeds | believed | difference to own | 95 % interval |")
    print("|---|---:|---:|---:|---:|")
    rng = np.random.default_rng(0)
    for seeds in get_args(Seeds):
        difference = values[seeds] - values["own"]
        means = rng.choice(difference, (10_000, len(difference))).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        cells = [values[seeds].mean(), believed[seeds].mean(), difference.mean()]
        print(f"| {seeds} | " + " | ".join(f"{cell:.4f}" for cell in cells) + f" | {low:.4f} to {high:.4f} |")
    print(json.dumps({"options": vars(options), "fresh": {name: row.tolist() for name, row in values.items()}}))


if __name__ == "__main__":
    main()
