"""``--task NAME``: a registered task, ``package.module:factory`` or ``path/to/file.py:factory``."""

import ast
import contextlib
import importlib
import importlib.metadata
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

from jaxga.base import Objective, Task
from jaxga.files import load_file
from jaxga.task import as_task, check_attributes, user_place
from jaxga.text import check_choice, shorten

# Where packages register their tasks: a name and a factory.
GROUP = "jaxga.tasks"


def registered() -> dict[str, importlib.metadata.EntryPoint]:
    """The tasks that installed packages have registered, by name."""
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}


def short_name(task: str) -> str:
    """A task's name in a folder's name: the last word of ``package.module:factory``."""
    return re.sub(r"\W+", "_", task.rpartition(":")[2])


def find_factory(task: str) -> Any:
    """What ``--task`` names: a task, or what makes one when it is called.

    Raises ``ValueError`` where there is no such task, module, file or name, and where importing it fails.
    """
    entries = registered()
    if task in entries:
        with user_code(f"--task {task} cannot be imported"):
            return entries[task].load()
    where, colon, name = task.rpartition(":")
    if not colon or not where or not name:
        check_choice("--task", task, [*entries, "package.module:factory", "path/to/file.py:factory"])
    module = _from_file(task, Path(where)) if where.endswith(".py") else _from_module(task, where)
    if not hasattr(module, name):
        own = [found for found, value in vars(module).items() if found[0] != "_" and _is_own(value, module)]
        raise ValueError(f"--task {task}: {where} has no {name!r}; it has {', '.join(own) or 'no task'}")
    return getattr(module, name)


def _is_own(value: Any, module: ModuleType) -> bool:
    """Whether a module defines this task or function itself."""
    return isinstance(value, Task) or (callable(value) and getattr(value, "__module__", None) == module.__name__)


def _from_file(task: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"--task {task}: there is no file {path}")
    with user_code(f"--task {task} cannot be imported"):
        return load_file(path)


def _from_module(task: str, name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
    with user_code(f"--task {task} cannot be imported"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{name}.".startswith(f"{error.name}."):
                raise ValueError(f"--task {task}: there is no module {error.name!r}") from None
            raise


def make_task(task: str, found: Any, arguments: Mapping[str, Any]) -> Task:
    """The task itself, from what :func:`find_factory` found.

    Args:
        task: as the command line names it.
        found: a task; a function of a key and a setting with an attribute ``space``; or a factory, which returns
            either of these or a pair ``(function, space)``.
        arguments: keyword arguments of the factory.

    Raises ``ValueError`` where it is none of these, an argument is missing, or the factory raises an error.
    """
    if isinstance(found, type) or not (isinstance(found, Task) or hasattr(found, "space")):
        if not callable(found):
            raise ValueError(f"--task {task} must be a task or a function that returns one, got {shorten(repr(found))}")
        missing = [
            name
            for name, parameter in parameters(found).items()
            if parameter.default is parameter.empty and parameter.kind in _NAMED and name not in arguments
        ]
        if missing[:1] == ["key"]:
            raise ValueError(
                f"--task {task} is a function of {', '.join(missing)}: decorate it with @jaxga.as_task(space)"
            )
        if missing:
            raise ValueError(f"--task {task} needs the arguments {', '.join(missing)}: give each by --set NAME=VALUE")
        with user_code(f"--task {task}"):
            found = found(**arguments)
    elif arguments:
        raise ValueError(f"--task {task} is a task already and takes no arguments, got {', '.join(arguments)}")
    if isinstance(found, tuple) and len(found) == 2 and callable(found[0]):
        return as_task(found[1])(found[0])
    space = getattr(found, "space", None)
    if space is not None and callable(found) and not isinstance(found, Task):
        return as_task(space, objective=getattr(found, "objective", Objective()))(found)
    with user_code(f"--task {task}"):
        check_attributes(found)
    return cast(Task, found)


@contextlib.contextmanager
def user_code(what: str) -> Iterator[None]:
    """Turn an error of the user's own code into a ``ValueError`` of one line, with the file and line of the error."""
    try:
        yield
    except SyntaxError as error:
        place = f" ({Path(error.filename or '').name}:{error.lineno})"
        raise ValueError(f"{what}: {type(error).__name__}: {error.msg}{place}") from error
    except Exception as error:
        place = user_place(error)
        if not place and isinstance(error, ValueError | OSError | ImportError | MemoryError):
            raise
        raise ValueError(f"{what}: {type(error).__name__}: {error}{place}") from error


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def parameters(found: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a factory, by name; none where it is no factory."""
    if not callable(found) or (isinstance(found, Task) and not isinstance(found, type)):
        return {}
    try:
        return dict(inspect.signature(found, eval_str=True).parameters)
    except Exception:  # annotations that cannot be evaluated
        return dict(inspect.signature(found).parameters)


def given_arguments(
    task: str, found: Any, settings: list[str], options: Mapping[str, tuple[str, Any]]
) -> dict[str, Any]:
    """The keyword arguments of a factory, from ``--set NAME=VALUE`` and from options of their own.

    Args:
        task: as the command line names it.
        found: the factory.
        settings: each ``NAME=VALUE``; the value is read as the type of the parameter.
        options: parameter -> the option that sets it, and its value.

    Raises ``ValueError`` for an unknown name, a value of another type, or a parameter that is given twice.
    """
    known = parameters(found)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    names = [name for name, parameter in known.items() if parameter.kind in _NAMED]
    arguments: dict[str, Any] = {}
    for name, (option, value) in options.items():
        if name not in names and not takes_any:
            raise ValueError(f"{option} does not apply to --task {task}")
        arguments[name] = _checked(option, known.get(name), value)
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"--set must be NAME=VALUE, got {shorten(text)!r}")
        if name in arguments:
            raise ValueError(f"--set {name} is given twice for --task {task}")
        if name not in names and not takes_any:
            if not names:
                raise ValueError(f"--set {name}: --task {task} takes no arguments")
            check_choice(f"--set: the name of an argument of --task {task}", name, names)
        arguments[name] = _checked(f"--set {name}", known.get(name), _parsed(name, value, known.get(name)))
    return arguments


def _checked(option: str, parameter: inspect.Parameter | None, value: Any) -> Any:
    """The value, checked against the words that the parameter allows."""
    words = get_args(parameter.annotation) if parameter and get_origin(parameter.annotation) is Literal else ()
    if words and value not in words:
        check_choice(option, str(value), map(str, words))
    return value


def _parsed(name: str, text: str, parameter: inspect.Parameter | None) -> Any:
    kind: Any = parameter.annotation if parameter is not None else inspect.Parameter.empty
    if kind is inspect.Parameter.empty and parameter is not None and parameter.default not in (None, parameter.empty):
        kind = type(parameter.default)
    try:
        return _read(text, kind)
    except (ValueError, SyntaxError):
        raise ValueError(
            f"--set {name} must be of type {getattr(kind, '__name__', kind)}, got {shorten(text)!r}"
        ) from None


def _read(text: str, kind: Any) -> Any:
    """A text as a value of a type; ``ValueError`` where it is none."""
    if kind in (str, Path):
        return kind(text)
    if kind is bool:
        return _from_word(text, {"true": True, "false": False})
    if kind in (int, float):
        return kind(text)
    if get_origin(kind) is Literal:
        return {str(word): word for word in get_args(kind)}.get(text, text)
    if get_origin(kind) in (Union, UnionType):
        for one in get_args(kind):
            with contextlib.suppress(ValueError, SyntaxError):
                return _read(text, one)
        raise ValueError(text)
    if kind is type(None):
        return _from_word(text, {"none": None})
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        if kind is inspect.Parameter.empty or kind is Any:
            return text
        raise


def _from_word(text: str, words: Mapping[str, Any]) -> Any:
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]
