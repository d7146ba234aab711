"""How many members train side by side on a device: planned before anything is compiled, halved where memory is short.

A chunk that is too small starts each operation too often. One that is too large does not fit the memory, and on a CPU
leaves the cache. Timing chunks of 1, 2, 4, 8, ... would find the best one, but each trial costs a compile, which takes
longer than a run of usual length would gain. So the chunk follows from the work of one training (:mod:`jaxga.work`),
and the program is then held against the memory that the compiler itself says it takes.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal, NoReturn

import jax
from jax.sharding import Mesh

from jaxga import runtime
from jaxga.base import Task
from jaxga.checks import MAX_POPULATION, check_count
from jaxga.programs import compiled
from jaxga.text import show_bytes
from jaxga.work import work_of

ChunkSize = int | Literal["auto"] | None

# Of one Zen 4 core; fitted together with the constants of jaxga.work.
_SECONDS_AN_OPERATION = 30e-9
# Starting operations may take this share of the time: a larger chunk could gain no more.
_START_SHARE = 0.05
# The rest of the memory is for what a plan does not know of: arrays of the host, fragments, other programs.
_MEMORY_SHARE = 0.8


class Planned(int):
    """A chunk size that nobody asked for: a smaller one may take its place."""


def check_chunk_size(chunk_size: Any) -> None:
    """Raise ``ValueError`` unless it is ``"auto"``, None, or a whole number of at least 1.

    >>> check_chunk_size("all")
    Traceback (most recent call last):
    ValueError: chunk_size must be 'auto', None or a whole number of at least 1, got 'all'
    """
    if isinstance(chunk_size, str) and chunk_size != "auto":
        raise ValueError(f"chunk_size must be 'auto', None or a whole number of at least 1, got {chunk_size!r}")
    if chunk_size not in (None, "auto"):
        check_count("chunk_size", chunk_size, 1)


def plan_chunk(chunk_size: ChunkSize, task: Task, method: Callable[..., Any] | None = None) -> int | None:
    """The chunk size itself, or a :class:`Planned` one where it is ``"auto"``: a power of two.

    On a CPU this is the least one with which starting operations takes 5 % of the time, on any other device the
    largest one that fits the memory. All processes have to call this function; they get the same size.

    Args:
        chunk_size: what was asked for.
        task: what is trained.
        method: as in :func:`jaxga.work.work_of`.
    """
    if chunk_size != "auto":
        return chunk_size
    work = work_of(task, method)
    wanted = float(MAX_POPULATION)
    if jax.default_backend() == "cpu" and work.seconds:
        wanted = min(wanted, work.operations * _SECONDS_AN_OPERATION * (1 / _START_SHARE - 1) / work.seconds)
    fitting = _MEMORY_SHARE * runtime.device_memory() / max(work.memory, 1)
    # One member at least: whether it fits is for the compiler to say.
    exponent = min(math.ceil(math.log2(max(wanted, 1))), math.floor(math.log2(max(fitting, 1))))
    return Planned(2**exponent)


class Chunks:
    """The chunk size of a program that trains members, halved where the memory does not suffice.

    Args:
        size: from :func:`plan_chunk`.
        num_jobs: all trainings of the program.
        mesh: the devices that share them, None for one device.
    """

    def __init__(self, size: int | None, num_jobs: int, mesh: Mesh | None) -> None:
        self.size = size
        self._num_local = math.ceil(num_jobs / (1 if mesh is None else mesh.size))
        self._needed = 0

    @property
    def _side_by_side(self) -> int:
        return min(self.size or self._num_local, self._num_local)

    def compile(self, build: Callable[[int | None], Any]) -> Any:
        """The compiled program ``build(size)``, of the first of ``size``, ``size / 2``, ... that fits the memory.

        Raises ``MemoryError`` where one member does not fit, or a size that was asked for.
        """
        while True:
            try:
                program = build(self.size)
            except jax.errors.JaxRuntimeError as error:
                self.halve(error)
                continue
            self._needed, memory = program_memory(program), runtime.device_memory()
            if self._needed <= memory:
                return program
            reason = f"they take {show_bytes(self._needed)}, the device has {show_bytes(memory)}"
            if self._side_by_side == 1 or not isinstance(self.size, Planned):
                self._refuse(reason)
            self._halve(reason)

    def run(self, program_of: Callable[[int | None], Any], *arguments: Any) -> Any:
        """What the jitted function ``program_of(size)`` gives, on the host; the size is halved where it has to be."""
        while True:
            program = self.compile(lambda size: compiled(program_of(size), *arguments))
            try:
                return jax.device_get(program(*arguments))
            except jax.errors.JaxRuntimeError as error:
                self.halve(error)

    def halve(self, error: Exception) -> None:
        """Halve the size after an out-of-memory error; what failed has to be compiled and run again.

        Raises the error again where it is another one. Raises ``MemoryError`` where the size is 1 already, and where
        there are several processes, because the others wait for this one's part of the program that failed.
        """
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise error
        reason = str(error).strip().splitlines()[0]
        if self._needed:
            reason = f"they take {show_bytes(self._needed)}, {reason}"
        if self._side_by_side == 1 or jax.process_count() > 1:
            self._refuse(reason, error)
        self._halve(reason)

    def _halve(self, reason: str) -> None:
        before = self._side_by_side
        self.size = Planned(before // 2)
        text = f"{before} members side by side do not fit the device's memory: going on with {self.size} ({reason})"
        warnings.warn(text, RuntimeWarning, stacklevel=4)

    def _refuse(self, reason: str, error: Exception | None = None) -> NoReturn:
        if self._side_by_side == 1:
            reason = reason.replace("they take", "it takes")
            text = f"one member at a time, of {self._num_local}, does not fit the device's memory ({reason})"
        else:
            text = (
                f"{self._side_by_side} members side by side do not fit the device's memory: set a smaller chunk_size "
                f"(--chunk), how many of them run side by side ({reason})"
            )
        raise MemoryError(text) from error


def program_memory(program: Any) -> int:
    """Bytes on each device that a compiled program takes by the compiler's analysis; 0 where there is none.

    These are its arguments, its results and its temporary arrays.
    """
    sizes = program.memory_analysis()
    if sizes is None:
        return 0
    return (
        sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes + sizes.temp_size_in_bytes
    )
