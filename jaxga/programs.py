"""Programs that are kept, or compiled ahead: a second search of the same kind compiles nothing."""

import contextlib
import threading
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any
from weakref import WeakKeyDictionary

import jax

from jaxga import runtime
from jaxga.base import Task

# Of each kind the newest programs are kept. A process may not hold more than some hundreds of compiled programs, each
# of which takes mapped memory.
NUM_KEPT = 32


def kept_program(make: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of ``make(*static) -> jitted function``: equal ``(task, *static)`` give the same function again.

    JAX keeps what it compiled with the jitted function itself. Tasks of different structure (type and static fields)
    get functions of their own, so that the programs of a task are forgotten with its function. The data of a task are
    arguments of the program and are not held.
    """

    @lru_cache(NUM_KEPT, typed=True)
    def made(structure: Any, *static: Any) -> Any:
        del structure
        return make(*static)

    @wraps(make)
    def program(task: Task, *static: Any) -> Any:
        return made(jax.tree.structure(task), *static)

    return program


_compiling: WeakKeyDictionary[Any, threading.Thread] = WeakKeyDictionary()


def compile_ahead(jitted: Any, *arguments: Any) -> None:
    """Begin to compile in a thread what :func:`compiled` will be asked for; in process 0 alone, which does it for all.

    Nothing is executed in the thread, so the processes run the same programs in the same order.
    """

    def compile_program() -> None:
        with contextlib.suppress(Exception):  # what fails here fails again where the program is needed
            jitted.lower(*arguments).compile()

    if jitted not in _compiling and jax.process_index() == 0:
        _compiling[jitted] = threading.Thread(target=compile_program)
        _compiling[jitted].start()


def compiled(jitted: Any, *arguments: Any) -> Any:
    """The compiled program of a jitted function; all processes must call this function, in the same order."""
    if (thread := _compiling.pop(jitted, None)) is not None:
        thread.join()
    return runtime.in_turn(jitted.lower(*arguments).compile)  # tracing and lowering are not in the cache
