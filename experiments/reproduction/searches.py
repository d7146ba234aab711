"""The searches behind the figures: made in blocks, many in one program, and kept on the disk."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.blocks import join_blocks
from experiments.reproduction.setups import get_setup, method_algorithm
from jaxga.cli.start import use_compilation_cache
from jaxga.many import optimize_many
from jaxga.runs.draft import draft

# What a run that is stopped loses at most.
_BLOCK_SIZE = 20


class Searches(NamedTuple):
    """S searches of one method, search ``i`` under the key ``i``.

    Attributes:
        sign: 1 where lower values are better, -1 where greater ones are.
        values: f32[S, G, P] in the objective's own sign; NaN for a failed member.
        settings: by hyperparameter, [S, G, P].
        fresh: f32[S], the mean value of each winner under seeds that its search did not use.
    """

    sign: float
    values: np.ndarray
    settings: dict[str, np.ndarray]
    fresh: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """f32[S, G]: the best value of a member up to each generation, NaN before the first."""
        losses = np.where(np.isfinite(self.values), self.sign * self.values, np.inf).min(axis=2)
        least = np.minimum.accumulate(losses, axis=1)
        return np.where(np.isfinite(least), self.sign * least, np.nan)

    @property
    def fresh_losses(self) -> np.ndarray:
        """f64[S]: lower is better; infinite where a winner failed."""
        return np.where(np.isfinite(self.fresh), self.sign * self.fresh, np.inf).astype(float)

    @property
    def curve_losses(self) -> np.ndarray:
        """f64[S]: the mean over the generations of the best loss so far; low where a search is fast."""
        return np.where(np.isfinite(self.best), self.sign * self.best, np.inf).astype(float).mean(axis=1)


def complete(folder: Path, wanted: Iterable[tuple[str, str]], is_quick: bool, num_processes: int) -> None:
    """Make what is missing of ``(name of a setup, method)``, one process a method where there are several."""
    missing = [pair for pair in dict.fromkeys(wanted) if any(not p.exists() for p in _blocks(folder, *pair, is_quick))]
    folder.mkdir(parents=True, exist_ok=True)
    if num_processes == 1 or len(missing) < 2:
        for pair in missing:
            _announce(pair)
            make(folder, *pair, is_quick)
        return
    with ProcessPoolExecutor(num_processes, get_context("spawn")) as pool:
        pending = {pool.submit(make, folder, *pair, is_quick): pair for pair in missing}
        for done in as_completed(pending):
            done.result()
            _announce(pending[done])


def _announce(pair: tuple[str, str]) -> None:
    print(f"searches: {pair[0]}, {pair[1]}", flush=True)


def make(folder: Path, name: str, method: str, is_quick: bool) -> None:
    """Make the missing blocks of one method."""
    use_compilation_cache()
    setup = get_setup(name, is_quick)
    algorithm = method_algorithm(method, setup)
    for i, path in enumerate(_blocks(folder, name, method, is_quick)):
        if path.exists():
            continue
        first = i * _BLOCK_SIZE
        results = optimize_many(
            setup.task(),
            keys=range(first, min(first + _BLOCK_SIZE, setup.num_searches)),
            algorithm=algorithm,
            num_generations=setup.num_generations,
            num_fresh=setup.num_fresh,
            keep_model="none",
        )
        shape = (len(results), setup.num_generations, setup.population_size)
        columns = [result.history.columns for result in results]
        kept = ("value", *setup.task().space.names)
        arrays: dict[str, Any] = {column: np.stack([c[column] for c in columns]).reshape(shape) for column in kept}
        with draft(path) as made, made.open("wb") as file:
            np.savez_compressed(file, fresh=[r.fresh_value for r in results], **arrays)


def load(folder: Path, name: str, method: str, is_quick: bool) -> Searches:
    """What was made of one method, all of it."""
    setup = get_setup(name, is_quick)
    task = setup.task()
    columns = join_blocks(_blocks(folder, name, method, is_quick), ("value", *task.space.names, "fresh"))
    fresh, values = columns.pop("fresh"), columns.pop("value")
    return Searches(task.objective.sign, values, columns, fresh)


def _blocks(folder: Path, name: str, method: str, is_quick: bool) -> list[Path]:
    """The files of a method's blocks; their names have all that decides the content, so that none is out of date."""
    setup = get_setup(name, is_quick)
    decides = (setup.details, setup.size, setup.num_fresh, setup.num_parents, setup.num_mutations)
    mark = hashlib.sha256(repr(decides).encode()).hexdigest()[:8]
    stem = f"{name}-{method.replace(':', '-')}-{mark}"
    firsts = range(0, setup.num_searches, _BLOCK_SIZE)
    return [folder / f"{stem}-{first}-{min(first + _BLOCK_SIZE, setup.num_searches)}.npz" for first in firsts]
