"""How a command starts: which processes take part, and where compiled programs are kept."""

import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import jax

from jaxga import runtime


class ProcessOptions(Protocol):
    """The options that say which processes take part; see ``Options``."""

    @property
    def processes(self) -> str: ...
    @property
    def coordinator(self) -> str | None: ...
    @property
    def num_processes(self) -> int | None: ...
    @property
    def process_id(self) -> int | None: ...


def join(options: ProcessOptions, command: list[str], is_heavy: bool) -> None:
    """Join the run's other processes, on other hosts or started here with the same command."""
    if options.coordinator is not None:
        runtime.distributed(options.coordinator, options.num_processes, options.process_id)
    elif (num := num_processes(options, is_heavy)) > 1:
        runtime.start_workers(command, num)


def num_processes(options: ProcessOptions, is_heavy: bool) -> int:
    """How many processes take part; 0 where the cluster says that when they start."""
    if options.coordinator is not None:
        return options.num_processes or 0
    if options.processes != "auto":
        return int(options.processes)
    return runtime.num_cores() if is_heavy and runtime.runs_on_cpu() else 1


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
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def run_command(main: Callable[[], int]) -> None:
    """Run a command, and end its workers with it, whatever ends it: JAX's own end would wait minutes for them."""
    try:
        status = main()
    except SystemExit:  # whoever read what it prints has gone
        status = 1
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
        status = 1
    if status:
        runtime.leave(status)
