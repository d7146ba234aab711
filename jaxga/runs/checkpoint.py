"""Save and restore a run's state: Orbax's checkpoint manager, and a digest of our own of all that was saved.

Orbax writes atomically and in the background; it would not notice a bit that was changed on the disk.
"""

import contextlib
import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxga.base import PyTree
from jaxga.distribution import install_hint

_FORMAT = 1
_KEY_KINDS = ("threefry2x32", "rbg", "unsafe_rbg")


class CheckpointError(OSError):
    """A checkpoint could not be written."""


class Restored(NamedTuple):
    """What :func:`restore` found.

    Attributes:
        state: the newest usable state, None where there is none.
        notes: what the caller had saved with it.
        unusable: one line for each newer checkpoint that was passed over, naming it and why.
    """

    state: PyTree | None
    notes: dict[str, Any]
    unusable: tuple[str, ...]


class Checkpoints:
    """Writes checkpoints into a folder, the newest ``num_kept`` of them; Orbax has to be installed.

    Args:
        folder: where; created where it is missing.
        after: the generation of the checkpoint that the run goes on from, None for none; newer ones, which could
            not be used, go.
        num_kept: how many are kept.

    Raises ``ImportError`` without Orbax, :class:`CheckpointError` where the folder cannot be written.

    >>> import tempfile
    >>> state = {"x": jnp.arange(3.0)}
    >>> with tempfile.TemporaryDirectory() as folder, Checkpoints(folder) as checkpoints:
    ...     _ = checkpoints.save(1, state, {"best": 0.5}, wait=True)
    ...     restore(folder, like=state).notes
    {'best': 0.5}
    """

    def __init__(self, folder: str | Path, *, after: int | None = None, num_kept: int = 3) -> None:
        self.folder = Path(folder).absolute()
        for step in _steps(self.folder):
            if after is None or step > after:
                _guarded(self.folder / str(step), lambda step=step: _remove(self.folder / str(step)))
        self._manager = _guarded(self.folder, lambda: _open(self.folder, num_kept=num_kept))

    def save(self, generation: int, state: PyTree, notes: dict[str, Any], *, wait: bool = False) -> bool:
        """Save in the background, once the last save has ended; returns whether it was saved.

        Args:
            generation: how many generations are done; names the checkpoint.
            state: a pytree of arrays, typed keys among them.
            notes: plain values for JSON, covered by the digest as the arrays are.
            wait: end this save too.
        """
        import orbax.checkpoint as ocp

        if not self.folder.is_dir():
            raise CheckpointError(f"checkpoint {self.folder / str(generation)} cannot be written: the folder is gone")
        arrays = _to_arrays(state)
        about = {"format": _FORMAT, "notes": notes, "arrays": _shapes(arrays)}
        about["sha256"] = _digest(arrays, about)
        arguments = ocp.args.Composite(
            # Orbax refuses arrays of no elements; their shapes are in "arrays".
            state=ocp.args.PyTreeSave({name: array for name, array in arrays.items() if array.size}),
            about=ocp.args.JsonSave(about),
        )

        def write() -> bool:
            self._manager.wait_until_finished()
            saved = self._manager.save(generation, args=arguments, force=True)
            if wait:
                self._manager.wait_until_finished()
            return saved

        return _guarded(self.folder / str(generation), write)

    def close(self) -> None:
        """End the last save."""
        _guarded(self.folder, self._manager.close)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            self.close()


def restore(
    folder: str | Path, *, like: PyTree, refuse: Callable[[dict[str, Any]], str | None] = lambda notes: None
) -> Restored:
    """The newest checkpoint that is whole.

    Args:
        folder: what :class:`Checkpoints` wrote.
        like: a state of the same structure, shapes and types, e.g. ``evolution.init(...)`` or its ``jax.eval_shape``.
        refuse: says of a checkpoint's notes why it cannot be used, or None.

    Raises ``ImportError`` where there are checkpoints and no Orbax to read them.
    """
    folder = Path(folder).absolute()
    steps = sorted(_steps(folder), reverse=True)
    if steps:
        try:
            import orbax.checkpoint  # noqa: F401
        except ImportError:
            raise ImportError(f"{folder} cannot be read without Orbax: {install_hint('checkpoint')}") from None
    unusable: list[str] = []
    for step in steps:
        try:
            arrays, notes = _read(folder, step)
            state = _from_arrays(arrays, like)
            reason = refuse(notes)
        except Exception as error:  # whatever Orbax raises on a damaged file
            reason = f"damaged ({_first_line(error)[:120]})"
        else:
            if reason is None:
                return Restored(state, notes, tuple(unusable))
        unusable.append(f"checkpoint {step} is not usable: {reason}")
    return Restored(None, {}, tuple(unusable))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _open(folder: Path, *, num_kept: int | None, read_only: bool = False) -> Any:
    import orbax.checkpoint as ocp

    # A failed write is raised where it is waited for; its traceback need not be printed as well.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    _hush()
    options = ocp.CheckpointManagerOptions(
        max_to_keep=num_kept,
        create=not read_only,
        read_only=read_only,
        enable_async_checkpointing=not read_only,
        # One process writes, whatever number of them computes: nobody else is to be waited for.
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            primary_host=jax.process_index(),
            active_processes={jax.process_index()},
            barrier_sync_key_prefix=f"process{jax.process_index()}",
        )
        if jax.process_count() > 1
        else ocp.options.MultiprocessingOptions(),
    )
    if not read_only:
        # With several active processes Orbax does not create the folder itself.
        folder.mkdir(parents=True, exist_ok=True)
        options.create = False
    if "[" not in str(folder):
        return ocp.CheckpointManager(folder, options=options, item_names=("state", "about"))
    # Orbax finds the files of its usual format by a glob pattern that begins with the folder's name. Brackets in the
    # name are taken for a pattern, so that no file is found. The other format has a folder for each array.
    processes = options.multiprocessing_options
    handlers = {
        "state": ocp.PyTreeCheckpointHandler(use_ocdbt=False, multiprocessing_options=processes),
        "about": ocp.JsonCheckpointHandler(multiprocessing_options=processes),
    }
    return ocp.CheckpointManager(folder, options=options, item_handlers=handlers)


def _guarded(path: Path, write: Callable[[], Any]) -> Any:
    try:
        return write()
    except (CheckpointError, ImportError):
        raise
    except Exception as error:
        raise CheckpointError(f"checkpoint {path} cannot be written: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _hush() -> None:
    """Orbax's threads print a traceback of what they also raise, once its event loop is gone: leave that out."""
    ordinary = sys.unraisablehook
    if getattr(ordinary, "is_hush", False):
        return

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            ordinary(unraisable)

    hook.is_hush = True  # pyright: ignore[reportFunctionMemberAccess]
    sys.unraisablehook = hook


def _steps(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []


def _read(folder: Path, step: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    import orbax.checkpoint as ocp

    with contextlib.closing(_open(folder, num_kept=None, read_only=True)) as manager:
        about = manager.restore(step, args=ocp.args.Composite(about=ocp.args.JsonRestore())).about
        arrays = {name: np.empty(shape, dtype) for name, dtype, shape in about["arrays"]}
        whole = {name: 0 for name, array in arrays.items() if array.size}
        as_numpy = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in whole}
        item = ocp.args.PyTreeRestore(item=whole, restore_args=as_numpy)
        arrays |= manager.restore(step, args=ocp.args.Composite(state=item)).state
    expected = about.pop("sha256")
    if about["format"] != _FORMAT or _digest(arrays, about) != expected:
        raise ValueError("its content does not have the digest that was saved with it")
    return arrays, about["notes"]


def _to_arrays(state: PyTree) -> dict[str, np.ndarray]:
    """Every leaf as numpy by its path; keys as their raw data."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {_name(path): np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf) for path, leaf in leaves}


def _from_arrays(arrays: dict[str, np.ndarray], like: PyTree) -> PyTree:
    def leaf(path: Any, template: Any) -> Any:
        array = arrays.pop(_name(path), None)
        if array is None:
            raise ValueError(f"it has no {_name(path)}: another version or algorithm wrote it")
        if _is_key(template):
            impl = next(i for i in _KEY_KINDS if jax.random.key(0, impl=i).dtype == template.dtype)
            return jax.random.wrap_key_data(jnp.asarray(array), impl=impl)
        if array.shape != template.shape or array.dtype != template.dtype:
            raise ValueError(f"{_name(path)} is {array.dtype}{list(array.shape)}, not as this run's")
        return jnp.asarray(array)

    arrays = dict(arrays)
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


def digest(state: PyTree) -> str:
    """SHA-256 of a state's names, types, shapes and bits: equal states have equal digests."""
    return _digest(_to_arrays(state), None)


def _digest(arrays: dict[str, np.ndarray], about: Any) -> str:
    sha = hashlib.sha256(json.dumps([about, _shapes(arrays)], sort_keys=True).encode())
    for array in arrays.values():
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
