"""A plain function as a task, the checks of a task before it is compiled, and the sizes of its runs."""

import inspect
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.base import Evaluation, Objective, PyTree, Task
from jaxga.checks import check_count
from jaxga.evaluate import named_leaves, named_metrics
from jaxga.runs.history import metric_columns
from jaxga.space import Conditional, Dimension, SearchSpace
from jaxga.text import shorten
from jaxga.trainable import Trainable

# What JAX raises where Python needs the value of a traced number: if, float(), range() and indices, numpy.
_NEEDS_VALUE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.TracerArrayConversionError,
)
_ARRAY = jax.Array | np.ndarray | np.generic | bool | int | float
_HINT = (
    "a hyperparameter is traced, so Python cannot know its value (if, while, float(), int(), range(), numpy): "
    "choose with jnp.where or lax.cond, repeat with lax.fori_loop, give arrays their largest size and mask the rest"
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FunctionTask:
    """A plain function ``fitness(key, setting) -> value`` as a task.

    The function may also return ``(value, metrics)`` or ``(value, metrics, model)``, the fields of an
    :class:`Evaluation`.
    """

    fitness: Callable[[Array, dict[str, Array]], Any] = field(metadata={"static": True})
    space: SearchSpace = field(metadata={"static": True})
    objective: Objective = field(metadata={"static": True})

    def evaluate(self, key: Array, setting: dict[str, Array]) -> Evaluation:
        result = self.fitness(key, setting)
        given: Any = result if isinstance(result, tuple) and len(result) in (2, 3) else (result, {})
        value, metrics, model = Evaluation(*given)
        if isinstance(value, dict | list | tuple | str | None) or not isinstance(metrics, dict):
            raise ValueError(
                "fitness must return a number, (number, dict of metrics) or (number, dict of metrics, model), "
                f"got {shorten(repr(result))}"
            )
        return Evaluation(jnp.asarray(value), metrics, model)


def function_task(fitness: Any, space: Any, objective: Objective) -> FunctionTask:
    """A function ``fitness(key, setting)`` as a task; ``ValueError`` where it is none, or the space is none."""
    check_function(fitness, space, "key")
    if not isinstance(objective, Objective):
        raise ValueError(f"objective must be a jaxga.Objective, got {objective!r}")
    return FunctionTask(fitness, space if isinstance(space, SearchSpace) else SearchSpace(space), objective)


def check_function(fitness: Any, space: Any, first: str) -> None:
    """Raise ``ValueError`` unless ``fitness`` takes two arguments, ``first`` and a setting, and ``space`` is one."""
    if not callable(fitness) or not _takes_two(fitness):
        raise ValueError(f"fitness must be a function of ({first}, setting), got {fitness!r}; the space comes second")
    if not isinstance(space, SearchSpace | Mapping):
        raise ValueError(f"space must be a SearchSpace or a dict of its dimensions, got {space!r}")


def as_task(
    space: SearchSpace | Mapping[str, Dimension | Conditional], *, objective: Objective | None = None
) -> Callable[[Callable[[Array, dict[str, Array]], Any]], FunctionTask]:
    """A decorator that makes a function ``fitness(key, setting)`` a task, for :func:`jaxga.optimize` and ``--task``.

    Args:
        space: the hyperparameters and their ranges.
        objective: what the function returns, and whether less of it is better; default: ``value``, minimised.

    >>> from jaxga.space import Uniform
    >>> @as_task({"x": Uniform(-1.0, 1.0)}, objective=Objective("height", "max"))
    ... def hill(key, setting):
    ...     return 1.0 - setting["x"] ** 2
    >>> hill.objective
    Objective(name='height', direction='max')
    """
    return lambda fitness: function_task(fitness, space, Objective() if objective is None else objective)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        pass
    return True


def check_attributes(task: Any) -> None:
    """Raise ``ValueError`` unless the task has a space, an objective and ``evaluate``, and is a pytree of arrays."""
    if not isinstance(task, Task) or isinstance(task, type):
        raise ValueError(
            f"task must be an object with space, objective and evaluate(key, setting), got {task!r}"
            + (" (a plain function is searched by jaxga.minimize or jaxga.maximize)" if callable(task) else "")
        )
    for attribute, kind in (("space", SearchSpace), ("objective", Objective)):
        if not isinstance(given := getattr(task, attribute), kind):
            raise ValueError(f"task: {attribute} must be of type {kind.__name__}, got {given!r}")
    metric_columns(task.space, ())
    for path, leaf in jax.tree_util.tree_flatten_with_path(task)[0]:
        if not path:
            raise ValueError(f"task must be a pytree (@jax.tree_util.register_dataclass), got {task!r}")
        if not isinstance(leaf, _ARRAY):
            name = jax.tree_util.keystr(path)
            raise ValueError(f"task{name} must be an array, or static (metadata={{'static': True}}), got {leaf!r}")


def check_task(task: Task) -> None:
    """Trace the task's ``evaluate``, and its ``test`` where it has one, before anything is compiled.

    Raises ``ValueError`` unless

    - the task has a space, an objective and ``evaluate``, and is a pytree of arrays;
    - its value is one real number, its metrics are real numbers or curves, its model is a pytree of arrays;
    - no two columns of the history have the same name;
    - a :class:`jaxga.Trainable` has a number of parts, and each part keeps the carry's shapes and types;
    - it can be traced, without knowing the value of any hyperparameter.
    """
    check_attributes(task)
    if isinstance(task, Trainable):
        _check_parts(task)
    for method in ("evaluate", "test"):
        if hasattr(task, method):
            evaluation = _traced(task, method)
            _check_real(f"the value of {method}", evaluation.value, max_axes=0)
            for name, metric in evaluation.metrics.items():
                _check_real(f"metric {name!r} of {method}", metric, max_axes=1)
            metric_columns(task.space, evaluation.metrics)


def _check_parts(task: Trainable) -> None:
    check_count("task: num_parts", task.num_parts, 1)

    def one(task: Any) -> tuple[PyTree, PyTree]:
        key, setting = jax.random.key(0, impl="threefry2x32"), task.space.decode(jnp.full(task.space.size, 0.5))
        carry = task.init(key, setting)
        return carry, task.advance(key, carry, setting, jnp.int32(0))

    with _explained("init or advance", task):
        before, after = jax.eval_shape(one, task)
    if jax.tree.structure(before) != jax.tree.structure(after):
        given = f"{jax.tree.structure(after)}, not {jax.tree.structure(before)}"
        raise ValueError(f"task: advance must return a carry as init does, got {shorten(given, 200)}")
    for (path, old), new in zip(jax.tree_util.tree_flatten_with_path(before)[0], jax.tree.leaves(after), strict=True):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            name = jax.tree_util.keystr(path)
            raise ValueError(
                f"task: advance must keep the carry's shapes and types: carry{name} is {old.dtype}{list(old.shape)} "
                f"after init and {new.dtype}{list(new.shape)} after a part"
            )


def _traced(task: Task, method: str) -> Evaluation:
    """The shapes and types of one evaluation, before the engine converts them."""

    def one(task: Task) -> Evaluation:
        key, genome = jax.random.key(0, impl="threefry2x32"), jnp.full(task.space.size, 0.5, jnp.float32)
        evaluation = getattr(task, method)(key, task.space.decode(genome))
        if not isinstance(evaluation, tuple) or len(evaluation) not in (2, 3):
            raise ValueError(
                f"task: {method} must return an Evaluation(value, metrics) or Evaluation(value, metrics, model), "
                f"got {shorten(repr(evaluation))}"
            )
        value, metrics, model = Evaluation(*evaluation)
        metrics = named_metrics(metrics)
        for path, leaf in jax.tree_util.tree_flatten_with_path(model)[0]:
            if not isinstance(leaf, _ARRAY):
                name = f"{type(leaf).__name__} at model{jax.tree_util.keystr(path)}"
                raise ValueError(f"task: the model of {method} must be a pytree of arrays, got a {name}")
        # In the model's file the names are paths: none may be a folder of another one.
        names = [name for name, _ in named_leaves(model)]
        for name in names:
            same = [repr(other) for other in names if f"{other}/".startswith(f"{name}/")]
            if len(same) > 1:
                raise ValueError(f"task: two arrays of the model of {method} have the name {name!r}: {', '.join(same)}")
        figures = {f"metric {name!r} of {method}": metric for name, metric in metrics.items()}
        for name, figure in {f"the value of {method}": value, **figures}.items():
            if not hasattr(figure, "dtype") and not isinstance(figure, bool | int | float | complex):
                raise ValueError(f"task: {name} must be a number or an array of numbers, got {figure!r}")
        return Evaluation(value, metrics, model)

    with _explained(method, task):
        return Evaluation(*jax.eval_shape(one, task))


@contextmanager
def _explained(method: str, task: Any) -> Iterator[None]:
    """The errors of tracing a task's ``method``, in words."""
    try:
        yield
    except TypeError as error:
        # A traced number as a shape raises a plain TypeError. Any other TypeError is the user's own.
        if not isinstance(error, _NEEDS_VALUE) and "Tracer" not in str(error):
            raise
        raise ValueError(f"{method} cannot be traced{user_place(error)}: {_HINT}") from error
    except KeyError as error:
        name = error.args[0] if error.args else None
        if not isinstance(name, str) or name in task.space.names:
            raise
        place, names = user_place(error), list(task.space.names)
        raise ValueError(f"nothing has the name {name!r}{place}; a setting has {names}") from error


def _check_real(what: str, figure: Any, *, max_axes: int) -> None:
    allowed = "one real number" if max_axes == 0 else "a real number or a curve of one axis"
    is_real = jnp.issubdtype(figure.dtype, jnp.number) or figure.dtype == jnp.bool_
    if not is_real or jnp.issubdtype(figure.dtype, jnp.complexfloating):
        raise ValueError(f"task: {what} must be {allowed}, got the type {figure.dtype}")
    if len(figure.shape) > max_axes or 0 in figure.shape:
        raise ValueError(f"task: {what} must be {allowed}, got an array of shape {list(figure.shape)}")


def user_place(error: BaseException) -> str:
    """Where in the user's own code an error came from, as ``" (train.py:12)"``; empty where that is not known."""
    packages = (str(Path(__file__).parent), "site-packages", sysconfig.get_path("stdlib"), "<")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not any(p in f.filename for p in packages)]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


@dataclass(frozen=True)
class RunDefaults:
    """The sizes and the algorithm of a run where the command line gives none; see :func:`run_defaults`."""

    population_size: int = 64
    num_generations: int = 20
    num_replicates: int = 1
    num_fresh: int = 8
    is_heavy: bool = True
    algorithm: str = "invasive_ga"

    def __post_init__(self) -> None:
        for name, least in (("population_size", 1), ("num_generations", 1), ("num_replicates", 1), ("num_fresh", 1)):
            check_count(f"run_defaults: {name}", getattr(self, name), least)


_T = TypeVar("_T")


def run_defaults(
    *,
    population_size: int = RunDefaults.population_size,
    num_generations: int = RunDefaults.num_generations,
    num_replicates: int = RunDefaults.num_replicates,
    num_fresh: int = RunDefaults.num_fresh,
    is_heavy: bool = RunDefaults.is_heavy,
    algorithm: str = RunDefaults.algorithm,
) -> Callable[[_T], _T]:
    """A decorator for a factory of tasks, or a task: what ``jaxga run`` takes where it is given nothing else.

    Args:
        population_size: members per generation, at least 1.
        num_generations: at least 1.
        num_replicates: seeds per member, at least 1.
        num_fresh: seeds under which the winner is trained again at the end, at least 1.
        is_heavy: of a registered task, whether a generation takes longer than starting one process per core. Any other
            task is taken to be heavy, because the processes start before it is imported.
        algorithm: a name from ``jaxga.ALGORITHMS``.

    Raises ``ValueError`` where a number is below its least value.

    >>> @run_defaults(population_size=10)
    ... def my_task(*, num_steps: int = 100): ...
    >>> defaults_of(my_task).population_size
    10
    """
    defaults = RunDefaults(population_size, num_generations, num_replicates, num_fresh, is_heavy, algorithm)

    def attach(factory: _T) -> _T:
        object.__setattr__(factory, "run_defaults", defaults)  # a task is frozen
        return factory

    return attach


def defaults_of(factory: Any) -> RunDefaults:
    """What :func:`run_defaults` attached, or the values that it has by default."""
    return getattr(factory, "run_defaults", RunDefaults())
