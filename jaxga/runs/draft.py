"""A file written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """Where to write ``path``: beside it under another name of the same suffix, renamed at the end.

    Raises ``OSError`` naming ``path`` where it cannot be written; what was there before stays, no draft does.
    """
    made = path.with_name(f".{path.name}")
    try:
        yield made
        made.replace(path)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"{path} cannot be written: {why}") from None
    finally:
        with suppress(OSError):  # renamed, never made, or on a disk that is now read-only
            made.unlink()
