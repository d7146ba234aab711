"""Write a file so that it is whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """Gives the temporary path to write to; at the end it is renamed to ``path``.

    The temporary file is in the same folder and has the same suffix. It is flushed to the disk before it is renamed, so
    that a power cut leaves the old file or the new one.

    Raises ``OSError`` that names ``path`` if it cannot be written. Then the old file stays, and the temporary one is
    removed.
    """
    made = path.with_name(f".{path.name}")
    try:
        yield made
        _flush(made)
        made.replace(path)
        _flush(path.parent)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"{path} cannot be written: {why}") from None
    finally:
        with suppress(OSError):  # it was renamed, was never made, or the disk is read-only now
            made.unlink()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
