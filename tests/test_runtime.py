"""The CPU client is safe by default: no hang, a warning where it is too late."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxga import runtime

ROOT = Path(__file__).parent.parent
FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler"


def python(*arguments, timeout=120, **environment):
    """A fresh process without any of the variables that make the CPU client safe."""
    clean = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "NPROC")}
    clean |= {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", **environment}
    return subprocess.run(
        [sys.executable, *arguments], env=clean, capture_output=True, text=True, timeout=timeout, check=True
    )


def test_importing_jaxga_switches_the_scheduler_off():
    done = python("-c", "import os, jaxga; print(os.environ['XLA_FLAGS'])", XLA_FLAGS="--xla_cpu_use_xnnpack=true")
    assert done.stdout.split() == ["--xla_cpu_use_xnnpack=true", f"{FLAG}=false"]


@pytest.mark.parametrize("environment", [{"XLA_FLAGS": f"{FLAG}=true"}, {"NPROC": "1"}], ids=str)
def test_a_choice_of_the_user_is_left_alone(environment):
    done = python("-c", "import os, jaxga; print(os.environ.get('XLA_FLAGS'))", **environment)
    assert done.stdout.strip() == str(environment.get("XLA_FLAGS"))


def test_jax_started_too_early_is_warned_of_with_the_remedy():
    done = python("-c", "import jax; jax.numpy.ones(3); import jaxga")
    assert "import jaxga first" in done.stderr
    assert "RuntimeWarning" in done.stderr
    assert python("-c", "import jax; import jaxga; jax.numpy.ones(3)").stderr == ""


def test_gymnax_starts_jax_and_is_named():
    """Its import computes an array, so that the client already has the scheduler: the warning is right."""
    pytest.importorskip("gymnax")
    done = python("-c", "import gymnax; import jaxga")
    assert "importing gymnax starts it" in done.stderr


def test_the_program_that_hangs_finishes():
    assert python("tests/soak/recurrent_training.py", timeout=240).stdout == "finished True\n"


WITH_A_WORKER = """
import sys
from pathlib import Path

import jaxga, jax
from jaxga import runtime

hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name) if name.endswith("/cache_hits") else None)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
if len(sys.argv) == 1:
    runtime.start_workers(sys.argv, 2)
else:
    runtime.distributed(sys.argv[2], 2, 1)
values = jax.numpy.arange(3.0)
hits.clear()
values = runtime.replicate(values, runtime.population_mesh())
Path(__file__).with_name(f"hits{jax.process_index()}").write_text(f"{len(hits)} {values.sum()}")
runtime.agree(True)
"""


def test_a_worker_loads_what_process_0_compiled_in_an_earlier_run(tmp_path):
    script, cache = tmp_path / "script.py", str(tmp_path / "programs")
    script.write_text(WITH_A_WORKER)
    python(str(script), JAX_COMPILATION_CACHE_DIR=cache)
    python(str(script), JAX_COMPILATION_CACHE_DIR=cache)
    assert [(tmp_path / f"hits{i}").read_text() for i in range(2)] == ["1 3.0", "1 3.0"]


PRIVATE = [
    ("jax._src.xla_bridge", "backends_are_initialized"),
    ("jax._src.lib", "_jax"),
    ("jax._src", "cache_key"),
]


@pytest.mark.parametrize(("module", "name"), PRIVATE)
def test_private_names_of_jax_are_looked_up(module, name, monkeypatch):
    owner = importlib.import_module(module)
    assert runtime._private(module, name) is getattr(owner, name)
    monkeypatch.delattr(owner, name)
    assert runtime._private(module, name) is None
    assert runtime._private(f"{module}.gone", name) is None


def test_without_private_names_of_jax_a_run_goes_on(tmp_path):
    """JAX itself cannot work without them: here jaxga's look-up finds none."""
    script = tmp_path / "script.py"
    gone = "runtime._private = lambda module, name: None\nruntime.configure()\n"
    script.write_text(WITH_A_WORKER.replace("hits = []", f"{gone}hits = []"))
    done = python(str(script), JAX_COMPILATION_CACHE_DIR=str(tmp_path / "programs"))
    assert [(tmp_path / f"hits{i}").read_text() for i in range(2)] == ["0 3.0", "0 3.0"]
    assert "does not let jaxga choose the address on which Gloo listens" in done.stderr


def test_jax_started_too_early_is_not_noticed_without_its_private_name():
    code = "import jax; from jax._src import xla_bridge; jax.numpy.ones(3); del xla_bridge.backends_are_initialized\n"
    assert python("-c", code + "import jaxga").stderr == ""


def test_private_names_of_jax_are_used_in_one_place():
    for path in sorted((ROOT / "jaxga").rglob("*.py")):
        if path.name != "runtime.py":
            text = path.read_text(encoding="utf-8")
            assert not any(word in text for word in ("jax._src", "jax.interpreters", "import jaxlib")), path


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_program_that_hangs_finishes_every_time():
    for _ in range(20):
        assert python("tests/soak/recurrent_training.py", timeout=150).stdout == "finished True\n"
