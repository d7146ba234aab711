"""What bfloat16 products do to the result: ``python benchmarks/training/precision.py --data-dir DIR``.

Each setting is trained under the same seeds with float32 and with bfloat16 products (initial weights and minibatches
are equal). Printed: the mean validation loss, the paired difference with its 95 % interval over seeds (Student's t),
and the deviation between seeds.
"""

import argparse
import os
from functools import partial

os.environ["NPROC"] = "1"  # one core, before JAX starts

import jax
import numpy as np
from scipy import stats

from jaxga.evaluate import train_members
from jaxga.runtime import compiler_options
from jaxga.tasks.mnist import Mnist, mnist


def main() -> None:
    """Train all settings and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    for name, value in (("steps", 300), ("settings", 8), ("seeds", 8)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    tasks = {p: mnist(data_dir=options.data_dir, num_steps=options.steps, precision=p) for p in ("float32", "bfloat16")}
    space = tasks["float32"].space
    genomes = jax.random.uniform(jax.random.key(0), (options.settings, space.size))
    keys = jax.random.split(jax.random.key(1), options.seeds)
    pairs = np.repeat(np.arange(options.settings), options.seeds), np.tile(np.arange(options.seeds), options.settings)
    train = jax.jit(partial(train_members, Mnist.evaluate, chunk_size=1), compiler_options=compiler_options())
    loss = {
        name: np.asarray(train(task, keys[pairs[1]], genomes[pairs[0]]).value).reshape(options.settings, options.seeds)
        for name, task in tasks.items()
    }
    difference = loss["bfloat16"] - loss["float32"]
    print("| learning rate | momentum | loss, float32 | bfloat16 - float32 | 95 % interval | deviation between seeds |")
    print("|---:|---:|---:|---:|---:|---:|")
    for i, setting in enumerate(space.settings(np.asarray(genomes))):
        low, high = stats.t.interval(0.95, options.seeds - 1, difference[i].mean(), stats.sem(difference[i]))
        print(
            f"| {setting['learning_rate']:.4g} | {setting['momentum']:.3f} | {loss['float32'][i].mean():.4f} "
            f"| {difference[i].mean():+.5f} | {low:+.5f} to {high:+.5f} | {loss['float32'][i].std(ddof=1):.4f} |"
        )
    relative = (difference / loss["float32"]).mean(axis=1)
    low, high = stats.t.interval(0.95, options.settings - 1, relative.mean(), stats.sem(relative))
    print(f"\nRelative to the loss, mean of the settings: {relative.mean():+.3%} ({low:+.3%} to {high:+.3%})")


if __name__ == "__main__":
    main()
