"""Programs that are kept: a second search of the same kind compiles nothing."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

import jax

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
