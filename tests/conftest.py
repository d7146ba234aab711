"""Settings of every test (checked shapes, quick compiling), and the runs that several tests share.

Most of the suite's time is spent on compiling, often the same programs: they are kept on the disk between tests and
runs.
"""

import os
import tempfile
import time
from pathlib import Path

import jax
import pytest

# XLA compiles in a quarter of the time without optimisation and with its older generator of fused loops. The programs
# of whole runs alone are compiled as a user has them, in this process and in those that tests start: whether two of
# them give the same bits depends on it.
_GENERATOR = "xla_cpu_use_fusion_emitters"
_USERS_FLAGS = os.environ.get("XLA_FLAGS", "")
os.environ["XLA_FLAGS"] = f"{_USERS_FLAGS} --xla_backend_optimization_level=0 --{_GENERATOR}=false".strip()

from jaxga import loop, many, runtime
from tests import command_line, shapes

collect_ignore = ["soak/stable_baselines.py"]  # imports packages that the tests do not need
_CACHE = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or Path(tempfile.gettempdir()) / "jaxga-test-programs")
jax.config.update("jax_compilation_cache_dir", str(_CACHE / "tests"))  # not mixed with those of other flags
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
# Linux allows a process 65,530 memory maps, and every compiled program takes some: at the limit the process is aborted.
_MOST_MAPS = 20_000
jax.block_until_ready(jax.numpy.zeros(1) + 1)  # XLA reads its flags once; from here on they are for processes of tests.
os.environ["XLA_FLAGS"] = f"{_USERS_FLAGS} --xla_backend_optimization_level=1".strip()
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_CACHE)


def _users_options():
    """``runtime.compiler_options`` with the generator that is not the tests' own."""
    options = runtime.compiler_options()
    return options and {**options, _GENERATOR: True}


loop.compiler_options = many.compiler_options = _users_options
shapes.install()


@pytest.fixture
def quick_programs(monkeypatch):
    """The programs of whole runs too are compiled without optimisation: for tests that compare no two of them."""
    for module in (loop, many):
        monkeypatch.setattr(module, "compiler_options", dict)


@pytest.fixture(autouse=True, scope="module")
def few_memory_maps():
    """Forget the compiled programs after a module where they are many."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()


@pytest.fixture(autouse=True)
def strict_ranks(request):
    """No array silently takes on the rank of another one: f32[A] + f32[A, D] is an error. evosax's own code does so."""
    # For all threads: a program compiled in another one must have the same settings.
    jax.config.update("jax_numpy_rank_promotion", "allow" if "evosax" in request.node.nodeid else "raise")
    yield
    jax.config.update("jax_numpy_rank_promotion", "allow")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run of 8 generations with a report."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert command_line.main([*command_line.DRAWN, "--generations", "8", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def half(tmp_path):
    """The folder of the first 4 of these generations, without a report."""
    folder = tmp_path / "half"
    assert command_line.main([*command_line.SMALL, "--generations", "4", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def wait_for_generations():
    """``wait(process, folder, number=3)`` returns when so many generations of 6 members are recorded."""

    def wait(process, folder, number=3):
        deadline = time.monotonic() + 100
        path = folder / "history.csv"
        while not (path.exists() and path.read_bytes().count(b"\n") > 6 * number):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)

    return wait
