"""A command line as a dataclass of options, and how a command says in one line what is wrong with it."""

import inspect
import io
import os
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import typer
from typer.exceptions import Exit, TyperException

from jaxga.text import shorten

T = TypeVar("T")
# What a user can mend: an option, a file, a package, a machine that is too small; of the last two kinds see fail.
MISTAKES = (ValueError, OSError, ImportError, MemoryError, RuntimeError, AssertionError)
# A longer message is cut here.
_MAX_MESSAGE = 1000


class Parsed(NamedTuple, Generic[T]):
    """Attributes:
    options: an instance of the command's dataclass.
    named: the fields that the command line names, whatever their value.
    """

    options: T
    named: frozenset[str]


def parse(options: type[T], given: Sequence[str]) -> Parsed[T] | None:
    """What a command line gives; None where it asked for help, which has been printed.

    Args:
        options: the command's dataclass, its fields annotated for typer.
        given: the arguments.

    Raises ``ValueError`` where they are not understood.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path or a bar that the terminal has no letters for
    app = typer.Typer(add_completion=False)
    paragraphs = (inspect.getdoc(options) or "").split("\n\n")
    app.command(help="\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs))(options)
    command = typer.main.get_command(app)
    try:
        with command.make_context(_program(), list(given)) as context:  # it empties its list
            named = {n for n in context.params if getattr(context.get_parameter_source(n), "name", "") == "COMMANDLINE"}
            return Parsed(command.invoke(context), frozenset(named))
    except Exit:
        return None
    except TyperException as error:
        raise ValueError(error.format_message() + _got(error, given)) from None


def _program() -> str:
    """The command as its help shows it: ``run.py``, or ``jaxga run``."""
    name = Path(sys.argv[0]).name
    words = [name] if name.endswith(".py") and name != "__main__.py" else ["jaxga", *sys.argv[1:2]]
    return " ".join(words)


def _got(error: TyperException, given: Sequence[str]) -> str:
    """``, got VALUE`` where the message is about an option's value and does not show it."""
    names = getattr(getattr(error, "param", None), "opts", ())
    for word, following in reversed([*zip_longest(given, given[1:], fillvalue="")]):  # the last one counts
        option, has_value, value = word.partition("=")
        if option in names:
            shown = repr(shorten(value if has_value else following))
            return "" if shown in error.format_message() else f", got {shown}"
    return ""


def fail(error: Exception | str) -> int:
    """Print a message, or one of the ``MISTAKES``, as one line; returns the exit status.

    Of JAX's errors two are the user's: the memory does not suffice, and JAX_PLATFORMS names a device that is not there.
    Any other ``RuntimeError`` or ``AssertionError`` is raised again.
    """
    from jaxga.distribution import install_hint  # here, for the benchmark that measures JAX without jaxga

    if isinstance(error, BrokenPipeError):  # whoever read the output has gone: there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    message = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in message:
        message = f"there is not enough memory for that: {message}"
    elif isinstance(error, ModuleNotFoundError):
        message += f"; {install_hint('all')}"
    elif isinstance(error, OSError) and error.strerror:
        message = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    elif isinstance(error, RuntimeError | AssertionError):
        if "initialize backend" not in message and _has_device():
            raise error
        message = f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS')}: {message or 'there is no such device'}"
    print(f"error: {shorten(message, _MAX_MESSAGE)}", file=sys.stderr)
    return 2


def _has_device() -> bool:
    import jax

    try:
        return bool(jax.devices())
    except (RuntimeError, AssertionError):  # an assertion of JAX's own fails for cuda without a GPU
        return False
