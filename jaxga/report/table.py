"""A run's folder read back: what the report, the plots and the exports are made from."""

import contextlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxga import Objective, SearchSpace
from jaxga.cli.catalogue import OPTIONS
from jaxga.runs.draft import draft
from jaxga.runs.folder import read_config
from jaxga.runs.history import to_text
from jaxga.runs.saved import read_history, space_and_objective, space_from


@dataclass(frozen=True)
class Table:
    """Attributes:
    config: ``config.json``.
    result: ``result.json``, empty where the run did not come to its end.
    events: the objects of ``events.jsonl``.
    space, objective: what was searched, and for what.
    columns: the members, of at most about ``max_rows``: every k-th generation, each that bettered the best, and
        the winner's.
    num_members: how many there are in all.
    """

    config: dict[str, Any]
    result: dict[str, Any]
    events: list[dict[str, Any]]
    space: SearchSpace
    objective: Objective
    columns: dict[str, np.ndarray]
    num_members: int

    @property
    def options(self) -> dict[str, Any]:
        """The options of the run that its task knows."""
        options = self.config["options"]
        task = options["task"]
        return {name: value for name, value in options.items() if task in OPTIONS.get(name, (task,))}

    @property
    def title(self) -> str:
        """One line that says what was run."""
        options = self.options
        task = f"{options['task']} {options.get('env', '')}".strip()
        done = int(self.columns["generation"].max()) + 1
        plural = "s" * (done > 1)
        return f"{task}, {options['algorithm']}, {options['pop']} members x {done} generation{plural}"

    @cached_property
    def loss(self) -> np.ndarray:
        """f64[N], lower is better, infinite where the member failed."""
        loss = self.objective.sign * self.columns["value"].astype(float)
        return np.where(np.isfinite(loss), loss, np.inf)

    @cached_property
    def generations(self) -> list[np.ndarray]:
        """The rows of each generation that the table has, in order."""
        _, starts = np.unique(self.columns["generation"], return_index=True)
        return np.split(np.arange(len(self.loss)), starts[1:])

    @cached_property
    def least(self) -> np.ndarray:
        """f64[G], the best value of one member up to each generation, NaN before the first."""
        least = np.minimum.accumulate([self.loss[rows].min() for rows in self.generations])
        return np.where(np.isfinite(least), self.objective.sign * least, np.nan)

    @cached_property
    def believed(self) -> np.ndarray:
        """f64[G], the value that the search believed of its best setting after each generation.

        NaN for a generation whose event was not written before the run was killed.
        """
        best = {e["generation"]: e["best"] for e in self.events if e["event"] == "generation"}
        return np.array([best.get(g) for g in np.unique(self.columns["generation"]).tolist()], float)

    @property
    def is_noisy(self) -> bool:
        """Whether the search believed of its best setting another value than the best that one member had."""
        known = np.isfinite(self.believed)
        return not np.allclose(self.believed[known], self.least[known], rtol=1e-5, atol=0.0)

    @property
    def best_row(self) -> int:
        """The winner's best evaluation; of a run that did not come to its end that of the best value."""
        is_winner = _has(self.columns, self.result.get("best"))
        return int(np.argmin(np.where(is_winner, self.loss, np.inf) if is_winner.any() else self.loss))


def read_table(path: Path, max_rows: int = 100_000) -> Table:
    """Read a run's folder; ``ValueError`` where it is none or nothing was recorded in it."""
    config = read_config(path)
    space, objective = space_and_objective(config)
    sizes = [config["options"].get(name) for name in ("pop", "generations")]
    if not all(isinstance(size, int) for size in sizes):
        raise ValueError(f"{path / 'config.json'} names no population and generations, but {sizes}")
    stride = -(-sizes[0] * sizes[1] // max_rows)
    parts: list[dict[str, np.ndarray]] = []
    num_members, least = 0, np.full(2, np.inf)  # the least loss of all, and of the winner's evaluations
    file = path / "result.json"
    result = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    try:
        for block in read_history(path / "history.csv", space):
            generation, loss = block["generation"], objective.sign * block["value"]
            numbers, starts = np.unique(generation, return_index=True)
            num_members += len(generation)
            keep = numbers % stride == 0
            winners = np.where(_has(block, result.get("best")), loss, np.inf)
            for i, rows in enumerate(np.split(np.stack([loss, winners]), starts[1:], axis=1)):
                found = np.fmin.reduce(rows, axis=1, initial=np.inf)
                keep[i] |= bool((found < least).any())
                least = np.minimum(found, least)
            rows = np.isin(generation, numbers[keep])
            parts.append({name: column[rows] for name, column in block.items()})
    except OSError:
        parts = []
    if not parts:
        raise ValueError(f"{path} has no recorded generation")
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Table(
        config=config,
        result=result,
        events=read_events(path),
        space=space,
        objective=objective,
        columns=columns,
        num_members=num_members,
    )


def _has(columns: dict[str, np.ndarray], setting: dict[str, Any] | None) -> np.ndarray:
    """Which rows have this setting; none where there is none."""
    rows = np.full(len(columns["value"]), setting is not None)
    for name, value in (setting or {}).items():
        column = columns[name]
        is_number = np.issubdtype(column.dtype, np.number)
        rows &= np.isclose(column, value, rtol=1e-6, atol=0.0) if is_number else column.astype(str) == str(value)
    return rows


def read_events(path: Path) -> list[dict[str, Any]]:
    """The whole lines of ``events.jsonl``."""
    lines = (path / "events.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def write_parquet(path: Path) -> Path:
    """``history.parquet`` from ``history.csv``: the same rows, typed, and the seconds that each generation took.

    Written a block of generations at a time, so that memory is bounded, and put in place when it is whole.
    """
    config = read_config(path)
    # A run that was killed may have a generation's rows without its event.
    seconds = {e["generation"]: e["seconds"] for e in read_events(path) if e["event"] == "generation"}
    target = path / "history.parquet"
    with draft(target) as made, contextlib.ExitStack() as stack:
        writer = None
        for block in read_history(path / "history.csv", space_from(config["space"])):
            block["seconds"] = np.array([seconds.get(g, np.nan) for g in block["generation"].tolist()], np.float32)
            arrays = {name: pa.array(list(c) if c.ndim > 1 else to_text(c)) for name, c in block.items()}
            table = pa.table(arrays)
            writer = writer or stack.enter_context(pq.ParquetWriter(made, table.schema, compression="zstd"))
            writer.write_table(table)
    return target
