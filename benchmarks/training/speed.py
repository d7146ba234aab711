"""What a training costs: ``python benchmarks/training/speed.py --data-dir DIR [--before COMMIT]``.

CPU seconds of one core. Every round measures all rows in turn, in one process, so that what else the machine does
meets all of them; the ratios are taken within a round. ``--before`` adds the MNIST task as it was in a commit; PyTorch
is a row where it is installed.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["NPROC"] = "1"  # one core, before JAX starts

import jax
import jax.numpy as jnp
import numpy as np

from jaxga.evaluate import evaluate
from jaxga.runtime import compiler_options, num_cores
from jaxga.tasks import mnist as now

BATCH, PIXELS, HIDDEN, CLASSES = 128, 784, 128, 10
PEAK_SIZE = 2048
SETTING = {"learning_rate": 0.1, "momentum": 0.9}
Row = Callable[[], Any]
jit: Any = partial(jax.jit, compiler_options=compiler_options())


def module_of(commit: str) -> Any:
    """``tasks/mnist.py`` as a commit has it."""
    source = subprocess.run(["git", "show", f"{commit}:tasks/mnist.py"], capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mnist_before.py"
        path.write_text(source.stdout)
        spec: Any = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return module


def evaluations(task: Any, num_members: int, **options: Any) -> Row:
    """Training and scoring of a population, as a generation does it."""
    arguments = task, jax.random.key(0), jax.random.uniform(jax.random.key(1), (num_members, task.space.size))
    program = jit(partial(evaluate, **options)).lower(*arguments).compile()
    return lambda: program(*arguments).loss.block_until_ready()


def without_scores(task: Any) -> Any:
    """The task with one validation image: what is left is the training."""
    return dataclasses.replace(task, validation_split=jax.tree.map(lambda x: x[:1], task.validation_split))


def one_after_another(task: Any, num_members: int) -> Row:
    """A program for one member, called once for each."""
    keys, setting = jax.random.split(jax.random.key(0), num_members), jax.tree.map(jnp.asarray, SETTING)
    train = jit(lambda task, key, setting: task.evaluate(key, setting).value)
    program = train.lower(task, keys[0], setting).compile()
    return lambda: [program(task, key, setting).block_until_ready() for key in keys]


def matrix_product() -> Row:
    """XLA's own: what it computes fastest."""
    matrix = jax.random.normal(jax.random.key(0), (PEAK_SIZE, PEAK_SIZE))
    program = jit(lambda x: x @ x).lower(matrix).compile()
    return lambda: program(matrix).block_until_ready()


def pytorch(task: Any, num_members: int) -> Row:
    """The same training as a tight PyTorch loop: fused operations, one thread, no data loader."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    images = torch.from_numpy(np.array(task.train_split.images))
    labels = torch.from_numpy(np.array(task.train_split.labels)).long()

    def train() -> Any:
        layers = torch.nn.Linear(PIXELS, HIDDEN), torch.nn.Linear(HIDDEN, CLASSES)
        params = [param for layer in layers for param in layer.parameters()]
        velocity = [torch.zeros_like(param) for param in params]
        rows = torch.randint(len(labels), (task.num_steps, BATCH))
        for i in range(task.num_steps):
            batch = images[rows[i]].float().div_(255.0)
            loss = torch.nn.functional.cross_entropy(layers[1](torch.relu(layers[0](batch))), labels[rows[i]])
            gradient = torch.autograd.grad(loss, params)
            with torch.no_grad():
                torch._foreach_mul_(velocity, SETTING["momentum"])
                torch._foreach_add_(velocity, gradient)
                torch._foreach_add_(params, velocity, alpha=-SETTING["learning_rate"] * (1 - i / task.num_steps))

    return lambda: [train() for _ in range(num_members)]


def in_processes(num_processes: int) -> float:
    """CPU seconds of "one after another" in so many processes at once, their mean."""
    command = [sys.executable, *sys.argv, "--alone"]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(num_processes)]
    return float(np.mean([float(child.communicate()[0]) for child in children]))


def measure(rows: dict[str, Row], rounds: int) -> dict[str, np.ndarray]:
    """CPU seconds of each row in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for i in range(rounds + 1):
        for name, row in rows.items():
            began = time.process_time()
            row()
            if i:  # the first call also fills caches
                seconds[name].append(time.process_time() - began)
    return {name: np.array(values) for name, values in seconds.items()}


def main() -> None:
    """Measure all rows and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--before", help="a commit")
    for name, value in (("members", 64), ("steps", 100), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    given = {"data_dir": options.data_dir, "num_steps": options.steps}
    members = options.members
    task = now.mnist("mnist", **given)
    trained = without_scores(task)
    alone = "training alone, one after another"
    if options.alone:
        print(np.median(measure({alone: one_after_another(trained, members)}, 3)[alone]))
        return
    rows: dict[str, Row] = {}
    if options.before:
        before = module_of(options.before).mnist("mnist", **given)
        rows |= {f"before, chunk {n}": evaluations(before, members, chunk_size=n) for n in (8, 1)}
        rows["before, training alone, chunk 8"] = evaluations(without_scores(before), members, chunk_size=8)
    rows |= {f"now, chunk {n}": evaluations(task, members, chunk_size=n) for n in (1, 8)}
    rows["now, chunk 8, seeds generation"] = evaluations(task, members, chunk_size=8, seeds="generation")
    rounded = now.mnist("mnist", precision="bfloat16", **given)
    rows["now, chunk 1, bfloat16"] = evaluations(rounded, members, chunk_size=1)
    rows["training alone, chunk 1"] = evaluations(trained, members, chunk_size=1)
    rows[alone] = one_after_another(trained, members)
    if importlib.util.find_spec("torch") is not None:
        rows["training alone, PyTorch loop"] = pytorch(task, members)
    rows["peak"] = matrix_product()
    seconds = measure(rows, options.rounds)
    peak = 2e-9 * PEAK_SIZE**3 / seconds["peak"]
    # Forward, and backward without the gradient of the images.
    work = 2e-9 * members * options.steps * BATCH * HIDDEN * (2 * PIXELS + 3 * CLASSES)
    first = next(iter(seconds))
    print(f"| row | CPU s, median | least | of '{first}' | of '{alone}' | of XLA's peak |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, values in seconds.items():
        cells = [f"{np.median(values):.3f}", f"{values.min():.3f}"]
        is_training = "training alone" in name
        cells.append("" if is_training or name == "peak" else f"{np.median(values / seconds[first]):.2f}")
        cells.append(f"{np.median(values / seconds[alone]):.2f}" if is_training else "")
        cells.append(f"{np.median(work / values / peak):.0%}" if is_training else "")
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\nXLA's peak: {np.median(peak):.0f} GFLOP/s, at best {peak.max():.0f}")
    cores = num_cores()
    print(f"One after another, {cores} processes at once: {in_processes(cores):.3f} CPU s each")
    print(json.dumps({name: values.tolist() for name, values in seconds.items()}))


if __name__ == "__main__":
    main()
