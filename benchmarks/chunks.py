"""Times chunks of 1, 2, 4, ... beside the one that is planned: ``NPROC=1 python benchmarks/chunks.py mnist``.

CPU seconds of one core for 64 trainings, the chunks in turn in one process; the least of the rounds counts.
"""

import sys
import time
from functools import partial
from typing import Any

import jaxga
from jaxga import runtime
from jaxga.chunks import plan_chunk, program_memory
from jaxga.evaluate import train_members
from jaxga.text import show_bytes
from jaxga.work import work_of

_NUM_MEMBERS, _NUM_ROUNDS = 64, 4
_CHUNKS = (1, 2, 4, 8, 16, 32, 64)


def main(name: str, num_steps: int) -> None:
    """Print one Markdown row a chunk."""
    import jax

    task = make_task(name, num_steps)
    plan, work = plan_chunk("auto", task), work_of(task)
    planned = min(plan or _NUM_MEMBERS, _NUM_MEMBERS)
    print(f"{name}: planned {planned}; {show_bytes(work.memory)} a member, {work.operations:.0f} operations")
    keys = jax.random.split(jax.random.key(0), _NUM_MEMBERS)
    genomes = jax.random.uniform(jax.random.key(1), (_NUM_MEMBERS, task.space.size))
    programs: dict[int, Any] = {}
    for chunk in _CHUNKS:
        train = partial(train_members, type(task).evaluate, chunk_size=chunk)
        programs[chunk] = (
            jax.jit(train, compiler_options=runtime.compiler_options()).lower(task, keys, genomes).compile()
        )
    seconds: dict[int, list[float]] = {chunk: [] for chunk in _CHUNKS}
    for _ in range(_NUM_ROUNDS):
        for chunk, program in programs.items():
            began = time.process_time()
            jax.block_until_ready(program(task, keys, genomes))
            seconds[chunk].append(time.process_time() - began)
    least = min(min(times) for times in seconds.values())
    print("| chunk | CPU s | over the best | memory |\n|---|---|---|---|")
    for chunk, times in seconds.items():
        mark = " (planned)" if chunk == planned else ""
        memory = show_bytes(program_memory(programs[chunk]))
        print(f"| {chunk}{mark} | {min(times):.4f} | {min(times) / least:.2f} | {memory} |")


def make_task(name: str, num_steps: int) -> Any:
    """MNIST, CartPole, guess, or a regression by 200 steps of a small network."""
    if name == "mnist":
        from jaxga.tasks.mnist import mnist

        return mnist(num_steps=num_steps)
    if name == "cartpole":
        from jaxga.tasks.ppo import cartpole

        return cartpole(num_steps=num_steps)
    if name == "guess":
        from jaxga.tasks.guess import guess

        return guess()
    return _regression(num_steps)


def _regression(num_steps: int) -> Any:
    import jax
    import jax.numpy as jnp

    from jaxga.base import Objective
    from jaxga.task import FunctionTask

    def fitness(key: Any, setting: Any) -> Any:
        key_first, key_second, key_data = jax.random.split(key, 3)
        inputs = jax.random.normal(key_data, (64, 4))
        targets = jnp.sin(inputs.sum(axis=1))

        def loss(weights: Any) -> Any:
            return jnp.mean((jnp.tanh(inputs @ weights[0]) @ weights[1] - targets) ** 2)

        def step(_: Any, weights: Any) -> Any:
            return jax.tree.map(lambda w, g: w - setting["lr"] * g, weights, jax.grad(loss)(weights))

        weights = jax.random.normal(key_first, (4, 16)), jax.random.normal(key_second, (16,))
        return loss(jax.lax.fori_loop(0, num_steps, step, weights))

    return FunctionTask(fitness, jaxga.SearchSpace(lr=jaxga.LogUniform(1e-3, 1.0)), Objective())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100)
