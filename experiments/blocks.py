"""What a long experiment keeps on the disk: blocks of arrays, so that a stopped run goes on."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def join_blocks(paths: Iterable[Path], names: Iterable[str]) -> dict[str, np.ndarray]:
    """The named arrays of ``.npz`` files, joined along the first axis; ``ValueError`` for another kind of file."""
    blocks = [_read(path, tuple(names)) for path in paths]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _read(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as block:
            return {name: block[name] for name in names}
    except (ValueError, KeyError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not of this program: remove it, or give another folder as --out") from error
