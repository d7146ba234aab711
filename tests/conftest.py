"""Compiled programs are kept between tests and runs: most of the suite's time is compiling the same ones."""

import os
import tempfile
from pathlib import Path

import jax

# Compiled in less time, and run no slower: what runs use on a CPU (runtime.compiler_options), here for every program.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=1".strip()
collect_ignore = ["soak/stable_baselines.py"]  # imports what the tests do not need
_CACHE = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or Path(tempfile.gettempdir()) / "jaxga-test-programs")
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_CACHE)  # for the processes that tests start
jax.config.update("jax_compilation_cache_dir", str(_CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
