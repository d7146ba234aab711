"""Whole generations of MNIST and CartPole, and what they are to be compared with."""

import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.speed.engine import ask_and_tell
from experiments.speed.options import BenchmarkOptions
from experiments.speed.work import Work, count
from jaxga import Algorithm, Task, invasive_ga, run, runtime
from jaxga.cli.start import join


def make_task(options: BenchmarkOptions, name: str, steps: int | None = None) -> Any:
    """``mnist`` or ``cartpole`` with this number of training steps; default: that of the options."""
    steps = options.steps_of(name) if steps is None else steps
    if name == "mnist":
        from jaxga.tasks.data import load_images
        from jaxga.tasks.mnist import mnist

        return mnist(load_images("mnist", options.data_dir), num_steps=steps)
    from jaxga.tasks.ppo import ppo

    return ppo("CartPole-v1", num_steps=steps)


def work_of(task: Task) -> Work:
    """The matrix products of one member: its training, its curves and its validation."""
    key, genome = jax.random.key(0), jnp.full(task.space.size, 0.5)
    # A result that is not returned is not computed: the curves are metrics.
    program = jax.make_jaxpr(lambda task, key, genome: task.evaluate(key, task.space.decode(genome))[:2])
    return count(program(task, key, genome))


def generation(
    options: BenchmarkOptions, name: str, pop: int, chunk: int | str | None, steps: int | None, num_timed: int
) -> Iterator[dict[str, Any]]:
    """One row: the median of ``num_timed`` generations of ``pop`` members after the first (of none the first itself,
    without its compilation), and what of it is asking and telling.
    """
    join(options, sys.argv, int(options.processes))
    task = make_task(options, name, steps)
    algorithm = invasive_ga(task.space, population_size=pop)
    first, *rest = _generations(task, algorithm, chunk, 1 + num_timed)
    seconds = [g.seconds for g in rest] or [first.seconds - first.compile_seconds]
    work = work_of(task) * pop
    row = {
        "pop": pop,
        "generation": statistics.median(seconds),
        "compile": first.compile_seconds,
        "ask_tell": ask_and_tell(algorithm)[0],
        "flops": work.flops,
        "num_bytes": work.num_bytes,
        "peak_memory": _peak_memory(),
    }
    yield _with_rates(row, task)


def _generations(task: Task, algorithm: Algorithm, chunk: Any, num: int) -> Iterator[Any]:
    return run(task, algorithm, num_generations=num, chunk_size=chunk, mesh=runtime.population_mesh())


def _with_rates(row: dict[str, Any], task: Any) -> dict[str, Any]:
    row["members_per_second"] = row["pop"] / row["generation"]
    if hasattr(task, "num_envs"):
        row["env_steps_per_second"] = row["members_per_second"] * task.num_steps
    return row


def _peak_memory() -> float:
    """Bytes: of the device where it counts them, else of this process and as much for each of its workers."""
    statistics_of_device = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in statistics_of_device:
        return float(statistics_of_device["peak_bytes_in_use"])
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * jax.process_count()


def one_after_another(options: BenchmarkOptions, name: str) -> Iterator[dict[str, Any]]:
    """One row: ``--sequential`` members, a call of the compiled training each, as seconds of ``--pop`` members."""
    task = make_task(options, name)
    keys = jax.random.split(jax.random.key(0), options.sequential)
    genomes = jax.random.uniform(jax.random.key(1), (options.sequential, task.space.size))
    train = jax.jit(
        lambda task, key, genome: task.evaluate(key, task.space.decode(genome)).value,
        compiler_options=runtime.compiler_options(),
    )
    began = time.perf_counter()
    program = train.lower(task, keys[0], genomes[0]).compile()
    compiled = time.perf_counter()
    for key, genome in zip(keys, genomes, strict=True):
        program(task, key, genome).block_until_ready()
    seconds = (time.perf_counter() - compiled) / options.sequential * options.pop
    yield _with_rates({"pop": options.pop, "generation": seconds, "compile": compiled - began}, task)


def torch_loop(options: BenchmarkOptions) -> Iterator[dict[str, Any]]:
    """One row: the same network trained and validated by a plain PyTorch loop, one member after another, one core."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    task = make_task(options, "mnist")
    images, labels = (torch.as_tensor(np.asarray(x)) for x in task.train_split)
    validation, answers = (torch.as_tensor(np.asarray(x)) for x in task.validation_split)
    labels, answers = labels.long(), answers.long()

    def train(rate: float) -> float:
        network = torch.nn.Sequential(
            torch.nn.Linear(images.shape[1], task.hidden_size), torch.nn.ReLU(), torch.nn.Linear(task.hidden_size, 10)
        )
        optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
        for _ in range(task.num_steps):
            rows = torch.randint(len(images), (task.batch_size,))
            loss = torch.nn.functional.cross_entropy(network(images[rows].float() / 255.0), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(network(validation.float() / 255.0), answers))

    train(0.01)
    began = time.perf_counter()
    for _ in range(options.sequential):
        train(0.01)
    seconds = (time.perf_counter() - began) / options.sequential * options.pop
    yield _with_rates({"pop": options.pop, "generation": seconds}, task)


def stable_baselines(options: BenchmarkOptions) -> Iterator[dict[str, Any]]:
    """One row: Stable-Baselines3 with the same sizes, one agent after another, one core."""
    import torch  # pyright: ignore[reportMissingImports]
    from stable_baselines3 import PPO  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.env_util import make_vec_env  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    task = make_task(options, "cartpole")
    env = make_vec_env("CartPole-v1", n_envs=task.num_envs, seed=0)
    batch_size = task.num_envs * task.rollout_length
    agent = PPO("MlpPolicy", env, n_steps=task.rollout_length, batch_size=batch_size // task.num_minibatches,
                n_epochs=task.num_epochs, device="cpu", seed=0)  # fmt: skip
    num_steps = 20 * batch_size
    began = time.perf_counter()
    agent.learn(num_steps)
    per_step = (time.perf_counter() - began) / num_steps
    yield _with_rates({"pop": options.pop, "generation": per_step * task.num_steps * options.pop}, task)


def profile(options: BenchmarkOptions, name: str, folder: Path) -> None:
    """Write a trace of one generation of ``--pop`` members, for TensorBoard or Perfetto."""
    task = make_task(options, name)
    generations = iter(_generations(task, invasive_ga(task.space, population_size=options.pop), "auto", 2))
    next(generations)
    with jax.profiler.trace(str(folder)):
        next(generations)
