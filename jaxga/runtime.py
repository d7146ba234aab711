"""Settings that JAX needs before it starts (a CPU scheduler that cannot hang), processes, devices.

On few cores the thread pool of XLA's CPU client can deadlock in scans over batched matrix products. The cause is its
concurrency-optimised scheduler: it runs independent operations at the same time, and each of them waits for threads
that another one holds. Importing jaxga switches this scheduler off; each operation still uses all threads.

To use all cores of a CPU, run one process per core: :func:`start_workers` starts and joins the processes of one
machine, :func:`distributed` joins those of several, and :func:`population_mesh` divides the members among them.

Three private functions of JAX are used (:func:`_private`); a version of JAX without them is supported too.
"""

import contextlib
import hashlib
import importlib
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
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

_SCHEDULER_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler"
# After so many seconds without an answer from a process on another host JAX ends all processes. A process that ends
# closes its connections, which is noticed at once; the timeout is for a host that lost its power or its network.
_HEARTBEAT_TIMEOUT = 300
# On one machine a process without an answer was stopped (Ctrl-Z) and may be continued: wait 11 days.
_LOCAL_HEARTBEAT_TIMEOUT = 1_000_000
# This environment variable marks the workers of start_workers: their standard input closes when process 0 ends.
_LIFELINE = "JAXGA_LIFELINE"
# The threads that wait for the workers of this process, and say how one ended.
_watchers: list[threading.Thread] = []
# Whether the processes of this machine find each other's programs in JAX's cache.
_shares_programs = False
# The limit of a container's memory and what it has taken of it: control groups version 2, version 1.
_GROUP_MEMORY = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)

T = TypeVar("T")


def _private(module: str, name: str) -> Any:
    """A private attribute of JAX, or None if this version of JAX does not have it."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def configure() -> None:
    """Switch the CPU client's unsafe scheduler off; called by ``import jaxga``.

    Warns if JAX has already started its CPU client with this scheduler. A choice of the user (the flag in
    ``XLA_FLAGS``, or ``NPROC=1``) is not changed.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _SCHEDULER_FLAG in flags or os.environ.get("NPROC") == "1":
        return
    has_started = _private("jax._src.xla_bridge", "backends_are_initialized")
    if has_started is not None and has_started():  # if JAX cannot tell, the flag is set without a warning
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
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def runs_on_cpu() -> bool:
    """Whether JAX computes on the CPU; if no plugin of an accelerator is installed, no device is started."""
    if not os.environ.get("JAX_PLATFORMS") and not importlib.metadata.entry_points(group="jax_plugins"):
        return True
    return jax.default_backend() == "cpu"


def distributed(
    coordinator: str | Literal["auto"], num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Join this process to a run of several processes, on one host or many; call it before any JAX computation.

    A thin wrapper of ``jax.distributed.initialize`` in which CPU processes communicate through Gloo. JAX and Gloo do
    not authenticate connections. If the coordinator is a loopback address, both listen on the loopback address only.

    Args:
        coordinator: ``"host:port"`` of process 0, or ``"auto"`` if SLURM, Kubernetes or Open MPI gives the addresses.
        num_processes: the number of processes; not with ``"auto"``.
        process_id: the number of this process, from 0; not with ``"auto"``.

    Raises:
        ValueError: a number is missing or out of its range.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if "jax_enable_preemption_service" in jax.config.values:  # JAX 0.8 does not have this option
        # The preemption notifier catches SIGTERM and then does not end the process.
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
        _bind_gloo_to_loopback()
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


def _bind_gloo_to_loopback() -> None:
    """By default Gloo listens on the address of the host's name, which may be on another network or unknown."""
    library = _private("jax._src.lib", "_jax")
    make = getattr(library, "make_gloo_tcp_collectives", None)
    if make is None:
        warnings.warn(
            "this version of JAX does not let jaxga choose the address on which Gloo listens: other hosts of the "
            "network may reach the ports of this run",
            RuntimeWarning,
            stacklevel=3,
        )
        return
    library.make_gloo_tcp_collectives = partial(make, hostname="127.0.0.1")


def _is_loopback(coordinator: str) -> bool:
    host = coordinator.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # the name of another host
        return False


def _connect() -> None:
    """Connect the processes now, with the standard output closed: Gloo prints a line for each connection."""
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
    """Let all processes of this machine load the programs that process 0 compiled in an earlier run from JAX's cache.

    Only process 0 writes to this cache. The key of a program depends on which devices belong to the process, so the
    other processes would not find it. Here all processes use the key of process 0.
    """
    cache_key = _private("jax._src", "cache_key")
    own = getattr(cache_key, "_hash_accelerator_config", None)
    if own is None:  # slower: all processes except 0 compile at every start
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

    cache_key._hash_accelerator_config = hash_devices
    global _shares_programs
    _shares_programs = True


def in_turn(compile_program: Callable[[], T]) -> T:
    """What ``compile_program()`` gives; all processes must call this function, in the same order.

    Of the processes of :func:`start_workers` only process 0 compiles, with all cores; then the others load the program
    from JAX's cache. Other processes, and those without a cache, compile at the same time.
    """
    waits = _shares_programs and jax.config.values.get("jax_compilation_cache_dir")
    if waits and jax.process_index():
        agree(True)
    try:
        return compile_program()
    finally:
        if waits and not jax.process_index():
            agree(True)


def compiler_options() -> dict[str, int]:
    """Options for ``jax.jit`` of a program that trains: on a CPU, the first optimisation level of LLVM.

    Higher levels doubled the compile time of such programs and did not make them faster.
    """
    return {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else {}


def population_mesh() -> Mesh | None:
    """All devices of all processes along one axis, ``"pop"``; None if there is only one device."""
    devices = jax.devices()
    if len(devices) == 1:
        return None
    return jax.make_mesh((len(devices),), ("pop",), axis_types=(AxisType.Auto,), devices=devices)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """A copy of ``tree`` on every device of the mesh; its arrays must be equal in all processes."""
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, PartitionSpec()))(tree)


def agree(decision: int) -> int:
    """The decision of process 0 (a bool or an int32) in every process; all processes must call this function."""
    if jax.process_count() == 1:
        return decision
    return int(multihost_utils.broadcast_one_to_all(np.asarray(decision, np.int32)))


def device_memory() -> int:
    """Bytes that a device may hold, of the one that may hold least; all processes must call this function.

    An accelerator says how much it has. The devices of a host's CPU share the memory that is available there now.
    """
    device = jax.local_devices()[0]
    sizes = device.memory_stats() or {}  # a CPU gives None
    local = sizes["bytes_limit"] if "bytes_limit" in sizes else available_memory() // jax.local_device_count()
    if jax.process_count() == 1:
        return local
    # JAX exchanges int32: a host's number, and its memory in MiB.
    host = int.from_bytes(hashlib.sha256(socket.gethostname().encode()).digest()[:4], "little", signed=True)
    hosts, memory = multihost_utils.process_allgather(np.array([host, local >> 20], np.int32)).T
    if "bytes_limit" not in sizes:
        memory = memory // (hosts[:, None] == hosts).sum(axis=1)
    return int(memory.min()) << 20


def available_memory() -> int:
    """Bytes of this host's memory that processes may still take: what Linux says, at most the control group's rest."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):  # another system: half of what the machine has
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    for limit, used in _GROUP_MEMORY:
        with contextlib.suppress(OSError, ValueError):  # no such group, or "max": no limit
            available = min(available, int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(available, 0)


def start_workers(arguments: Sequence[str], num_processes: int) -> None:
    """Make this process number 0 of ``num_processes`` on this machine, and start and join the other ones.

    Each worker runs ``python *arguments --coordinator ... --num-processes ... --process-id ...`` with its share of the
    cores; it has to pass these three options to :func:`distributed`. Workers print nothing and do not receive Ctrl-C.
    All workers end when this process ends. If a worker fails, this process names it and ends at once with status 1. If
    a worker is stopped, this process names it and all processes wait.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{probe.getsockname()[1]}"
    os.environ["NPROC"] = str(max(1, num_cores() // num_processes))
    environment = {**os.environ, _LIFELINE: "1"}
    for i in range(1, num_processes):
        command = [sys.executable, *arguments, "--coordinator", coordinator]
        command += ["--num-processes", str(num_processes), "--process-id", str(i)]
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the worker runs
        worker = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        name = f"process {i} of {num_processes}"
        _watchers.append(threading.Thread(target=_watch, args=(worker, errors, name), daemon=True))
        _watchers[-1].start()
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


def let_watchers_speak() -> None:
    """Wait two seconds if this process has workers, so that a watcher can say which one died.

    When a worker dies, an exchange with it fails, often before its watcher notices. The watcher then names the worker,
    which says more than the failed exchange, and ends this process.
    """
    if _watchers:
        threading.Event().wait(2)


def _end_with_process_0() -> None:
    sys.stdin.buffer.read()  # returns when process 0, which has the other end of the pipe, is gone
    os._exit(1)


def leave(status: int) -> NoReturn:
    """End this process and its workers at once.

    A worker first waits 30 seconds: the same cause ends process 0 too, and only process 0 can print the reason.
    """
    if os.environ.get(_LIFELINE):
        threading.Event().wait(30)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
