"""Measure a generation's speed: ``python experiments/benchmark.py --task mnist``.

Every row is measured in fresh processes, one row after another in one run, so that their ratios can be
trusted; the persistent compilation cache is off, so that compile times are whole.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Option

from jaxga.cli.arguments import MISTAKES, fail, parse
from jaxga.text import check_choice


@dataclass(frozen=True)
class BenchmarkOptions:
    """Measure generations, members and arithmetic per second, and what they are to be compared with.

    Rows: the machine's own matrix products; Stable-Baselines3 (of cartpole, where it is installed); the members
    trained one after another; all of them by a plain vmap; in chunks; in chunks on every core. Prints a table;
    --out also writes JSON and Markdown.
    """

    task: Annotated[Literal["mnist", "cartpole"], Option(help="What to train.")] = "mnist"
    pop: Annotated[int, Option(min=2, help="Members per generation.")] = 64
    steps: Annotated[
        int | None, Option(min=1, show_default="100 (mnist), 100000 (cartpole)", help="Training steps a member.")
    ] = None
    generations: Annotated[int, Option(min=1, help="Generations timed, after the first; the median counts.")] = 3
    sequential: Annotated[int, Option(min=1, help="Members trained one after another, for comparison.")] = 4
    data_dir: Annotated[Path | None, Option(help="mnist: folder of the four IDX files.")] = None
    chunk: Annotated[int, Option(min=1, help="Members side by side on a core.")] = 8
    rows: Annotated[str, Option(help="Comma-separated rows to measure, or all.")] = "all"
    out: Annotated[Path | None, Option(help="Files to write, without their endings .json and .md.")] = None
    row: Annotated[str | None, Option(hidden=True)] = None
    processes: Annotated[str, Option(hidden=True)] = "1"
    coordinator: Annotated[str | None, Option(hidden=True)] = None
    num_processes: Annotated[int | None, Option(hidden=True)] = None
    process_id: Annotated[int | None, Option(hidden=True)] = None


class Row(dict[str, Any]):
    """What one row measures, by name; seconds unless the name says otherwise."""


def _matmul_peak(options: BenchmarkOptions) -> Row:
    import jax
    import jax.numpy as jnp
    import numpy as np

    size = 2048
    matrices = np.random.default_rng(0).normal(size=(2, size, size)).astype(np.float32)

    def best(product: Callable[[], Any]) -> float:
        product()
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            product()
            seconds.append(time.perf_counter() - began)
        return 2e-9 * size**3 / min(seconds)

    on_device = jnp.asarray(matrices)
    product = jax.jit(lambda x: x[0] @ x[1])
    return Row(
        gflops=best(lambda: product(on_device).block_until_ready()),
        numpy_gflops=best(lambda: matrices[0] @ matrices[1]),
    )


def _one_after_another(options: BenchmarkOptions) -> Row:
    import jax

    from jaxga.runtime import compiler_options

    task = _task(options)
    keys = jax.random.split(jax.random.key(0), options.sequential)
    genomes = jax.random.uniform(jax.random.key(1), (options.sequential, task.space.size))
    train = jax.jit(
        lambda task, key, genome: task.evaluate(key, task.space.decode(genome)).value,
        compiler_options=compiler_options(),
    )
    began = time.perf_counter()
    program = train.lower(task, keys[0], genomes[0]).compile()
    compiled = time.perf_counter()
    for key, genome in zip(keys, genomes, strict=True):
        program(task, key, genome).block_until_ready()
    per_member = (time.perf_counter() - compiled) / options.sequential
    return Row(compile=compiled - began, generation=per_member * options.pop)


def _stable_baselines(options: BenchmarkOptions) -> Row:
    import torch  # pyright: ignore[reportMissingImports]
    from stable_baselines3 import PPO  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.env_util import make_vec_env  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    task = _task(options)
    env = make_vec_env("CartPole-v1", n_envs=task.num_envs, seed=0)
    batch_size = task.num_envs * task.rollout_length
    agent = PPO("MlpPolicy", env, n_steps=task.rollout_length, batch_size=batch_size // task.num_minibatches,
                n_epochs=task.num_epochs, device="cpu", seed=0)  # fmt: skip
    num_steps = 40 * batch_size
    began = time.perf_counter()
    agent.learn(num_steps)
    per_step = (time.perf_counter() - began) / num_steps
    return Row(generation=per_step * task.num_steps * options.pop)


def _generation(options: BenchmarkOptions) -> Row:
    from jaxga import invasive_ga, run, runtime
    from jaxga.cli.start import join

    join(options, [sys.argv[0], *sys.argv[1:]], is_heavy=True)
    task = _task(options)
    generations = run(
        task,
        invasive_ga(task.space, population_size=options.pop),
        num_generations=1 + options.generations,
        chunk_size=None if options.row == "vmap" else options.chunk,
        mesh=runtime.population_mesh(),
    )
    first, *rest = generations
    return Row(compile=first.compile_seconds, generation=statistics.median(g.seconds for g in rest))


# Row -> (what it is, how it is measured).
ROWS: dict[str, tuple[str, Callable[[BenchmarkOptions], Row]]] = {
    "matmul": ("float32 matrix product, 2048 x 2048, all cores", _matmul_peak),
    "sb3": ("Stable-Baselines3, an agent after another, one core", _stable_baselines),
    "sequential": ("members one after another, one process", _one_after_another),
    "vmap": ("a generation, plain vmap, one process", _generation),
    "chunks": ("a generation, chunks, one process", _generation),
    "cores": ("a generation, chunks, a process a core", _generation),
}


def _task(options: BenchmarkOptions) -> Any:
    assert options.steps is not None  # main has filled it in
    if options.task == "mnist":
        from jaxga.tasks.data import load_images
        from jaxga.tasks.mnist import mnist

        return mnist(load_images("mnist", options.data_dir), num_steps=options.steps)
    from jaxga.tasks.ppo import ppo

    return ppo("CartPole-v1", num_steps=options.steps)


def _work(options: BenchmarkOptions) -> dict[str, float]:
    """What one generation does: environment steps, or floating-point operations of the matrix products."""
    assert options.steps is not None  # main has filled it in
    if options.task == "cartpole":
        return {"env_steps": float(options.pop * options.steps)}
    # 784-128-10: forward, and backward without the gradient of the images; then 10,000 validation images.
    first, second, batch, num_validation = 784 * 128, 128 * 10, 128, 10_000
    training = options.steps * batch * 2 * (2 * first + 3 * second)
    return {"flops": float(options.pop * (training + num_validation * 2 * (first + second)))}


def _measure(options: BenchmarkOptions, row: str) -> Row:
    from jaxga.runtime import num_cores

    command = [sys.executable, sys.argv[0], *sys.argv[1:], "--row", row]
    if row == "cores":
        command += ["--processes", str(num_cores())]
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1]
        raise ChildProcessError(f"row {row} failed: {last.removeprefix('error: ')}")
    measured = Row(json.loads(done.stdout.strip().splitlines()[-1]))
    if "generation" in measured:
        measured["members_per_second"] = options.pop / measured["generation"]
        work = _work(options)
        if "flops" in work:
            measured["gflops"] = 1e-9 * work["flops"] / measured["generation"]
        else:
            measured["env_steps_per_second"] = work["env_steps"] / measured["generation"]
    return measured


def _markdown(options: BenchmarkOptions, rows: dict[str, Row], environment: dict[str, Any]) -> str:
    figures = {
        "generation": ("seconds a generation", ".3g"),
        "members_per_second": ("members/s", ".3g"),
        "env_steps_per_second": ("env-steps/s", ",.0f"),
        "gflops": ("GFLOP/s", ".0f"),
        "compile": ("compile, s", ".1f"),
    }
    shown = [name for name in figures if any(name in row for row in rows.values())]
    lines = [
        "| row | " + " | ".join(figures[name][0] for name in shown) + " |",
        "|---|" + "---:|" * len(shown),
    ]
    for name, row in rows.items():
        cells = [format(row[figure], figures[figure][1]) if figure in row else "" for figure in shown]
        lines.append(f"| {ROWS[name][0]} | " + " | ".join(cells) + " |")
    versions = ", ".join(f"{k} {v}" for k, v in environment["versions"].items())
    about = (
        f"{options.task}, {options.pop} members x {options.steps} steps, chunks of {options.chunk}; "
        f"{environment['cores']} cores, {environment['processor']}; Python {environment['python']}, {versions}."
    )
    command = " ".join(["python experiments/benchmark.py", *_public_arguments()])
    return f"# Speed of a generation: {options.task}\n\n{about}\n\n`{command}`\n\n" + "\n".join(lines) + "\n"


def _public_arguments() -> list[str]:
    """The command line as it can be repeated elsewhere: folders are a matter of the machine."""
    arguments = sys.argv[1:]
    return [
        "DIR" if i and arguments[i - 1] in ("--data-dir", "--out") else argument for i, argument in enumerate(arguments)
    ]


def main() -> int:
    """Run the command line; returns the exit status (2 for what the user can mend)."""
    try:
        parsed = parse(BenchmarkOptions, sys.argv[1:])
        if parsed is not None:
            _run(parsed.options)
    except MISTAKES as error:
        return fail(error)
    return 0


def _run(options: BenchmarkOptions) -> None:
    options = dataclasses.replace(options, steps=options.steps or {"mnist": 100, "cartpole": 100_000}[options.task])
    if options.row is not None:
        print(json.dumps(ROWS[options.row][1](options)))
        return
    wanted = list(ROWS) if options.rows == "all" else options.rows.split(",")
    if options.rows == "all" and (options.task != "cartpole" or find_spec("stable_baselines3") is None):
        wanted.remove("sb3")
    for name in wanted:
        check_choice("--rows", name, ROWS)
    rows = {}
    for name in wanted:
        rows[name] = _measure(options, name)
        figures = ", ".join(f"{key} {value:.4g}" for key, value in rows[name].items())
        print(f"{ROWS[name][0]}: {figures}", flush=True)
    from jaxga.runs.records import environment

    about = environment()
    text = _markdown(options, rows, about)
    print("\n" + text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        record = {"command": ["benchmark.py", *_public_arguments()], "rows": rows, **about}
        options.out.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        options.out.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
