"""The chunk size is planned, changes no result, and is halved where the memory does not suffice."""

import itertools
import json
import os
import subprocess
import sys
import warnings
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxga
from jaxga import chunks, loop, runtime
from jaxga.base import Objective
from jaxga.chunks import Chunks, Planned, plan_chunk
from jaxga.evaluate import train_members
from jaxga.task import FunctionTask
from jaxga.work import Work, work_of
from tests import command_line

SPACE = jaxga.SearchSpace(x=jaxga.Uniform(-1.0, 1.0))
FULL = "RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.\nmore"


def assert_same(a, b):
    """Up to rounding: XLA may multiply and add in one step, or in two, by the width of a chunk."""
    if np.asarray(b).dtype.kind == "f":
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(a, b)


def task_of(function):
    return FunctionTask(function, SPACE, Objective())


def small_steps(key, setting):
    """A thousand steps on single numbers: starting them is all that it costs."""
    return jax.lax.fori_loop(0, 1000, lambda i, x: jnp.sin(x) + 1.0, setting["x"])


def large_products(key, setting):
    matrix = jnp.full((256, 256), setting["x"])
    return jax.lax.fori_loop(0, 10, lambda i, x: x @ matrix, matrix).mean()


SMALL, LARGE = task_of(small_steps), task_of(large_products)


def test_small_operations_run_side_by_side_and_large_ones_alone():
    assert plan_chunk("auto", SMALL) >= 1024
    assert plan_chunk("auto", LARGE) == 1
    assert plan_chunk(None, LARGE) is None
    assert plan_chunk(3, LARGE) == 3
    assert not isinstance(plan_chunk(3, LARGE), Planned)


def test_a_plan_fits_the_memory(monkeypatch):
    member = work_of(LARGE).memory
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for memory, expected in ((100 * member, 64), (10 * member, 8), (0.1 * member, 1)):
        monkeypatch.setattr(runtime, "device_memory", lambda memory=memory: memory)
        assert plan_chunk("auto", LARGE) == expected


def test_work_is_read_off_the_program():
    work = work_of(LARGE)
    assert 2 * 256**2 * 4 <= work.memory <= 4 * 256**2 * 4
    assert work.seconds == pytest.approx(10 * 2 * 256**3 / 70e9, rel=0.05)
    assert work_of(SMALL).operations == pytest.approx(2000, rel=0.05)

    def convolution(key, setting):
        images = jnp.full((1, 8, 8, 3), setting["x"])
        return jax.lax.conv_general_dilated(
            images, jnp.ones((3, 3, 3, 5)), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ).sum()

    assert work_of(task_of(convolution)).seconds > 2 * 64 * 27 * 5 / 70e9


def test_the_compiler_agrees_with_the_memory_read_off():
    sizes = {}
    for n in (8, 64):
        keys, genomes = jax.random.split(jax.random.key(0), n), jnp.zeros((n, 1))
        program = jax.jit(partial(train_members, FunctionTask.evaluate)).lower(LARGE, keys, genomes).compile()
        sizes[n] = chunks.program_memory(program)
    member = (sizes[64] - sizes[8]) / 56
    assert member / 3 < work_of(LARGE).memory < 3 * member


def with_model(key, setting):
    noise = jax.random.normal(key)
    return setting["x"] ** 2 + 0.1 * noise, {"curve": jnp.stack([noise, noise])}, {"empty": jnp.zeros((0, 3))}


@pytest.mark.parametrize(("population_size", "num_replicates"), [(1, 1), (7, 1), (5, 3)])
@pytest.mark.parametrize("planned", [1, 2, 1024])
def test_auto_changes_no_result(population_size, num_replicates, planned, monkeypatch):
    monkeypatch.setattr(chunks, "work_of", lambda *_: Work(1.0, planned / chunks._SECONDS_AN_OPERATION / 19, 1.0))
    assert plan_chunk("auto", SMALL) == planned
    algorithm = jaxga.random_search(SPACE, population_size=population_size)
    options = {"algorithm": algorithm, "num_generations": 2, "num_replicates": num_replicates, "num_fresh": 3}
    auto, plain = (jaxga.minimize(with_model, SPACE, chunk_size=size, **options) for size in ("auto", None))
    assert auto.history.columns.keys() == plain.history.columns.keys()
    for name, column in plain.history.columns.items():
        assert_same(auto.history.columns[name], column)
    assert_same(auto.fresh_values, plain.fresh_values)


def test_chunks_are_of_one_size():
    """Of 10 members a chunk of 8 trains no 16."""
    train = partial(train_members, FunctionTask.evaluate, SMALL, chunk_size=8)
    program = jax.make_jaxpr(train)(jax.random.split(jax.random.key(0), 10), jnp.zeros((10, 1)))
    [scan] = [equation for equation in program.eqns if equation.primitive.name == "scan"]
    assert scan.params["length"] == 2
    assert {v.aval.shape[:2] for v in scan.outvars if v.aval.ndim >= 2} == {(2, 5)}


def run(chunk_size="auto", **options):
    algorithm = jaxga.ga(SPACE, population_size=8, num_parents=2)
    return list(jaxga.run(task_of(with_model), algorithm, num_generations=4, chunk_size=chunk_size, **options))


def exhausted(*_):
    raise jax.errors.JaxRuntimeError(FULL)


@pytest.fixture
def out_of_memory(monkeypatch):
    """``out_of_memory(where, fits)``: from the second dispatch on, more than ``fits`` members do not fit.

    ``where``: at the compile, when the program is called, or when its results are fetched.
    """

    def fail(where, fits):
        calls, sizes = itertools.count(), []
        real_compile, real_get = Chunks.compile, jax.device_get

        def compile_(self, build):
            def checked_build(size):
                sizes.append(min(size or 8, 8))
                return exhausted() if where == "compile" and sizes[-1] > fits else build(size)

            program = real_compile(self, checked_build)
            return lambda *arguments: exhausted() if where == "call" and fails() else program(*arguments)

        def fails():
            return next(calls) >= 1 and sizes[-1] > fits

        monkeypatch.setattr(Chunks, "compile", compile_)
        monkeypatch.setattr(
            loop,
            "jax",
            SimpleNamespace(
                **{**vars(jax), "device_get": lambda x: exhausted() if where == "fetch" and fails() else real_get(x)}
            ),
        )
        return sizes

    return fail


@pytest.mark.parametrize(("where", "generations_per_dispatch"), [("compile", 1), ("call", 2), ("fetch", 1)])
def test_out_of_memory_halves_the_chunk_and_goes_on(where, generations_per_dispatch, out_of_memory):
    options = {"generations_per_dispatch": generations_per_dispatch}
    expected = run(**options)
    sizes = out_of_memory(where, fits=2)
    with pytest.warns(RuntimeWarning) as told:
        found = run(**options)
    assert sizes == [8, 4, 2]
    messages = [str(warning.message) for warning in told]
    assert [message.partition(" (")[0] for message in messages] == [
        "8 members side by side do not fit the device's memory: going on with 4",
        "4 members side by side do not fit the device's memory: going on with 2",
    ]
    assert all("\n" not in message and "RESOURCE_EXHAUSTED" in message for message in messages)
    assert [g.record.generation for g in found] == [0, 1, 2, 3]
    assert found[-1].chunk_size == 2
    for a, b in zip(expected, found, strict=True):
        jax.tree.map(assert_same, a.record, b.record)


@pytest.mark.parametrize("chunk_size", ["auto", 1])
def test_where_one_member_does_not_fit_its_bytes_are_told(chunk_size, monkeypatch):
    monkeypatch.setattr(chunks, "program_memory", lambda program: 3 * 2**30)
    monkeypatch.setattr(runtime, "device_memory", lambda: 2**31)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(MemoryError) as told:
            run(chunk_size)
    assert str(told.value) == (
        "one member at a time, of 8, does not fit the device's memory (it takes 3 GiB, the device has 2 GiB)"
    )


def test_a_member_that_no_device_holds():
    huge = task_of(lambda key, setting: jnp.zeros((2**21, 2**21)).at[0, 0].set(setting["x"]).max())
    with pytest.raises(MemoryError, match="it takes 16 TiB, the device has"):
        list(jaxga.run(huge, jaxga.random_search(SPACE, population_size=4), num_generations=1))


def test_a_chunk_that_was_asked_for_is_not_changed_before_the_run(monkeypatch):
    monkeypatch.setattr(chunks, "program_memory", lambda program: 3 * 2**30)
    monkeypatch.setattr(runtime, "device_memory", lambda: 2**31)
    with pytest.raises(MemoryError, match=r"^5 members side by side .* set a smaller chunk_size \(--chunk\)"):
        run(5)


def test_another_error_of_the_device_is_raised(monkeypatch):
    def broken(self, build):
        raise jax.errors.JaxRuntimeError("INTERNAL: broken")

    monkeypatch.setattr(Chunks, "compile", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        run()


def test_a_resume_goes_on_with_the_recorded_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "work_of", lambda *_: Work(1.0, 4 / chunks._SECONDS_AN_OPERATION / 19, 1.0))
    options = {"algorithm": jaxga.ga(SPACE, population_size=8, num_parents=2), "out": tmp_path, "report": False}
    jaxga.minimize(with_model, SPACE, num_generations=2, **options)
    sizes = []
    real = Chunks.__init__
    monkeypatch.setattr(Chunks, "__init__", lambda self, size, *rest: (sizes.append(size), real(self, size, *rest))[1])
    monkeypatch.setattr(chunks, "work_of", lambda *_: Work(1.0, 0.0, 1.0))
    jaxga.minimize(with_model, SPACE, num_generations=3, resume=True, **options)
    assert sizes == [4, 4]  # of the generations, of the winner


def test_a_command_without_memory_ends_with_one_line(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(chunks, "program_memory", lambda program: 2**60)
    assert command_line.main([*command_line.SMALL, "--chunk", "1", "--out", str(tmp_path / "run")]) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("error: there is not enough memory for that: one member at a time, of 6, does not fit")
    monkeypatch.undo()
    assert command_line.resume(tmp_path / "run") == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "finished"


def test_a_command_says_in_one_line_that_it_halves_its_chunk(tmp_path, monkeypatch, capfd):
    sizes = iter([2**60, 0, 0])
    monkeypatch.setattr(chunks, "program_memory", lambda program: next(sizes))
    assert command_line.main([*command_line.SMALL, "--generations", "2", "--out", str(tmp_path / "run")]) == 0
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("warning: 6 members side by side do not fit the device's memory: going on with 3 (they take")


def test_the_memory_of_a_container_counts(tmp_path, monkeypatch):
    free = runtime.available_memory()
    assert 2**28 < free < 2**50
    (tmp_path / "max").write_text("1000000\n")
    (tmp_path / "used").write_text("400000\n")
    monkeypatch.setattr(runtime, "_GROUP_MEMORY", [(str(tmp_path / "max"), str(tmp_path / "used"))])
    assert runtime.available_memory() == 600_000
    (tmp_path / "max").write_text("max\n")
    assert runtime.available_memory() > 2**28


DEVICES = """
import sys
import jaxga
from jaxga import runtime
from tests.test_chunks import SPACE, with_model

if "two" in sys.argv:
    if len(sys.argv) == 2:
        runtime.start_workers(sys.argv, 2)
    else:
        runtime.distributed(sys.argv[3], 2, 1)
mesh = runtime.population_mesh()
algorithm = jaxga.ga(SPACE, population_size=16, num_parents=4)
result = jaxga.minimize(with_model, SPACE, algorithm=algorithm, num_generations=3, num_replicates=2, mesh=mesh)
print(1 if mesh is None else mesh.size, *result.history.columns["value"], *result.fresh_values)
"""


def test_one_device_equals_eight_and_two_processes(tmp_path):
    """The task is element-wise: matrix products of several host devices in one process can hang."""
    script = tmp_path / "script.py"
    script.write_text(DEVICES)
    outputs = []
    for word, flag in (("one", ""), ("eight", "--xla_force_host_platform_device_count=8"), ("two", "")):
        environment = {"XLA_FLAGS": flag, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(command_line.ROOT)}
        done = subprocess.run(
            [sys.executable, str(script), word],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        outputs.append(done.stdout.split())
    [one, eight, two] = np.array(outputs, np.float32)
    assert [one[0], eight[0], two[0]] == [1, 8, 2]
    assert len(one) == 1 + 48 + 8
    assert_same(eight[1:], one[1:])
    assert_same(two[1:], one[1:])
