"""What has to be set before JAX starts: a CPU scheduler that cannot hang, devices, processes.

On few cores the thread pool of XLA's CPU client can deadlock in scans over batched matrix products: its
concurrency-optimised scheduler runs independent operations side by side, and each waits for workers that
the other holds. Importing jaxga switches that scheduler off; the operations themselves still use all threads.
"""

import os
import warnings

import jax
from jax.sharding import AxisType, Mesh

_SCHEDULER_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler"


def configure() -> None:
    """Make the CPU client safe; called by ``import jaxga``.

    Warns where JAX has already started its CPU client with the scheduler on. A choice made by the
    user (the flag in ``XLA_FLAGS``, or ``NPROC=1``) is left alone.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _SCHEDULER_FLAG in flags or os.environ.get("NPROC") == "1":
        return
    if jax._src.xla_bridge.backends_are_initialized():  # pyright: ignore[reportAttributeAccessIssue]
        if jax.default_backend() == "cpu":
            warnings.warn(
                "JAX started before jaxga was imported, with a CPU scheduler that can hang in vmapped training: "
                f"import jaxga before the first JAX computation, or set XLA_FLAGS={_SCHEDULER_FLAG}=false",
                RuntimeWarning,
                stacklevel=3,
            )
        return
    os.environ["XLA_FLAGS"] = f"{flags} {_SCHEDULER_FLAG}=false".strip()


def population_mesh() -> Mesh | None:
    """All devices of all processes along one axis, ``"pop"``; None where there is only one device."""
    devices = jax.devices()
    if len(devices) == 1:
        return None
    return jax.make_mesh((len(devices),), ("pop",), axis_types=(AxisType.Auto,), devices=devices)
