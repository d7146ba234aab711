"""Save and restore the state of a run: one ``.npz`` file a generation, with a SHA-256 of its content.

A file is written under another name and renamed, so it is whole or not there. The digest finds bits that changed later.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxga.base import PyTree
from jaxga.runs.draft import draft

_FORMAT = 2  # 1 was Orbax's, a directory for each generation
_KEY_KINDS = ("threefry2x32", "rbg", "unsafe_rbg")
_ABOUT, _LEAF = "about", "state|"  # names in the file: notes and digest as JSON; the prefix of the state's arrays


class CheckpointError(OSError):
    """A checkpoint could not be written."""


class Restored(NamedTuple):
    """What :func:`restore` found.

    Attributes:
        state: the newest usable state, or None.
        notes: what the caller saved with this state.
        unusable: one line for each newer checkpoint that cannot be used: its name and the reason.
    """

    state: PyTree | None
    notes: dict[str, Any]
    unusable: tuple[str, ...]


class Checkpoints:
    """Writes checkpoints into a folder in a background thread, and keeps the newest ``num_kept`` of them.

    Args:
        folder: the folder; created if it does not exist.
        after: the generation of the checkpoint from which the run continues, or None for a new run. Checkpoints of
            later generations were not usable and are removed.
        num_kept: the number of checkpoints that are kept, at least 1.

    Raises :class:`CheckpointError` if the folder cannot be written.

    >>> import tempfile
    >>> state = {"x": jnp.arange(3.0)}
    >>> with tempfile.TemporaryDirectory() as folder, Checkpoints(folder) as checkpoints:
    ...     checkpoints.save(1, state, {"best": 0.5}, wait=True)
    ...     restore(folder, like=state).notes
    {'best': 0.5}
    """

    def __init__(self, folder: str | Path, *, after: int | None = None, num_kept: int = 3) -> None:
        self.folder, self._num_kept = Path(folder), num_kept
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            unfinished = list(self.folder.glob(".*.npz"))
            for path in unfinished + [p for step, p in _files(self.folder) if after is None or step > after]:
                _remove(path)
        except OSError as error:
            raise CheckpointError(f"checkpoints {self.folder} cannot be written: {error.strerror}") from error
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._last: Future[None] | None = None

    def save(self, generation: int, state: PyTree, notes: dict[str, Any], *, wait: bool = False) -> None:
        """Wait for the last save, then save this state in the background.

        Args:
            generation: the number of finished generations; it names the checkpoint.
            state: a pytree of arrays; typed keys are allowed.
            notes: values for JSON; the digest covers them too.
            wait: return only when this state is saved.

        Raises :class:`CheckpointError` if the last save failed; with ``wait`` also if this one did.
        """
        self._finish()
        arrays = _to_arrays(state)
        about = {"format": _FORMAT, "notes": notes, "arrays": _shapes(arrays)}
        text = json.dumps(about | {"sha256": _digest(arrays, about)})  # here: the caller may change its notes later
        self._last = self._thread.submit(self._write, generation, arrays, text)
        if wait:
            self._finish()

    def _write(self, generation: int, arrays: dict[str, np.ndarray], about: str) -> None:
        content: dict[str, Any] = {_LEAF + name: array for name, array in arrays.items()}
        content[_ABOUT] = np.frombuffer(about.encode(), np.uint8)
        try:
            with draft(self.folder / f"{generation}.npz") as made:
                np.savez(made, **content)
        except OSError as error:
            raise CheckpointError(f"checkpoint {error.strerror}") from error
        for _, path in _files(self.folder)[self._num_kept :]:
            _remove(path)

    def _finish(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def close(self) -> None:
        """Wait for the last save; raises :class:`CheckpointError` if it failed."""
        self._thread.shutdown()
        self._finish()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            self.close()


def restore(
    folder: str | Path, *, like: PyTree, refuse: Callable[[dict[str, Any]], str | None] = lambda notes: None
) -> Restored:
    """The newest usable checkpoint of a folder; the folder is not changed.

    Args:
        folder: the folder of a :class:`Checkpoints`.
        like: a state of the same structure, shapes and types, e.g. ``evolution.init(...)`` or its ``jax.eval_shape``.
        refuse: maps the notes of a checkpoint to the reason why it cannot be used, or to None.
    """
    folder = Path(folder)
    directories = [path.name for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []
    unusable = [
        f"checkpoint {name} is not usable: it has the Orbax format of jaxga 0.1, this version reads .npz files only"
        for name in sorted(directories, key=int, reverse=True)
    ]
    for step, path in _files(folder):
        try:
            arrays, notes = _read(path)
            state = _from_arrays(arrays, like)
            reason = refuse(notes)
        except Exception as error:  # a damaged file makes zipfile, zlib, json and numpy raise many kinds of errors
            reason = f"damaged ({_first_line(error)[:120]})"
        else:
            if reason is None:
                return Restored(state, notes, tuple(unusable))
        unusable.append(f"checkpoint {step} is not usable: {reason}")
    return Restored(None, {}, tuple(unusable))


def digest(state: PyTree) -> str:
    """SHA-256 of a state's names, types, shapes and bits: equal states have equal digests."""
    return _digest(_to_arrays(state), None)


def _files(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints with their generations, the newest first."""
    paths = folder.glob("*.npz") if folder.is_dir() else ()
    return sorted(((int(path.stem), path) for path in paths if path.stem.isdecimal()), reverse=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(file[_ABOUT].tobytes())
        # numpy reads types that are not its own, such as bfloat16, as plain bytes.
        arrays = {name: file[_LEAF + name].view(np.dtype(dtype)) for name, dtype, _ in about["arrays"]}
    expected = about.pop("sha256")
    if about["format"] != _FORMAT or _digest(arrays, about) != expected:
        raise ValueError("its content does not have the digest that was saved with it")
    return arrays, about["notes"]


def _to_arrays(state: PyTree) -> dict[str, np.ndarray]:
    """Every leaf as a numpy array, by its path in the tree; a key as its raw data."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {_name(path): np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf) for path, leaf in leaves}


def _from_arrays(arrays: dict[str, np.ndarray], like: PyTree) -> PyTree:
    arrays = dict(arrays)

    def leaf(path: Any, template: Any) -> Any:
        array = arrays.pop(_name(path), None)
        if array is None:
            raise ValueError(f"it has no {_name(path)}: another version or algorithm wrote it")
        expected = jax.eval_shape(jax.random.key_data, template) if _is_key(template) else template
        if array.shape != expected.shape or array.dtype != expected.dtype:
            raise ValueError(f"{_name(path)} is {array.dtype}{list(array.shape)}, not as this run's")
        if not _is_key(template):
            return jnp.asarray(array)
        impl = next(i for i in _KEY_KINDS if jax.random.key(0, impl=i).dtype == template.dtype)
        return jax.random.wrap_key_data(jnp.asarray(array), impl=impl)

    state = jax.tree_util.tree_map_with_path(leaf, like)
    if arrays:
        raise ValueError(f"it has a {next(iter(arrays))}: another version or algorithm wrote it")
    return state


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="|")


def _shapes(arrays: dict[str, np.ndarray]) -> list[list[Any]]:
    return [[name, str(array.dtype), list(array.shape)] for name, array in arrays.items()]


def _digest(arrays: dict[str, np.ndarray], about: Any) -> str:
    sha = hashlib.sha256(json.dumps([about, _shapes(arrays)], sort_keys=True).encode())
    for array in arrays.values():
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
