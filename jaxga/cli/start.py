"""How a command starts: which processes take part, and where compiled programs are kept."""

import math
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import jax

from jaxga import runtime
from jaxga.task import RunDefaults
from jaxga.text import show_bytes


class JoinOptions(Protocol):
    """The options that name the other processes of a run; see ``Options``."""

    @property
    def coordinator(self) -> str | None: ...
    @property
    def num_processes(self) -> int | None: ...
    @property
    def process_id(self) -> int | None: ...


class ProcessOptions(JoinOptions, Protocol):
    """The options that say how many processes take part, and how much they have to do."""

    @property
    def pop(self) -> int | None: ...
    @property
    def replicates(self) -> int | None: ...
    @property
    def chunk(self) -> str: ...
    @property
    def processes(self) -> str: ...


# Of a process with JAX and the task's data, while it compiles: 0.6 to 1.0 GiB were measured, most with invasive_ga.
_PROCESS_BYTES = 2**30


class Processes(NamedTuple):
    """How many processes take part, 0 where only the cluster knows, and why so many."""

    number: int
    reason: str


def join(options: JoinOptions, command: list[str], number: int) -> None:
    """Join the run's other processes, on other hosts or started here with the same command."""
    if options.coordinator is not None:
        runtime.distributed(options.coordinator, options.num_processes, options.process_id)
    elif number > 1:
        runtime.start_workers(command, number)


def plan_processes(options: ProcessOptions, defaults: RunDefaults) -> Processes:
    """How many processes a run has.

    Args:
        options: of the run.
        defaults: of its task, for the sizes that the options do not give.
    """
    if options.coordinator is not None:
        return Processes(options.num_processes or 0, "as --coordinator joins them")
    if options.processes != "auto":
        return Processes(int(options.processes), "as --processes says")
    if not defaults.is_heavy:
        return Processes(1, "more would not make this task faster")
    if not runtime.runs_on_cpu():
        return Processes(1, "it uses all accelerators")
    trainings = (options.pop or defaults.population_size) * (options.replicates or defaults.num_replicates)
    # A planned chunk is known only once the processes are joined; it may be as small as one training.
    chunks = trainings if options.chunk == "auto" else math.ceil(trainings / int(options.chunk))
    memory = runtime.available_memory()
    limits = [
        Processes(runtime.num_cores(), "one a core"),
        Processes(chunks, "one a training" if options.chunk == "auto" else "one a chunk of members"),
        Processes(memory // _PROCESS_BYTES, f"{show_bytes(_PROCESS_BYTES)} each in {show_bytes(memory)} of memory"),
    ]
    least = min(limits, key=lambda limit: limit.number)
    if least.number <= 1:
        return least._replace(number=1)
    turns = math.ceil(chunks / least.number)
    if (even := math.ceil(chunks / turns)) < least.number:
        return Processes(even, f"{turns} trainings each" if options.chunk == "auto" else f"{turns} chunks each")
    return least


def process_seconds() -> float:
    """Seconds since this process was started, with what importing took; 0 where the system does not say."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def use_compilation_cache() -> None:
    """Keep compiled programs between runs, in the user's cache folder or ``JAX_COMPILATION_CACHE_DIR``."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(base / "jaxga" / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def run_command(main: Callable[[], int]) -> None:
    """Run a command, and end its workers with it, whatever ends it: JAX's own end would wait minutes for them."""
    try:
        status = main()
    except SystemExit:  # whoever read what it prints has gone
        status = 1
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        runtime.let_watchers_speak()
        traceback.print_exc()
        status = 1
    if status:
        runtime.leave(status)
