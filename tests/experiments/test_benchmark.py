"""The benchmark: what it counts, which rows it has on which backend, where a sweep ends, and its page."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from experiments import benchmark
from experiments.speed import plots, training
from experiments.speed import rows as speed_rows
from experiments.speed.options import BenchmarkOptions
from experiments.speed.rows import Job, jobs, sections
from experiments.speed.tables import complete, knee, markdown
from experiments.speed.work import count
from jaxga.tasks.classifier import MAX_PARTS, NUM_CURVE_IMAGES
from jaxga.tasks.data import ImageData
from jaxga.tasks.mnist import mnist

LIMITS = {"float32_flops": 1e11, "numpy_flops": 1e11, "bfloat16_flops": 2e11, "bandwidth": 1e10}


def _product(x, y):
    return x @ y


def test_counts_products_in_loops_branches_and_calls():
    x, y = jnp.ones((2, 3)), jnp.ones((3, 4))
    once = 2 * 2 * 3 * 4

    def program(x, y):
        looped = lax.scan(lambda carry, _: (carry + jax.jit(_product)(x, y), None), jnp.zeros((2, 4)), length=5)[0]
        batched = jax.vmap(_product, (None, 0))(x, jnp.stack([y, y, y]))
        chosen = lax.cond(x[0, 0] > 0, lambda: _product(x, y), lambda: jnp.zeros((2, 4)))
        return looped, batched, chosen

    assert count(jax.make_jaxpr(program)(x, y)).flops == once * (5 + 3 + 1)
    assert count(jax.make_jaxpr(program)(x, y)).flops == once * (5 + 3 + 1)
    assert count(jax.make_jaxpr(_product)(x, y)).num_bytes == 4 * (6 + 12 + 8)


def test_counts_a_convolution():
    images, kernels = jnp.ones((2, 3, 8, 8)), jnp.ones((5, 3, 3, 3))
    program = jax.make_jaxpr(lambda x, k: lax.conv(x, k, (1, 1), "VALID"))(images, kernels)
    assert count(program).flops == 2 * (2 * 5 * 6 * 6) * (3 * 3 * 3)


def test_refuses_a_loop_of_unknown_length():
    program = jax.make_jaxpr(lambda x: lax.while_loop(lambda x: x[0, 0] < 1, lambda x: x @ x, x))(jnp.ones((2, 2)))
    with pytest.raises(ValueError, match="number of passes is not known"):
        count(program)


def test_counts_all_of_mnist():
    generator = np.random.default_rng(0)

    def split(num):
        return generator.integers(0, 256, (num, 20), np.uint8), np.arange(num, dtype=np.int32) % 10

    images = ImageData("drawn", "the test", *split(300), *split(400), *split(30))
    task = mnist(images, num_steps=40, batch_size=16, hidden_size=12)
    first, second = 20 * 12, 12 * 10
    # Forward, the gradients of both kernels, and the gradient of the hidden units.
    training_flops = 40 * 16 * 2 * (2 * first + 3 * second)
    scored = 400 + MAX_PARTS * min(NUM_CURVE_IMAGES, 400)
    assert training.work_of(task).flops == training_flops + 2 * scored * (first + second)


def test_rows_follow_from_the_backend(monkeypatch):
    monkeypatch.setattr(speed_rows, "num_cores", lambda: 4)
    on_cpu = list(jobs(BenchmarkOptions(backend="cpu"), "mnist"))
    on_gpu = list(jobs(BenchmarkOptions(backend="gpu"), "mnist"))
    assert {job.num_processes for job in on_cpu} == {1, 4}
    assert {job.num_processes for job in on_gpu} == {1}
    assert [job.pop for job in on_gpu if job.kind == "sweep"] == [2**i for i in range(1, 15)]
    assert [job.num_processes for job in jobs(BenchmarkOptions(backend="cpu"), "scaling")] == [1, 2, 4]
    memory = list(jobs(BenchmarkOptions(max_pop=1024), "memory"))
    assert [(job.argument, job.pop) for job in memory] == [
        ("mnist", 64), ("mnist", 1024), ("cartpole", 64), ("cartpole", 1024)
    ]  # fmt: skip


def test_refuses_an_unknown_section():
    with pytest.raises(ValueError, match=r"--only must be one of .*; did you mean engine"):
        sections(BenchmarkOptions(only="mnist,engin"))


@pytest.mark.parametrize("fails", [True, False])
def test_a_sweep_ends_with_the_memory_or_the_time(monkeypatch, fails, capsys):
    def measured(options, job):
        if fails and job.pop == 16:
            raise ChildProcessError("no memory")
        return [{"section": job.section, "label": job.label, "pop": job.pop, "generation": 0.1 * job.pop}]

    monkeypatch.setattr(benchmark, "measure_apart", measured)
    monkeypatch.setattr(benchmark, "jobs", lambda *_: [Job("mnist", "sweep", "", 2**i) for i in range(1, 9)])
    rows = list(benchmark._measured(BenchmarkOptions(seconds=3.0), "mnist"))
    assert [row["pop"] for row in rows] == ([2, 4, 8] if fails else [2, 4, 8, 16, 32])
    assert ("no memory" in capsys.readouterr().err) == fails


def test_the_page_has_rates_efficiencies_and_the_knee():
    sweep = [
        {"pop": n, "generation": s, "members_per_second": n / s, "flops": 1e9 * n, "num_bytes": 1e8 * n}
        for n, s in ((2, 1.0), (4, 1.0), (8, 1.9))
    ]
    sweep = [{"section": "mnist", "label": "chunks", **row, "is_sweep": True} for row in sweep]
    weak = [{"section": "scaling", "label": str(n), "pop": 64 * n, "generation": s} for n, s in ((1, 2.0), (2, 2.5))]
    rows = [*sweep, *weak]
    complete(rows, LIMITS)
    assert rows[0]["of_peak"] == pytest.approx(0.02)
    assert rows[0]["of_bandwidth"] == pytest.approx(0.02)
    assert rows[4]["efficiency"] == pytest.approx(0.8)
    found = knee(sweep)
    assert found is not None
    assert found["pop"] == 4
    about = {"cores": 2, "processor": "a processor", "devices": ["cpu"], "python": "3", "versions": {"jax": "1"}}
    page = markdown(rows, LIMITS, about, "command")
    assert "Nine tenths of the best throughput from 4 members on." in page
    assert "| chunks | 2 | 1 | 2 | 2 | 2 % | 2 % |" in page
    assert "| 2 | 128 | 2.5 | 0.80 |" in page


def test_there_is_no_picture_without_points(tmp_path):
    rows = [{"section": "scaling", "label": "1 process", "pop": 64, "generation": 2.0, "flops": 1e9, "num_bytes": 1e8}]
    complete(rows, LIMITS)
    plots.roofline(rows, LIMITS, tmp_path / "roofline.png")
    plots.throughput(rows, tmp_path / "throughput.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_measures_and_writes(tmp_path):
    command = [sys.executable, "experiments/benchmark.py", "--only", "engine,mnist", "--pop", "4", "--max-pop", "16"]
    command += ["--steps", "2", "--generations", "1", "--sequential", "1", "--out", str(tmp_path)]
    subprocess.run(command, check=True, timeout=280)
    rows = json.loads((tmp_path / "benchmark.json").read_text())["rows"]
    assert {row["section"] for row in rows} == {"engine", "mnist"}
    assert {p.name for p in tmp_path.iterdir()} == {"benchmark.json", "benchmark.md", "throughput.png", "roofline.png"}
