"""A run read back from its folder: ``jaxga.load(DIR).best``."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from jaxga.base import Objective, PyTree
from jaxga.runs.history import Columns, History, has_setting, read_csv
from jaxga.runs.model import load_model, load_model_like
from jaxga.runs.records import read_events
from jaxga.space import SearchSpace


@dataclass(frozen=True)
class SavedRun:
    """A run as its folder describes it.

    Attributes:
        path: the folder.
        config: ``config.json``.
        result: ``result.json``; empty where the run did not end.
        events: the objects of ``events.jsonl``.
        space: the search space.
        objective: the value that was sought.
    """

    path: Path
    config: dict[str, Any]
    result: dict[str, Any]
    events: list[dict[str, Any]]
    space: SearchSpace
    objective: Objective

    @classmethod
    def read(cls, path: str | Path) -> "SavedRun":
        """Any run that has begun, ended or not; its history is read when it is asked for.

        Raises ``ValueError`` where the folder holds no run or one of its files is damaged.
        """
        path = Path(path)
        config = read_config(path)
        result = _read_json(path / "result.json") if (path / "result.json").exists() else {}
        return cls(path, config, result, read_events(path / "events.jsonl"), *_space_and_objective(config))

    @property
    def best(self) -> dict[str, Any]:
        """The winner: a setting in its own units."""
        return self.result["best"]

    @property
    def best_value(self) -> float:
        """The search's estimate of the winner's value."""
        return self.result["best_value"]

    @property
    def fresh_values(self) -> np.ndarray:
        """f32[N]: the winner's values under N seeds that the search did not use; N is 0 where there were none."""
        return np.array(self.result["fresh"].get(self.objective.name, []), np.float32)

    @cached_property
    def model(self) -> dict[str, Any]:
        """The winner's trained model as nested dicts of numpy arrays: for a Flax network what its ``apply`` takes.

        Raises ``ValueError`` where the task gives no model or none was kept.
        """
        return load_model(self.path)

    def model_like(self, like: PyTree) -> PyTree:
        """The winner's trained model as a pytree of the structure of ``like``, whose leaves give shapes, not values.

        ``jax.eval_shape`` gives such a ``like``, and so does a model of the same sizes.

        Raises ``ValueError`` where a leaf of ``like`` has no array in the model, or one of another shape.
        """
        return load_model_like(self.path, like)

    @cached_property
    def history(self) -> History:
        """Every member evaluated, from ``history.csv``."""
        return self.read_history()

    def blocks(self) -> Iterator[Columns]:
        """The history in blocks of whole generations, for runs that memory does not hold.

        Raises ``ValueError`` where no generation was recorded, or the file is damaged.
        """
        block = None
        with contextlib.suppress(FileNotFoundError):
            for block in read_csv(self.path / "history.csv", self.space):
                yield block
        if block is None:
            raise ValueError(f"{self.path} has no recorded generation")

    def read_history(self, max_rows: int | None = None, on_block: Callable[[Columns], None] | None = None) -> History:
        """The history in one pass over its file; without the column ``run``, which is ``config["run"]`` in all rows.

        Args:
            max_rows: about how many rows to keep, None for all. Of more, every k-th generation is kept, each that has
                a new best value, and each that has a new best value of the winner.
            on_block: is called with every block of the file, whatever is kept of it.
        """
        num_parts = self.config.get("schedule", {}).get("num_parts", 1)
        history = History(self.space, self.objective, self.config["options"].get("replicates", 1), num_parts)
        stride = 1 if max_rows is None else -(-self._num_lines() // max_rows)
        estimates = {e["generation"]: e["best"] for e in self.events if e["event"] == "generation"}
        estimates = {number: np.nan if best is None else best for number, best in estimates.items()}
        least = np.full(2, np.inf)  # the least loss of all members, and of the winner's evaluations
        for block in self.blocks():
            if on_block is not None:
                on_block(block)
            kept = np.ones(len(block["generation"]), bool)
            if stride > 1:
                kept, least = self._kept(block, stride, least)
            history.extend({name: column[kept] for name, column in block.items() if name != "run"}, estimates)
            history.num_omitted += int((~kept).sum())
        return history

    def _num_lines(self) -> int:
        with contextlib.suppress(OSError), open(self.path / "history.csv", "rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        return 0

    def _kept(self, block: Columns, stride: int, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """bool[N]: the rows to keep of a block, and the least losses f64[2] up to its end."""
        generation, loss = block["generation"], self.objective.sign * block["value"]
        numbers, starts = np.unique(generation, return_index=True)
        is_winner = has_setting(block, self.best) if self.result else np.zeros(len(loss), bool)
        both = np.stack([loss, np.where(is_winner, loss, np.inf)])
        keep = numbers % stride == 0
        for i, rows in enumerate(np.split(both, starts[1:], axis=1)):
            found = np.fmin.reduce(rows, axis=1, initial=np.inf)
            keep[i] |= bool((found < least).any())
            least = np.minimum(found, least)
        return np.isin(generation, numbers[keep]), least


def read_config(path: Path) -> dict[str, Any]:
    """``config.json`` of a run's folder.

    Raises ``ValueError`` where there is none or it is no run's configuration. It may have been changed since the run
    wrote it.
    """
    file = path / "config.json"
    if not file.exists():
        raise ValueError(f"{path} is no run's folder: it has no config.json (nothing was recorded there)")
    config = _read_json(file)
    parts = ("options", "identity", "space", "objective")
    if not all(isinstance(config.get(part), dict) for part in parts):
        raise ValueError(f"{file} cannot be read as a run's configuration: it needs objects {', '.join(parts)}")
    return config


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
        problem = "it is no JSON object"
    except (OSError, ValueError, RecursionError) as error:
        problem = str(error)
    raise ValueError(f"{path} cannot be read: {problem}")


def _space_and_objective(config: dict[str, Any]) -> tuple[SearchSpace, Objective]:
    try:
        return SearchSpace.from_dict(config["space"]), Objective(**config["objective"])
    except TypeError:
        raise ValueError(f"config.json describes no objective: {config['objective']}") from None


def load(folder: str | Path) -> SavedRun:
    """A run that ended, from its folder.

    Raises ``ValueError`` where the folder has no result: no run was made there, or it was killed (then go on with it by
    ``--resume``, or read what it has by :meth:`SavedRun.read`).
    """
    run = SavedRun.read(folder)
    if not run.result:
        raise ValueError(f"{folder} has no result.json: its run did not end; go on with it, or use SavedRun.read")
    return run
