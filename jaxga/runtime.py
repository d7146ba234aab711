"""What has to be set before JAX starts: a CPU scheduler that cannot hang, processes, devices.

On few cores the thread pool of XLA's CPU client can deadlock in scans over batched matrix products: its
concurrency-optimised scheduler runs independent operations side by side, and each waits for workers that
the other holds. Importing jaxga switches that scheduler off; the operations themselves still use all threads.

The way to use every core of a CPU is one process per core, joined by JAX's own distributed runtime:
:func:`start_workers` starts and joins them (:func:`distributed` joins those on other hosts), and
:func:`population_mesh` shares the members among them.
"""

import hashlib
import importlib.metadata
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Sequence
from functools import partial
from typing import IO, Any, Literal, NoReturn

import jax
import numpy as np
from jax._src import cache_key
from jax._src.lib import _jax  # pyright: ignore[reportPrivateImportUsage]
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

_SCHEDULER_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler"
# Seconds after which a process on another host that does not answer is taken for dead: JAX then ends all of them. One
# that ends closes its connections, which is noticed at once; this is for a host that lost its power or its network.
_HEARTBEAT_TIMEOUT = 300
# On one machine a process that does not answer is stopped (Ctrl-Z) and may go on: 11 days.
_LOCAL_HEARTBEAT_TIMEOUT = 1_000_000
# Set for the workers of start_workers: their standard input closes when process 0 ends.
_LIFELINE = "JAXGA_LIFELINE"


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
                "JAX started before jaxga was imported (importing gymnax starts it), with a CPU scheduler that can "
                f"hang in vmapped training: import jaxga first, or set XLA_FLAGS={_SCHEDULER_FLAG}=false",
                RuntimeWarning,
                stacklevel=3,
            )
        return
    os.environ["XLA_FLAGS"] = f"{flags} {_SCHEDULER_FLAG}=false".strip()


def num_cores() -> int:
    """How many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def runs_on_cpu() -> bool:
    """Whether JAX computes on the CPU; starts no device where no accelerator's plugin is installed."""
    if not os.environ.get("JAX_PLATFORMS") and not importlib.metadata.entry_points(group="jax_plugins"):
        return True
    return jax.default_backend() == "cpu"


def distributed(
    coordinator: str | Literal["auto"], num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Join this process to a run of several, on one host or many; call it before any JAX computation.

    A thin wrapper of ``jax.distributed.initialize`` that makes CPU processes talk through Gloo. Neither
    authenticates who connects: where the coordinator is a loopback address, both listen there alone.

    Args:
        coordinator: ``"host:port"`` of process 0, or ``"auto"`` where SLURM, Kubernetes or Open MPI
            says who the processes are.
        num_processes: how many there are; not with ``"auto"``.
        process_id: this one's number, from 0; not with ``"auto"``.

    Raises:
        ValueError: a number is missing or out of its range.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if "jax_enable_preemption_service" in jax.config.values:  # JAX 0.8 has no such choice
        # The preemption notifier takes SIGTERM for itself and ends nothing.
        jax.config.update("jax_enable_preemption_service", False)
    if os.environ.get(_LIFELINE):
        threading.Thread(target=_end_with_process_0, daemon=True).start()
    if coordinator == "auto":
        jax.distributed.initialize(heartbeat_timeout_seconds=_HEARTBEAT_TIMEOUT)
        _connect()
        return
    if num_processes is None or process_id is None:
        raise ValueError("a coordinator needs the number of processes and this process's id")
    if not 0 <= process_id < num_processes:
        raise ValueError(f"process id must lie in [0, {num_processes - 1}], got {process_id}")
    is_local = _is_loopback(coordinator)
    if is_local:
        # Gloo listens on the address of the host's name, which may be on another network or unknown.
        _jax.make_gloo_tcp_collectives = partial(_jax.make_gloo_tcp_collectives, hostname="127.0.0.1")
    jax.distributed.initialize(
        coordinator_address=coordinator,
        num_processes=num_processes,
        process_id=process_id,
        heartbeat_timeout_seconds=_LOCAL_HEARTBEAT_TIMEOUT if is_local else _HEARTBEAT_TIMEOUT,
        # By default JAX listens on every address of the host.
        coordinator_bind_address=coordinator if is_local else None,
    )
    _connect()
    if os.environ.get(_LIFELINE):
        _share_compiled_programs()


def _is_loopback(coordinator: str) -> bool:
    host = coordinator.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another host's name
        return False


def _connect() -> None:
    """Let the processes meet now: Gloo writes of it to the standard output, where nobody asked for it."""
    sys.stdout.flush()
    with open(os.devnull, "wb") as nowhere:
        stdout = os.dup(1)
        try:
            os.dup2(nowhere.fileno(), 1)
            agree(True)
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)


def _share_compiled_programs() -> None:
    """Let all processes of this machine load from JAX's cache what process 0 compiled in an earlier run.

    Process 0 alone writes to that cache, and the key of a program tells which of its devices are the process's
    own: so no other process would ever find one. Here all of them use the key of process 0.
    """
    own = getattr(cache_key, "_hash_accelerator_config", None)
    if own is None:  # another JAX: all but process 0 compile at every start
        return
    devices = np.array(jax.devices())
    digest = hashlib.sha256()
    own(digest, devices)
    shared = multihost_utils.broadcast_one_to_all(np.frombuffer(digest.digest(), np.uint8)).tobytes()

    def hash_devices(digest: Any, used: np.ndarray) -> None:
        if used.size == devices.size:
            digest.update(shared)
        else:
            own(digest, used)

    cache_key._hash_accelerator_config = hash_devices  # pyright: ignore[reportPrivateUsage]


def compiler_options() -> dict[str, int]:
    """For ``jax.jit`` of a program that trains: on a CPU, LLVM's first level of optimisation.

    The levels above it took twice the time to compile such programs and made none of them faster.
    """
    return {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else {}


def population_mesh() -> Mesh | None:
    """All devices of all processes along one axis, ``"pop"``; None where there is only one device."""
    devices = jax.devices()
    if len(devices) == 1:
        return None
    return jax.make_mesh((len(devices),), ("pop",), axis_types=(AxisType.Auto,), devices=devices)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Every array of ``tree``, the same in all processes, on every device of the mesh."""
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, PartitionSpec()))(tree)


def agree(decision: int) -> int:
    """Process 0's decision, a bool or a small number, in every process; all of them must call it."""
    if jax.process_count() == 1:
        return decision
    return int(multihost_utils.broadcast_one_to_all(np.asarray(decision, np.int32)))


def start_workers(arguments: Sequence[str], num_processes: int) -> None:
    """Make this process number 0 of ``num_processes`` on this machine, and start and join the others.

    Each worker runs ``python *arguments`` with ``--coordinator``, ``--num-processes`` and ``--process-id``
    appended, for it to hand to :func:`distributed`, and with its share of the cores. Workers print
    nothing and do not see Ctrl-C: this process decides. They end with it, however it ends; where
    one of them fails, this process ends at once with status 1 and names it; where one is stopped, the
    others wait for it, and this process names it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{probe.getsockname()[1]}"
    os.environ["NPROC"] = str(max(1, num_cores() // num_processes))
    environment = {**os.environ, _LIFELINE: "1"}
    for i in range(1, num_processes):
        command = [sys.executable, *arguments, "--coordinator", coordinator]
        command += ["--num-processes", str(num_processes), "--process-id", str(i)]
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        worker = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        name = f"process {i} of {num_processes}"
        threading.Thread(target=_watch, args=(worker, errors, name), daemon=True).start()
    distributed(coordinator, num_processes, 0)
    _share_compiled_programs()


def _watch(worker: subprocess.Popen[bytes], errors: IO[bytes], name: str) -> None:
    while os.WIFSTOPPED(status := os.waitpid(worker.pid, os.WUNTRACED)[1]):
        print(f"{name} is stopped and the run waits for it: kill -CONT {worker.pid}", file=sys.stderr, flush=True)
    worker.returncode = status = os.waitstatus_to_exitcode(status)
    if status:
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        why = f": {lines[-1]}" if lines else ""
        print(f"error: {name} {how}{why}; the run ends here, what it recorded is kept", file=sys.stderr, flush=True)
        os._exit(1)


def _end_with_process_0() -> None:
    sys.stdin.buffer.read()  # until process 0 is gone: it holds the other end
    os._exit(1)


def leave(status: int) -> NoReturn:
    """End this process and its workers at once, without waiting for them to come to an end.

    A worker waits a while: what ends it ends process 0 too, which says why.
    """
    if os.environ.get(_LIFELINE):
        threading.Event().wait(30)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
