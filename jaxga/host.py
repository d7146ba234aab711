"""Objectives of the host: a Python function that JAX cannot trace, such as a scikit-learn fit, in worker processes."""

import os
import pickle
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.base import Evaluation, Objective
from jaxga.checks import check_count, check_number
from jaxga.distribution import install_hint
from jaxga.files import file_of, load_file
from jaxga.runtime import num_cores
from jaxga.space import Conditional, Dimension, SearchSpace
from jaxga.task import check_function
from jaxga.text import shorten

# Each worker is one process for one core: libraries that start a thread per core would only wait for one another.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

HostFunction = Callable[[int, dict[str, Any]], Any]


class Workers(NamedTuple):
    """How many processes there are, and the seconds that one call may take; None for any time."""

    number: int
    timeout: float | None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class HostTask:
    """A function of the host as a task; see :func:`as_host_task`.

    The compiled generation calls back to the host, once for all its members, and waits for the worker processes.
    """

    fitness: HostFunction = field(metadata={"static": True})
    space: SearchSpace = field(metadata={"static": True})
    objective: Objective = field(metadata={"static": True})
    metrics: tuple[str, ...] = field(metadata={"static": True})
    workers: Workers = field(metadata={"static": True})

    @property
    def data_source(self) -> str:
        """What the function says of its data, where it has this attribute."""
        return getattr(self.fitness, "data_source", "")

    @property
    def data_sha256(self) -> str | None:
        """The digest of its data that the function gives, where it has this attribute."""
        return getattr(self.fitness, "data_sha256", None)

    def evaluate(self, key: Array, setting: dict[str, Array]) -> Evaluation:
        """The figures of one member; NaN where it failed."""
        figures = (jax.ShapeDtypeStruct((), jnp.float32),) * (1 + len(self.metrics))
        seed = jax.random.bits(key, dtype=jnp.uint32)
        value, *metrics = jax.pure_callback(self._figures, figures, seed, setting, vmap_method="broadcast_all")
        return Evaluation(value, dict(zip(self.metrics, metrics, strict=True)))

    def _figures(self, seeds: Any, setting: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
        """The value and each metric, f32 of the shape of ``seeds``; called by the compiled program."""
        seeds = np.asarray(seeds)
        columns = [(d, name, np.asarray(setting[name]).reshape(-1)) for name, d in self.space.items]
        jobs = [
            (int(seed), self.space.active_part({name: d.to_python(column[i]) for d, name, column in columns}))
            for i, seed in enumerate(seeds.reshape(-1))
        ]
        rows = np.array(self._run(jobs), np.float32)
        return tuple(rows.T.reshape(-1, *seeds.shape))

    def _run(self, jobs: Sequence[tuple[int, dict[str, Any]]]) -> list[list[float]]:
        import cloudpickle

        # What the workers cannot import is sent by value: the functions of a script or a notebook.
        function, pool = cloudpickle.dumps(self.fitness), _pool(self.workers.number)
        file = file_of(getattr(self.fitness, "__module__", ""))
        futures = [pool.schedule(_call, args=(function, file, *job), timeout=self.workers.timeout) for job in jobs]
        return [self._row(future) for future in futures]

    def _row(self, future: Future[Any]) -> list[float]:
        """The value and the metrics of one member; NaN, and a warning that says why, where it failed."""
        from pebble import ProcessExpired

        try:
            result = future.result()
            pair: Any = result if isinstance(result, tuple) and len(result) == 2 else (result, {})
            value, metrics = pair
            if not isinstance(metrics, Mapping) or set(metrics) != set(self.metrics):
                allowed = f"with the metrics {list(self.metrics)}" if self.metrics else "a number"
                raise ValueError(f"the function must return {allowed}, got {shorten(repr(result))}")
            return [float(value), *(float(metrics[name]) for name in self.metrics)]
        except TimeoutError:
            reason = f"it took more than {self.workers.timeout} s"
        except ProcessExpired as error:
            reason = f"its process ended with status {error.exitcode}"
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        warnings.warn(f"a member failed: {reason}", RuntimeWarning, stacklevel=2)
        return [np.nan] * (1 + len(self.metrics))


def as_host_task(
    space: SearchSpace | Mapping[str, Dimension | Conditional],
    *,
    objective: Objective | None = None,
    metrics: Sequence[str] = (),
    num_workers: int | None = None,
    timeout: float | None = None,
) -> Callable[[HostFunction], HostTask]:
    """A decorator that makes a Python function ``fitness(seed, setting)`` a task, for code that JAX cannot trace.

    The function is called in worker processes, one member at a time in each. ``seed`` is a whole number in
    [0, 2^32 - 1], ``setting`` a dict of Python numbers and choices. It returns a number, or a pair of a number and a
    dict of ``metrics``. A member whose function raises an error, takes too long or ends its process is a failed
    member; a warning says why.

    Args:
        space: the hyperparameters and their ranges.
        objective: what the function returns, and whether less of it is better; default: ``value``, minimised.
        metrics: the names of further numbers that the function returns.
        num_workers: worker processes; default one a core.
        timeout: seconds that one call may take, None for any time; after that its process is ended.

    Raises ``ValueError`` for an argument out of its range, or where the packages of the extra ``host`` are missing.

    The function is sent to the workers with every call: of a module by its name, of a script or a notebook by value. So
    it should load its data itself, and keep them in a cache of its module: data that it closes over are sent too. A run
    records the function's attributes ``data_source`` (in words) and ``data_sha256`` (a digest), where it has them. It
    is resumed only with the same digest.

    >>> from jaxga.space import Uniform
    >>> @as_host_task({"x": Uniform(-1.0, 1.0)}, num_workers=2)
    ... def square(seed, setting):
    ...     return setting["x"] ** 2
    >>> float(square.evaluate(jax.random.key(0), {"x": jnp.float32(0.5)}).value)
    0.25
    """
    if num_workers is None:
        num_workers = int(os.environ.get("NPROC") or num_cores())
    check_count("as_host_task: num_workers", num_workers, 1)
    if timeout is not None:
        check_number("as_host_task: timeout", timeout, 0, above=True)
    if isinstance(metrics, str) or not all(isinstance(name, str) for name in metrics):
        raise ValueError(f"as_host_task: metrics must be a list of names, got {metrics!r}")
    goal = Objective() if objective is None else objective
    if not isinstance(goal, Objective):
        raise ValueError(f"as_host_task: objective must be a jaxga.Objective, got {objective!r}")
    try:
        import cloudpickle  # noqa: F401
        import loky  # noqa: F401
        import pebble  # noqa: F401
    except ImportError as error:
        raise ValueError(f"a task of the host needs the package {error.name}: {install_hint('host')}") from None

    def decorate(fitness: HostFunction) -> HostTask:
        check_function(fitness, space, "seed")
        described = space if isinstance(space, SearchSpace) else SearchSpace(space)
        return HostTask(fitness, described, goal, tuple(metrics), Workers(num_workers, timeout))

    return decorate


def _call(function: bytes, file: Path | None, seed: int, setting: dict[str, Any]) -> Any:
    """In a worker: the function's result."""
    return _loaded(function, file)(seed, setting)


@lru_cache(1)
def _loaded(function: bytes, file: Path | None) -> HostFunction:
    if file is not None:  # what the function refers to is found there
        load_file(file)
    return pickle.loads(function)


@cache
def _pool(num_workers: int) -> Any:
    """The workers, kept for the next generation. They do not import the main script, and end with this process."""
    from loky.backend import get_context
    from pebble import ProcessPool

    return ProcessPool(num_workers, initializer=_begin, context=get_context("loky"))


def _begin() -> None:
    os.environ.update(_ONE_THREAD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run
