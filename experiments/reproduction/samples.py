"""Where samples lie in a search space of two hyperparameters."""

import numpy as np

from experiments.reproduction.searches import Searches
from experiments.reproduction.section import Row
from jaxga.space import SearchSpace

# Points a side of the lattice on which the largest hole is measured.
_LATTICE = 64


def genes(space: SearchSpace, found: Searches) -> np.ndarray:
    """f64[S, G, P, 2]: the settings in the unit square."""
    units = []
    for name, dimension in space.items:
        low, high, values = dimension.low, dimension.high, found.settings[name].astype(float)
        scale = np.log if dimension.is_log else np.asarray
        units.append((scale(values) - scale(low)) / (scale(high) - scale(low)))
    return np.stack(units, axis=-1)


def settings(found: Searches) -> np.ndarray:
    """Those of the first search as rows, f64[G P, 2]."""
    return np.stack([column[0].ravel() for column in found.settings.values()], axis=-1)


def nearest(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The place of the nearest of ``points`` to each wanted one."""
    return ((wanted[:, None] - points[None]) ** 2).sum(-1).argmin(1)


def largest_hole(points: np.ndarray) -> float:
    """The greatest distance from a place in the unit square to the nearest of points f64[N, 2]."""
    side = (np.arange(_LATTICE) + 0.5) / _LATTICE
    lattice = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return float(np.sqrt(((lattice[:, None] - points[None]) ** 2).sum(-1).min(1).max()))


def sample_rows(setup: str, method: str, found: Searches, search: int) -> list[Row]:
    """The members of one search for the CSV file."""
    columns = {"loss": found.values[search].ravel()} | {n: c[search].ravel() for n, c in found.settings.items()}
    start = {"setup": setup, "method": method, "series": "samples", "search": search}
    return [start | {name: column[i] for name, column in columns.items()} for i in range(len(columns["loss"]))]
