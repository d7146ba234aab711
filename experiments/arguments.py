"""A command line as a dataclass of options, and how a command says in one line what is wrong with it."""

import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import typer
from typer.exceptions import Exit, TyperException

from jaxga.distribution import install_hint

T = TypeVar("T")
# What a user can mend: an option, a file, a package, a machine that is too small; of the last kind see fail.
MISTAKES = (ValueError, OSError, ImportError, MemoryError, RuntimeError)
# Of a longer value, and of a longer message, the beginning says what it is.
_MAX_VALUE, _MAX_MESSAGE = 60, 1000


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
    app = typer.Typer(add_completion=False)
    app.command()(options)
    command = typer.main.get_command(app)
    try:
        with command.make_context(Path(sys.argv[0]).name, list(given)) as context:  # it empties its list
            named = {n for n in context.params if getattr(context.get_parameter_source(n), "name", "") == "COMMANDLINE"}
            return Parsed(command.invoke(context), frozenset(named))
    except Exit:
        return None
    except TyperException as error:
        raise ValueError(error.format_message() + _got(error, given)) from None


def _got(error: TyperException, given: Sequence[str]) -> str:
    """``, got VALUE`` where the message is about an option's value and does not show it."""
    names = getattr(getattr(error, "param", None), "opts", ())
    for word, following in zip(given, [*given[1:], ""], strict=True):
        option, has_value, value = word.partition("=")
        if option in names:
            shown = repr(shorten(value if has_value else following))
            return "" if shown in error.format_message() else f", got {shown}"
    return ""


def shorten(text: str, size: int = _MAX_VALUE) -> str:
    """The text, or its first ``size`` characters and three dots."""
    return text if len(text) <= size else f"{text[:size]}..."


def check_choice(option: str, given: str, allowed: Iterable[str]) -> None:
    """Raise ``ValueError`` unless ``given`` is among the allowed; it names the one that was probably meant."""
    allowed = list(allowed)
    if given not in allowed:
        close = difflib.get_close_matches(given, allowed, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"{option} must be one of {', '.join(allowed)}, got {shorten(given)!r}{hint}")


def fail(error: Exception | str) -> int:
    """Print a message, or one of the ``MISTAKES``, as one line; returns the exit status.

    Of JAX's errors two are the user's: JAX_PLATFORMS names a device that is not there, and the memory does not suffice.
    Any other ``RuntimeError`` is raised again.
    """
    if isinstance(error, OSError) and error.strerror:
        error = f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in message:
        message = f"there is not enough memory for that: {message}"
    elif isinstance(error, ModuleNotFoundError):
        message += f"; {install_hint('all')}"
    elif isinstance(error, RuntimeError):
        if "initialize backend" not in message:
            raise error
        message = f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS')}: {message}"
    print(f"error: {shorten(message, _MAX_MESSAGE)}", file=sys.stderr)
    return 2
