"""How early a training says what it will be worth: ``python benchmarks/parts.py [return|area] [SETTINGS]``.

PPO on CartPole under random settings, one seed each: Spearman's rank correlation of the score after each part with that
at the end; and the bytes that a training carries from part to part, on every environment.
"""

import os
import sys

os.environ["NPROC"] = "1"  # one core, before JAX starts

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

from jaxga import runtime
from jaxga.tasks.ppo import NAMES, cartpole, ppo


def main(metric: str = "return", num_settings: int = 64) -> None:
    """Print both as rows of Markdown."""
    task = cartpole(metric=metric)  # pyright: ignore[reportArgumentType] - the task checks it
    keys = jax.random.split(jax.random.key(1), num_settings)
    genomes = jax.random.uniform(jax.random.key(2), (num_settings, task.space.size))

    def scores(member: tuple[jax.Array, jax.Array]) -> jax.Array:
        """The score of a member after each part."""
        key, setting = member[0], task.space.decode(member[1])

        def advance(carry, part):
            carry = task.advance(jax.random.fold_in(key, part + 1), carry, setting, part)
            return carry, task.scored(key, carry, setting).value

        carry = task.init(jax.random.fold_in(key, 0), setting)
        return jax.lax.scan(advance, carry, jnp.arange(task.num_parts, dtype=jnp.int32))[1]

    program = jax.jit(
        lambda *members: jax.lax.map(scores, members, batch_size=8), compiler_options=runtime.compiler_options()
    )
    values = np.asarray(program(keys, genomes))
    print("| part | rank correlation | mean |\n|---|---|---|")
    for part, value in enumerate(values.T):
        print(f"| {part + 1} | {spearmanr(value, values[:, -1]).statistic:.2f} | {value.mean():.1f} |")
    print("\n| environment | bytes |\n|---|---|")
    for name in NAMES:
        carry = jax.eval_shape(ppo(name).init, jax.random.key(0), {})
        print(f"| {name} | {sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(carry)):,} |")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
