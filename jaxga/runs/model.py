"""The winner's trained model beside its result: ``model.safetensors``, which holds arrays by name and no code."""

from pathlib import Path
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from jaxga.base import Evaluation, Objective, PyTree
from jaxga.evaluate import named_leaves
from jaxga.runs.draft import draft

FILE = "model.safetensors"
# Which of the models trained under fresh seeds are kept.
Keep = Literal["best", "all", "none"]
_ALONE = "model"  # of a model that is one array


def check_keep(keep: Any) -> None:
    """Raise ``ValueError`` unless ``keep`` is one of ``best``, ``all`` and ``none``."""
    if keep not in get_args(Keep):
        raise ValueError(f"keep_model must be one of {', '.join(get_args(Keep))}, got {keep!r}")


def kept_model(fresh: Evaluation, objective: Objective, keep: Keep) -> PyTree | None:
    """The winner's model to keep, from its evaluations under N fresh seeds; None where the task gives none.

    Args:
        fresh: values f32[N] and models with a first axis of length N.
        objective: says which seed's value is best.
        keep: ``"best"`` for the model of the seed with the best value, ``"all"`` for those of all seeds, with a first
            axis of length N, ``"none"`` for no model.
    """
    if keep == "none" or not jax.tree.leaves(fresh.model):
        return None
    if keep == "all":
        return fresh.model
    loss = objective.sign * np.asarray(fresh.value)
    best = int(np.argmin(np.where(np.isfinite(loss), loss, np.inf)))
    return jax.tree.map(lambda leaf: leaf[best], fresh.model)


def save_model(folder: Path, model: PyTree) -> None:
    """Write the arrays of a pytree; each has the name of its path in the tree, as ``params/Dense_0/kernel``.

    Of a key of ``jax.random`` its data are written.
    """
    arrays = {name or _ALONE: _array(leaf) for name, leaf in named_leaves(model)}
    with draft(folder / FILE) as made:
        made.write_bytes(save(arrays))


def load_model(folder: Path) -> dict[str, Any]:
    """The model of a run as nested dicts of numpy arrays: for a Flax network what its ``apply`` takes.

    Raises ``ValueError`` where the run kept no model, or its file cannot be read.
    """
    nested: dict[str, Any] = {}
    for name, array in _read(folder).items():
        *above, last = name.split("/")
        place = nested
        for part in above:
            place = place.setdefault(part, {})
        place[last] = array
    return nested


def load_model_like(folder: Path, like: PyTree) -> PyTree:
    """The model of a run as a pytree of the structure of ``like``, whose leaves give shapes, not values.

    Where the models of all fresh seeds were kept, each array has one more axis. Raises ``ValueError`` where the file
    has no array for a leaf of ``like``, or one of another shape. A leaf without a shape fits every array.
    """
    arrays, found = _read(folder), []
    for path, leaf in named_leaves(like):
        name = path or _ALONE
        if name not in arrays:
            raise ValueError(f"{folder / FILE} has no array {name!r}; it has {sorted(arrays)}")
        array = arrays[name]
        if hasattr(leaf, "shape"):
            shape = jax.eval_shape(_data, leaf).shape
            if array.shape not in (shape, (*array.shape[:1], *shape)):
                raise ValueError(f"{folder / FILE}: {name!r} has the shape {array.shape}, like has {shape}")
        found.append(array)
    return jax.tree.unflatten(jax.tree.structure(like), found)


def _read(folder: Path) -> dict[str, np.ndarray]:
    path = folder / FILE
    if not path.exists():
        raise ValueError(f"{folder} has no {FILE}: its task gives no model, or none was kept")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def _array(leaf: Any) -> np.ndarray:
    # Not by ascontiguousarray, which gives a number an axis.
    return np.asarray(_data(leaf), order="C")


def _data(leaf: Any) -> Any:
    """What is stored of a leaf: an array itself, the bits of a random key."""
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
